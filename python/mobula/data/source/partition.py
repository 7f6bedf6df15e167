"""Partitioned folders: values in the names of folders (`year=2024/region=eu`) as columns."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

__all__ = ["Partitioning", "PathPartitionFilter"]

STYLES = ("hive", "dir")


@dataclass(frozen=True)
class Partitioning:
    """How folders' names hold values: style "hive" is key=value, "dir" values alone in the order of
    `field_names`.

    >>> Partitioning("hive", base_dir="/data").parse("/data/year=2024/a.parquet")
    {'year': '2024'}
    """

    style: str
    base_dir: str | None = None
    field_names: Sequence[str] | None = None
    field_types: dict[str, type] | None = None
    filesystem: Any = None

    def __post_init__(self) -> None:
        style = getattr(self.style, "value", self.style)
        object.__setattr__(self, "style", style)
        if style not in STYLES:
            raise ValueError(f"Partitioning style {style!r} is not known; choose one of {STYLES}")
        if style == "dir" and not self.field_names:
            raise ValueError("Partitioning('dir') needs field_names: a name for each level of folders")

    def parse(self, path: str) -> dict[str, str]:
        """The values in a file's path, as strings."""
        below = os.path.dirname(path)
        if self.base_dir:
            below = os.path.relpath(below, self.base_dir) if below.startswith(self.base_dir) else below
        parts = [part for part in below.split(os.sep) if part not in ("", ".")]
        if self.style == "hive":
            pairs = [part.split("=", 1) for part in parts if "=" in part]
            return dict(pairs)
        names = list(self.field_names or ())
        if parts and len(parts) != len(names):
            raise ValueError(
                f"{path} has {len(parts)} levels of folders below {self.base_dir!r}, expected {names}"
            )
        return dict(zip(names, parts, strict=False))

    def column(self, name: str, value: str, rows: int) -> pa.Array:
        """A value as a column of the type asked for: strings, unless field_types says otherwise."""
        kind = (self.field_types or {}).get(name, str)
        converted = None if value == "__HIVE_DEFAULT_PARTITION__" else kind(value)
        return pa.repeat(pa.scalar(converted), rows) if converted is not None else pa.nulls(rows, pa.string())


class PathPartitionFilter:
    """Takes the files whose partition values a function accepts."""

    def __init__(self, partitioning: Partitioning, filter_fn: Callable[[dict[str, str]], bool]) -> None:
        self.partitioning, self.filter_fn = partitioning, filter_fn

    @staticmethod
    def of(
        filter_fn: Callable[[dict[str, str]], bool],
        style: str = "hive",
        base_dir: str | None = None,
        field_names: Sequence[str] | None = None,
        field_types: dict[str, type] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionFilter:
        """A filter made of a function and the partitioning's parameters."""
        return PathPartitionFilter(
            Partitioning(style, base_dir, field_names, field_types, filesystem), filter_fn
        )

    def __call__(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if self.filter_fn(self.partitioning.parse(path))]
