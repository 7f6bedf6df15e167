"""Files of tables: one for each task's output, written as its blocks come, so that memory stays bounded.

Tests: tests/contract/test_data_writers.py.
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import column_to_python, conform, unify_schemas
from mobula.data.op.stage import Run
from mobula.data.sink.folder import FolderSink, OutputFile

HELD_BYTES_MAX = 8 * 1024 * 1024


class TableSink(FolderSink):
    """A kind of file is a subclass with `open_writer`; its arguments go to that."""

    def __init__(
        self,
        path: Any,
        what: str,
        ending: str,
        arguments: dict[str, Any],
        arguments_fn: Callable[[], dict[str, Any]] | None,
        partition_cols: list[str] | None = None,
        rows_max: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(path, what, ending, **options)
        if rows_max is not None and rows_max < 1:
            raise ValueError(f"{what}: max_rows_per_file={rows_max}; give at least 1")
        self.partition_cols = list(partition_cols or [])
        self.rows_max = rows_max
        self.arguments, self.arguments_fn = arguments, arguments_fn

    def open_writer(self, stream: Any, schema: pa.Schema) -> Any:
        """What writes tables of the schema to the stream: `write_table` and `close`."""
        raise NotImplementedError

    def writer_arguments(self) -> dict[str, Any]:
        """What the file's writer gets."""
        return {**self.arguments, **(self.arguments_fn() if self.arguments_fn is not None else {})}

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        files: dict[str, _File] = {}
        done: list[str] = []
        number = 0
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
                        name = self.block_name(part, run, number)
                        file = files[below] = _File(self, self.create(name, below))
                        number += 1
                    file.write(part)
                    if self.rows_max is not None and file.rows >= self.rows_max:
                        done.append(files.pop(below).close())
            while files:
                done.append(files.popitem()[1].close())
        except BaseException:
            for file in files.values():
                file.discard()
            raise
        return done

    def _parts(self, block: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        """The block's rows by folder, without the partition columns."""
        for below, rows in self._by_folder(block):
            limit = self.rows_max or rows.num_rows
            for start in range(0, rows.num_rows, limit):
                yield below, rows.slice(start, limit)

    def _by_folder(self, block: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        if not self.partition_cols:
            yield "", block
            return
        missing = [name for name in self.partition_cols if name not in block.column_names]
        if missing:
            raise KeyError(
                f"no column is called {', '.join(map(repr, missing))}; there are {block.column_names}"
            )
        keys = zip(*(column_to_python(block.column(name)) for name in self.partition_cols), strict=True)
        rows: dict[tuple[Any, ...], list[int]] = {}
        for row, key in enumerate(keys):
            rows.setdefault(key, []).append(row)
        rest = block.drop_columns(self.partition_cols)
        for key, places in rows.items():
            below = os.path.join(
                *(_folder(name, value) for name, value in zip(self.partition_cols, key, strict=True))
            )
            yield below, rest.take(pa.array(np.array(places)))


def _folder(name: str, value: Any) -> str:
    if value is None:
        return f"{name}=__HIVE_DEFAULT_PARTITION__"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{name}={urllib.parse.quote(text, safe=' ')}"


class _File:
    """One file while it is being written. Its columns are those of the first blocks."""

    def __init__(self, sink: TableSink, file: OutputFile) -> None:
        self.sink, self.file = sink, file
        self.rows = 0
        self._writer: Any = None
        self._schema: pa.Schema | None = None
        self._held: list[pa.Table] = []  # blocks in which a column has no type yet: all its values are null

    def takes(self, block: pa.Table) -> bool:
        """Can the block's columns be brought to those of the file, and are there not too many rows?"""
        if self.sink.rows_max is not None and self.rows + block.num_rows > self.sink.rows_max:
            return False
        if self._schema is None or block.schema.equals(self._schema):
            return True
        return bool(unify_schemas([self._schema, block.schema]).equals(self._schema))

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
        self._schema = unify_schemas([block.schema for block in self._held])
        self._writer = self.sink.open_writer(self.file.stream, self._schema)
        for block in self._held:
            self._append(block)
        self._held = []

    def _append(self, block: pa.Table) -> None:
        if not block.schema.equals(self._schema):
            block = conform(block, self._schema)
        self._writer.write_table(block)

    def close(self) -> str:
        """Completes the file; its path."""
        try:
            if self._writer is None:
                self._open()
            self._writer.close()
            return self.file.close()
        except BaseException:
            self.file.discard()
            raise

    def discard(self) -> None:
        """Removes what is there of it."""
        try:
            if self._writer is not None:
                self._writer.close()
        except Exception:  # what it wrote is thrown away
            pass
        self.file.discard()
