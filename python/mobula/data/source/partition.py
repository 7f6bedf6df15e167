"""Partitioned folders: values in the names of folders (`year=2024/region=eu`) as columns."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

__all__ = ["PartitionStyle", "Partitioning", "PathPartitionFilter", "PathPartitionParser"]

STYLES = ("hive", "dir")


class PartitionStyle(StrEnum):
    """How folders' names hold values."""

    HIVE = "hive"
    DIRECTORY = "dir"


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
            return {name: urllib.parse.unquote(value) for name, value in pairs}
        names = list(self.field_names or ())
        if parts and len(parts) != len(names):
            raise ValueError(
                f"{path} has {len(parts)} levels of folders below {self.base_dir!r}, expected {names}"
            )
        return dict(zip(names, parts, strict=False))

    @property
    def normalized_base_dir(self) -> str:
        """The base folder without a scheme, with a slash at its end; empty if there is none."""
        if not self.base_dir:
            return ""
        return self.base_dir.split("://", 1)[-1].rstrip("/") + "/"

    @property
    def resolved_filesystem(self) -> Any:
        """The Arrow file system of the base folder."""
        from mobula.data.source.files import resolve

        return resolve(self.base_dir or ".", self.filesystem)[0]

    def to_pyarrow(self) -> Any:
        """The same as pyarrow.dataset has it."""
        from pyarrow import dataset

        types = {name: pa.from_numpy_dtype(kind) if kind is not str else pa.string()
                 for name, kind in (self.field_types or {}).items()}  # fmt: skip
        names = list(self.field_names or types)
        schema = pa.schema([(name, types.get(name, pa.string())) for name in names]) if names else None
        if schema is None:
            return dataset.HivePartitioning.discover()
        return (dataset.HivePartitioning if self.style == "hive" else dataset.DirectoryPartitioning)(schema)

    def column(self, name: str, value: str, rows: int) -> pa.Array:
        """A value as a column of the type asked for: strings, unless field_types says otherwise."""
        kind = (self.field_types or {}).get(name, str)
        converted = None if value == "__HIVE_DEFAULT_PARTITION__" else kind(value)
        return pa.repeat(pa.scalar(converted), rows) if converted is not None else pa.nulls(rows, pa.string())


class PathPartitionParser:
    """Gives the partition values of a path.

    >>> PathPartitionParser.of("hive")("year=2024/a.csv")
    {'year': '2024'}
    """

    def __init__(self, partitioning: Partitioning) -> None:
        self._partitioning = partitioning

    @staticmethod
    def of(
        style: str = "hive",
        base_dir: str | None = None,
        field_names: Sequence[str] | None = None,
        field_types: dict[str, type] | None = None,
        filesystem: Any = None,
    ) -> PathPartitionParser:
        """A parser made of the partitioning's parameters."""
        return PathPartitionParser(Partitioning(style, base_dir, field_names, field_types, filesystem))

    @property
    def scheme(self) -> Partitioning:
        """The partitioning."""
        return self._partitioning

    def __call__(self, path: str) -> dict[str, str]:
        return self._partitioning.parse(path)

    def evaluate_predicate_on_partition(self, path: str, predicate: Any) -> bool:
        """Can rows of the file satisfy an expression, as far as its path tells?"""
        values = self._partitioning.parse(path)
        if not predicate.columns() <= set(values):
            return True
        row = pa.table({name: self._partitioning.column(name, value, 1) for name, value in values.items()})
        from mobula.data.op.columns import rows_where

        return bool(rows_where(row, predicate).num_rows)


class PathPartitionFilter:
    """Takes the files whose partition values a function accepts."""

    def __init__(
        self, path_partition_parser: PathPartitionParser, filter_fn: Callable[[dict[str, str]], bool]
    ) -> None:
        self._parser, self._filter_fn = path_partition_parser, filter_fn

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
        parser = PathPartitionParser.of(style, base_dir, field_names, field_types, filesystem)
        return PathPartitionFilter(parser, filter_fn)

    @property
    def parser(self) -> PathPartitionParser:
        """What gives the function its values."""
        return self._parser

    def apply(self, path: str) -> bool:
        """Is this file taken?"""
        return self._filter_fn(self._parser(path))

    def __call__(self, paths: Sequence[str]) -> list[str]:
        return [path for path in paths if self.apply(path)]
