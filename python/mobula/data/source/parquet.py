"""Parquet files: columns and row groups that are not wanted are not read, and a file is never held whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.block import table_from_batch
from mobula.data.expressions import Expr
from mobula.data.op.columns import rows_where
from mobula.data.op.stage import Run
from mobula.data.source.files import FileOptions, FileReader, FileSource, find_files, open_seekable
from mobula.data.source.source import Reader, ReadTask, split_evenly, task_count

if TYPE_CHECKING:
    from mobula.data.context import DataContext

ROWS_PER_BATCH = 65536
FOOTERS_MAX = 1000  # files whose footers the driver reads to count rows and to split between row groups


class ParquetReader(FileReader):
    """Reads row groups in small batches, with little read ahead."""

    def __init__(
        self,
        options: FileOptions,
        columns: list[str] | None,
        expression: Expr | None,
        arguments: dict[str, Any],
    ) -> None:
        self.options, self.columns, self.filter, self.arguments = options, columns, expression, arguments

    def read(self, payload: Any, run: Run) -> Iterator[pa.Table]:
        for path, groups in payload:
            run.source = path
            self._groups = groups
            for block in self._checked(path, run):
                yield self._finished(block, path)

    def blocks(self, path: str) -> Iterator[pa.Table]:
        from pyarrow import parquet

        with open_seekable(path, self.options) as stream:
            file = parquet.ParquetFile(stream, pre_buffer=False)
            names = file.schema_arrow.names
            wanted = self._columns(names, path)
            groups = self._promising(path, file)
            empty = True
            for batch in file.iter_batches(
                batch_size=_batch_rows(file), row_groups=groups, columns=wanted, use_threads=False
            ):
                block = _restored(pa.Table.from_batches([batch]))
                empty = False
                yield block
            if empty:
                yield _restored(file.schema_arrow.empty_table().select(wanted))

    def _columns(self, names: list[str], path: str) -> list[str]:
        """What to read of this file: the wanted columns and those that the filter looks at."""
        if self.columns is None:
            return names
        partition = self.options.partitioning.parse(path) if self.options.partitioning is not None else {}
        needed = list(
            dict.fromkeys([*self.columns, *(self.filter.columns() if self.filter is not None else ())])
        )
        missing = [name for name in needed if name not in names and name not in partition and name != "path"]
        if missing:
            raise ValueError(f"{path} has no column {', '.join(map(repr, missing))}; it has {names}")
        return [name for name in needed if name in names]

    def _promising(self, path: str, file: Any) -> list[int]:
        """The row groups that may have rows which the filter lets through, by their statistics."""
        groups = list(range(file.num_row_groups)) if self._groups is None else list(self._groups)
        if self.filter is None or self.options.filesystem is not None or "://" in path:
            return groups
        from pyarrow import dataset

        try:
            fragment = dataset.ParquetFileFormat().make_fragment(path, row_groups=groups)
            return [group.id for group in fragment.subset(filter=self.filter.to_pyarrow()).row_groups]
        except (pa.ArrowException, NotImplementedError, ValueError, KeyError, TypeError):
            return groups

    def _finished(self, block: pa.Table, path: str) -> pa.Table:
        block = super()._finished(block, path)
        if self.filter is not None:
            block = rows_where(block, self.filter)
        if self.columns is not None:
            extra = ["path"] if self.options.include_paths and "path" not in self.columns else []
            block = block.select([*self.columns, *extra])
        return block


def _batch_rows(file: Any) -> int:
    """Rows for about 8 MiB of what is in the file, so that wide rows (pictures) do not come by the ten
    thousand.
    """
    rows = max(file.metadata.num_rows, 1)
    size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
    return int(max(16, min(ROWS_PER_BATCH, 8 * 1024 * 1024 * rows // max(size, 1))))


def _restored(table: pa.Table) -> pa.Table:
    """Ray's own tensor columns as tensors of ours."""
    for place, field in enumerate(table.schema):
        metadata = field.metadata or {}
        name = metadata.get(b"ARROW:extension:name", b"")
        if name.startswith(b"ray.data.arrow_tensor"):
            table = table.set_column(place, field.name, _ray_tensor(table.column(place), metadata))
    return table


def _ray_tensor(column: pa.ChunkedArray, metadata: dict[bytes, bytes]) -> Any:
    import json

    import numpy as np

    shape = json.loads(metadata[b"ARROW:extension:metadata"])
    rows = np.asarray(column.combine_chunks().flatten().to_numpy(zero_copy_only=False)).reshape(
        len(column), *shape
    )
    return table_from_batch({"tensor": rows}).column(0)


