"""Parquet files: one for each task's output, written as its blocks come, so that memory stays bounded."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import column_to_python, conform, unify_schemas
from mobula.data.op.stage import Run
from mobula.data.sink.sink import FolderSink

ROWS_PER_GROUP = 1024 * 1024
HELD_BYTES_MAX = 8 * 1024 * 1024


class ParquetSink(FolderSink):
    """Writes with pyarrow.parquet; `arguments` go to its writer."""

    name = "WriteParquet"

    def __init__(
        self,
        path: Any,
        mode: Any,
        partition_cols: list[str] | None,
        rows_max: int | None,
        arguments: dict[str, Any],
        arguments_fn: Callable[[], dict[str, Any]] | None,
        **options: Any,
    ) -> None:
        super().__init__(path, mode, "write_parquet", **options)
        self.partition_cols = list(partition_cols or [])
        self.rows_max = rows_max
        self.arguments, self.arguments_fn = arguments, arguments_fn

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        files: dict[str, _File] = {}
        done: list[str] = []
        try:
            for block in blocks:
                if block.num_rows == 0:
                    continue
                for below, part in self._parts(block):
                    file = files.get(below)
                    if file is not None and not file.takes(part):
                        done.append(files.pop(below).close())
                        file = None
                    if file is None:
                        file = files[below] = _File(self, below)
                    file.write(part)
                    if self.rows_max is not None and file.rows >= self.rows_max:
                        done.append(files.pop(below).close())
            done += [file.close() for file in files.values()]
        except BaseException:
            for file in files.values():
                file.discard()
            raise
        return done

    def _parts(self, block: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """The block's rows by folder, without the partition columns."""
        if not self.partition_cols:
            limit = self.rows_max or block.num_rows
            for start in range(0, block.num_rows, limit):
                yield "", block.slice(start, limit)
            return
        missing = [name for name in self.partition_cols if name not in block.column_names]
        if missing:
            raise KeyError(
                f"no column is called {', '.join(map(repr, missing))}; there are {block.column_names}"
            )
        keys = list(
            zip(*(column_to_python(block.column(name)) for name in self.partition_cols), strict=False)
        )
        rows: dict[tuple[Any, ...], list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        rest = block.drop_columns(self.partition_cols)
        for key, places in rows.items():
            below = os.path.join(
                *(_folder(name, value) for name, value in zip(self.partition_cols, key, strict=False))
            )
            yield below, rest.take(pa.array(np.array(places)))

    def writer_arguments(self) -> dict[str, Any]:
        """What the file's writer gets."""
        return {**self.arguments, **(self.arguments_fn() if self.arguments_fn is not None else {})}


def _folder(name: str, value: Any) -> str:
    if value is None:
        return f"{name}=__HIVE_DEFAULT_PARTITION__"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{name}={urllib.parse.quote(text, safe=' ')}"


class _File:
    """One file while it is being written. Its columns are those of the first blocks."""

    def __init__(self, sink: ParquetSink, below: str) -> None:
        self.sink = sink
        self.temporary, self.path = sink.new_name("parquet", below)
        self.rows = 0
        self._writer: Any = None
        self._held: list[pa.Table] = []  # blocks in which a column has no type yet: all its values are null

    def takes(self, block: pa.Table) -> bool:
        """Can the block's columns be brought to those of the file?"""
        if self._writer is None or block.schema.equals(self._writer.schema):
            return True
        return bool(unify_schemas([self._writer.schema, block.schema]).equals(self._writer.schema))

    def write(self, block: pa.Table) -> None:
        self.rows += block.num_rows
        if self._writer is not None:
            return self._append(block)
        self._held.append(block)
        untyped = any(pa.types.is_null(field.type) for field in block.schema)
        if not untyped or sum(held.nbytes for held in self._held) > HELD_BYTES_MAX:
            self._open()
        return None

    def _open(self) -> None:
        from pyarrow import parquet

        schema = unify_schemas([block.schema for block in self._held])
        self._writer = parquet.ParquetWriter(self.temporary, schema, **self.sink.writer_arguments())
        for block in self._held:
            self._append(block)
        self._held = []

    def _append(self, block: pa.Table) -> None:
        if not block.schema.equals(self._writer.schema):
            block = conform(block, self._writer.schema)
        self._writer.write_table(block, row_group_size=ROWS_PER_GROUP)

    def close(self) -> str:
        """Completes the file; its path."""
        if self._writer is None:
            self._open()
        self._writer.close()
        os.replace(self.temporary, self.path)
        return self.path

    def discard(self) -> None:
        """Removes what is there of it."""
        try:
            if self._writer is not None:
                self._writer.close()
        except Exception:
            pass
        if os.path.exists(self.temporary):
            os.unlink(self.temporary)
