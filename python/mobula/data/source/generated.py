"""Datasets made of nothing: `range` and `range_tensor`."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch
from mobula.data.op.stage import Run
from mobula.data.source.source import Reader, ReadTask, Source, task_count

if TYPE_CHECKING:
    from mobula.data.context import DataContext


class _RangeReader(Reader):
    def __init__(self, shape: tuple[int, ...] | None, bytes_max: int | None) -> None:
        self.shape = shape
        self.rows_max = max(1, (bytes_max or 1 << 62) // (8 * math.prod(shape or (1,))))

    def read(self, payload: Any, run: Run) -> Iterator[pa.Table]:
        start, end = payload
        run.source = f"range({start}, {end})"
        for first in range(start, end, self.rows_max):
            ids = np.arange(first, min(first + self.rows_max, end))
            if self.shape is None:
                yield pa.Table.from_arrays([pa.array(ids)], names=["id"])
            else:
                tensor = np.broadcast_to(ids.reshape(-1, *(1 for _ in self.shape)), (len(ids), *self.shape))
                yield table_from_batch({"data": tensor})
        if start == end:
            yield self.empty()

    def empty(self) -> pa.Table:
        """No rows, with the columns."""
        if self.shape is None:
            return pa.table({"id": pa.array([], pa.int64())})
        return table_from_batch({"data": np.empty((0, *self.shape), np.int64)})


class RangeSource(Source):
    """The numbers 0 to n - 1 in column `id`, or tensors full of them in column `data`."""

    is_cheap = True

    def __init__(self, n: int, shape: tuple[int, ...] | None = None, cpus: int = 0) -> None:
        if n < 0:
            raise ValueError(f"range({n}): the number of rows cannot be negative")
        self.n, self.shape = n, shape
        self.name = "ReadRange" if shape is None else "ReadRangeTensor"
        self.cpus = cpus or os.cpu_count() or 1

    def tasks(self, parallelism: int, context: DataContext) -> list[ReadTask]:
        row_bytes = 8 * math.prod(self.shape or (1,))
        parts = task_count(parallelism, self.cpus, self.n * row_bytes, max(self.n, 1), context)
        edges = [self.n * i // parts for i in range(parts + 1)]
        return [
            ReadTask((start, end), end - start, (end - start) * row_bytes)
            for start, end in itertools.pairwise(edges)
            if end > start or parts == 1
        ]

    def reader(self) -> Reader:
        return _RangeReader(self.shape, 64 * 1024 * 1024)

    def row_count(self) -> int | None:
        return self.n

    def schema(self) -> pa.Schema | None:
        return _RangeReader(self.shape, None).empty().schema