class ParquetSource(FileSource):
    """Parquet files, split between row groups where there are fewer files than tasks."""

    def __init__(
        self,
        paths: Any,
        options: FileOptions,
        columns: list[str] | None,
        expression: Expr | None,
        arguments: dict[str, Any],
        cpus: int,
    ) -> None:
        self.paths, self.arguments = paths, arguments
        reader = ParquetReader(options, columns, expression, arguments)
        super().__init__("ReadParquet", paths, options, reader, "read_parquet", cpus, bytes_factor=3)
        self.columns, self.filter = columns, expression
        self._footers: list[Any] | None = None

    def with_columns(self, columns: list[str]) -> ParquetSource:
        """The same files, reading only these columns."""
        return self._changed(columns, self.filter)

    def with_filter(self, expression: Expr) -> ParquetSource:
        """The same files, giving only rows for which the expression is true."""
        return self._changed(self.columns, expression if self.filter is None else self.filter & expression)

    def _changed(self, columns: list[str] | None, expression: Expr | None) -> ParquetSource:
        other: ParquetSource = object.__new__(ParquetSource)
        other.__dict__.update(self.__dict__)
        other.columns, other.filter = columns, expression
        other._reader = ParquetReader(self.options, columns, expression, self.arguments)
        return other

    def reader(self) -> Reader:
        return self._reader

    def footers(self) -> list[Any] | None:
        """The files' metadata, where there are not too many files and all are sound."""
        if self._footers is None and 0 < len(self.files) <= FOOTERS_MAX:
            from pyarrow import parquet

            try:
                found = []
                for file in self.files:
                    with open_seekable(file.path, self.options) as stream:
                        found.append(parquet.read_metadata(stream))
                self._footers = found
            except Exception:  # the reader says which file is damaged, and how
                return None
        return self._footers

    def tasks(self, parallelism: int, context: DataContext) -> list[ReadTask]:
        files = self.ordered_files()
        footers = self.footers() if self.options.shuffle is None else None
        total = int(sum(file.size for file in files) * self.bytes_factor)
        if footers is None:
            parts = task_count(parallelism, self.cpus, total, max(len(files), 1), context)
            return [ReadTask([(file.path, None) for file in run]) for run in split_evenly(files, parts)]
        pieces = [
            (file.path, group, footer.row_group(group).num_rows)
            for file, footer in zip(files, footers, strict=False)
            for group in range(footer.num_row_groups)
        ]
        parts = task_count(parallelism, self.cpus, total, max(len(pieces), 1), context)
        if len(pieces) <= len(files) or parts <= len(files):
            wanted = split_evenly(list(zip(files, footers, strict=False)), min(parts, len(files)))
            return [_whole_files(run, self.filter is None) for run in wanted]
        return [_row_groups(run, self.filter is None) for run in split_evenly(pieces, parts)]

    def row_count(self) -> int | None:
        if self.filter is not None:
            return None
        footers = self.footers()
        return None if footers is None else sum(footer.num_rows for footer in footers)

    def schema(self) -> pa.Schema | None:
        footers = self.footers()
        if not footers:
            return None
        table = _restored(footers[0].schema.to_arrow_schema().empty_table())
        reader = self._reader
        assert isinstance(reader, ParquetReader)
        try:
            table = table.select(reader._columns(table.column_names, self.files[0].path))
            return reader._finished(table, self.files[0].path).schema
        except (ValueError, KeyError):
            return None


def _whole_files(files: Any, counted: bool) -> ReadTask:
    rows = sum(footer.num_rows for _, footer in files) if counted else -1
    return ReadTask([(file.path, None) for file, _ in files], rows, sum(file.size for file, _ in files))


def _row_groups(pieces: Any, counted: bool) -> ReadTask:
    payload: list[tuple[str, list[int]]] = []
    for path, group, _ in pieces:
        if payload and payload[-1][0] == path:
            payload[-1][1].append(group)
        else:
            payload.append((path, [group]))
    return ReadTask(payload, sum(rows for _, _, rows in pieces) if counted else -1)


def parquet_files(paths: Any, options: FileOptions) -> Any:
    """The options with folders' own partitioning (hive style) where the paths show one."""
    from mobula.data.source.partition import Partitioning

    if options.partitioning is not None:
        return options.partitioning
    roots = [os.fspath(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    found = find_files(paths, options, "read_parquet")
    candidate = Partitioning("hive", base_dir=os.path.commonpath(roots) if len(roots) > 1 else roots[0])
    return candidate if any(candidate.parse(file.path) for file in found[:1]) else None
