"""Aggregates over a whole dataset: a part of each block is reduced where the block is, and the parts are
joined here.

Tests: tests/contract/test_data_run.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mobula.data.block import table_to_rows
from mobula.data.op.stage import Run, Stage

KINDS = ("sum", "min", "max", "mean", "std")


class PartialAggregate(Stage):
    """Reduces each input to one row: for each column count, nulls, sum, mean, sum of squared differences,
    min, max.
    """

    def __init__(self, kind: str, columns: list[str] | None) -> None:
        self.kind, self.columns = kind, columns
        self.name = f"Aggregate({kind})"

    def run(self, blocks: Iterator[pa.Table], run: Run) -> Iterator[pa.Table]:
        parts: dict[str, list[Any]] = {}
        for block in blocks:
            names = self.columns
            if names is None:
                names = [
                    f.name
                    for f in block.schema
                    if pa.types.is_integer(f.type) or pa.types.is_floating(f.type)
                ]
            for name in names:
                if block.num_columns and name not in block.column_names:
                    raise KeyError(f"no column is called {name!r}; there are {block.column_names}")
                if name in block.column_names:
                    parts.setdefault(name, []).append(reduced(block.column(name), self.kind))
        rows = {name: joined(found) for name, found in parts.items()}
        if rows:
            from mobula.data.tensor import objects_to_arrow

            yield pa.table({"name": list(rows), "part": objects_to_arrow(list(rows.values()))})


def reduced(column: pa.ChunkedArray, kind: str) -> dict[str, Any]:
    """What a column contributes."""
    import pyarrow.compute as pc

    count = len(column) - column.null_count
    part: dict[str, Any] = {"count": count, "nulls": column.null_count}
    if count == 0:
        return part
    if kind == "sum":
        part["sum"] = pc.sum(column).as_py()
    elif kind in ("min", "max"):
        part[kind] = getattr(pc, kind)(column).as_py()
    else:
        values = pc.cast(column, pa.float64())
        mean = pc.mean(values).as_py()
        part["mean"] = mean
        part["squares"] = pc.variance(values, ddof=0).as_py() * count
        if kind == "mean":
            part["sum"] = pc.sum(column).as_py()
    return part


def joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Several contributions as one (means and squares by Chan, Golub and LeVeque, 1983)."""
    out: dict[str, Any] = {"count": 0, "nulls": 0}
    for part in parts:
        before, more = out["count"], part["count"]
        out["count"] += more
        out["nulls"] += part["nulls"]
        if more == 0:
            continue
        if "sum" in part:
            out["sum"] = out.get("sum", 0) + part["sum"]
        for kind, choose in (("min", min), ("max", max)):
            if kind in part:
                out[kind] = choose(out[kind], part[kind]) if kind in out else part[kind]
        if "mean" in part:
            mean = out.get("mean", 0.0)
            difference = part["mean"] - mean
            out["mean"] = mean + difference * more / out["count"]
            out["squares"] = (
                out.get("squares", 0.0) + part["squares"] + difference**2 * before * more / out["count"]
            )
    return out


def finished(kind: str, part: dict[str, Any] | None, ignore_nulls: bool, ddof: int) -> Any:
    """The aggregate's value: None where there is nothing to aggregate."""
    if part is None or part["count"] == 0 or (part["nulls"] and not ignore_nulls):
        return None
    if kind == "mean":
        return part["sum"] / part["count"]
    if kind == "std":
        free = part["count"] - ddof
        return math.sqrt(part["squares"] / free) if free > 0 else None
    return part[kind]


class PartialUnique(Stage):
    """Reduces each input to the distinct values of a column."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.name = f"Unique({column})"

    def run(self, blocks: Iterator[pa.Table], run: Run) -> Iterator[pa.Table]:
        found: pa.Array | None = None
        for block in blocks:
            if not block.num_columns:
                continue
            if self.column not in block.column_names:
                raise KeyError(f"no column is called {self.column!r}; there are {block.column_names}")
            values = block.column(self.column).unique()
            found = values if found is None else pa.chunked_array([found, values]).unique()
        if found is not None:
            yield pa.table({self.column: found})


def joined_unique(tables: list[pa.Table]) -> list[Any]:
    """The distinct values in what PartialUnique gave for all inputs."""
    found: dict[Any, None] = {}
    for table in tables:
        if table.num_columns:
            found.update(dict.fromkeys(table.column(0).to_pylist()))
    return list(found)


def joined_aggregate(
    tables: list[pa.Table], kind: str, columns: list[str] | None, ignore_nulls: bool, ddof: int
) -> Any:
    """The aggregate of what PartialAggregate gave for all inputs: a value, or a dict for several columns."""
    parts: dict[str, list[Any]] = {}
    for table in tables:
        for row in table_to_rows(table):
            parts.setdefault(row["name"], []).append(row["part"])
    values = {name: finished(kind, joined(found), ignore_nulls, ddof) for name, found in parts.items()}
    if columns is not None and len(columns) == 1:
        return values.get(columns[0])
    names = list(parts) if columns is None else columns
    if columns is None and len(names) == 1:
        return values[names[0]]
    return {f"{kind}({name})": values.get(name) for name in names}
