"""Users' own sinks: a Datasink's `write` runs in workers, the rest on the driver.

Tests: tests/contract/test_data_writers.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from mobula.data.accessor import BlockAccessor
from mobula.data.block import concat_tables, table_to_rows
from mobula.data.op.stage import Run
from mobula.data.sink.folder import FilenameProvider, FolderSink, task_number
from mobula.data.sink.sink import SaveMode, Sink, Written

__all__ = ["BlockBasedFileDatasink", "Datasink", "RowBasedFileDatasink", "WriteResult"]


@dataclass
class TaskContext:
    """Which task writes: `task_idx` is unlike for unlike tasks."""

    task_idx: int
    op_name: str
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass
class WriteResult:
    """What all tasks wrote, and what their `write` returned."""

    num_rows: int
    size_bytes: int
    write_returns: list[Any]

    @classmethod
    def combine(cls, *wrs: WriteResult) -> WriteResult:
        """Several results as one."""
        returns = [one for result in wrs for one in result.write_returns]
        return cls(sum(wr.num_rows for wr in wrs), sum(wr.size_bytes for wr in wrs), returns)


class Datasink:
    """A sink of the user's: override `write`, and give it to `Dataset.write_datasink`."""

    def get_name(self) -> str:
        """As plans and stats show it."""
        return type(self).__name__.removesuffix("Datasink") or "Custom"

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        """Called on the driver before anything is written."""

    def write(self, blocks: Iterable[Any], ctx: TaskContext) -> Any:
        """Writes the blocks of one task, in a worker; what it returns reaches `on_write_complete`."""
        raise NotImplementedError(f"{type(self).__name__} has no write(blocks, ctx); override it")

    def on_write_complete(self, write_result: WriteResult) -> None:
        """Called on the driver after all was written."""

    def on_write_failed(self, error: BaseException) -> None:
        """Called on the driver after a failure."""

    @property
    def supports_distributed_writes(self) -> bool:
        """May tasks write beside each other? If not, one writes at a time."""
        return True

    @property
    def min_rows_per_write(self) -> int | None:
        """The rows that each `write` gets at least, while there are so many."""
        return None

    @property
    def min_bytes_per_write(self) -> int | None:
        """The bytes that each `write` would like to get; `min_rows_per_write` decides here."""
        return None


class _Folder(FolderSink):
    """Names, hidden names and modes of the files of a datasink."""

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        raise NotImplementedError("the datasink writes")


class _FileDatasink(Datasink):
    """Files in a folder, written by a user's method."""

    def __init__(
        self,
        path: str,
        *,
        filesystem: Any = None,
        try_create_dir: bool = True,
        open_stream_args: dict[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
        dataset_uuid: str | None = None,
        file_format: str | None = None,
        mode: SaveMode | str = SaveMode.APPEND,
    ) -> None:
        provider = filename_provider or FilenameProvider(dataset_uuid, file_format)
        self._folder = _Folder(
            path, f"write_datasink({type(self).__name__})", file_format, mode, filesystem, try_create_dir,
            open_stream_args, provider,
        )  # fmt: skip
        self.path, self.filesystem = self._folder.folder, self._folder.filesystem
        self.open_stream_args, self.filename_provider = self._folder.stream_args, provider
        self._has_work = True

    def open_output_stream(self, path: str) -> Any:
        """A stream into a file of the sink's file system."""
        return self.filesystem.open_output_stream(path, **self.open_stream_args)

    def on_write_start(self, schema: pa.Schema | None = None) -> None:
        self._has_work = self._folder.prepare()

    def on_write_failed(self, error: BaseException) -> None:
        self._folder.abandon(error)

    def write(self, blocks: Iterable[Any], ctx: TaskContext) -> Any:
        full = [block for block in blocks if block.num_rows]
        if full:
            self.write_block(BlockAccessor.for_block(concat_tables(full)), 0, ctx)

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        """Writes what a task has."""
        raise NotImplementedError

    def _write_file(self, name: str, write: Any) -> None:
        file = self._folder.create(name)
        try:
            write(file.stream)
            file.close()
        except BaseException:
            file.discard()
            raise


class RowBasedFileDatasink(_FileDatasink):
    """One file for each row: override `write_row_to_file(row, file)`."""

    def write_row_to_file(self, row: dict[str, Any], file: Any) -> None:
        """Writes a row to an open file."""
        raise NotImplementedError(f"{type(self).__name__} has no write_row_to_file(row, file); override it")

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        run_id = self._folder.run_id
        for place, row in enumerate(table_to_rows(block.to_arrow())):
            name = self.filename_provider.get_filename_for_row(row, run_id, ctx.task_idx, block_index, place)
            self._write_file(name, lambda stream, row=row: self.write_row_to_file(row, stream))


class BlockBasedFileDatasink(_FileDatasink):
    """One file for each task's rows: override `write_block_to_file(block, file)`."""

    def __init__(
        self, path: str, *, min_rows_per_file: int | None = None, **file_datasink_kwargs: Any
    ) -> None:
        super().__init__(path, **file_datasink_kwargs)
        self._min_rows = min_rows_per_file

    @property
    def min_rows_per_write(self) -> int | None:
        return self._min_rows

    def write_block_to_file(self, block: BlockAccessor, file: Any) -> None:
        """Writes a block to an open file."""
        raise NotImplementedError(
            f"{type(self).__name__} has no write_block_to_file(block, file); override it"
        )

    def write_block(self, block: BlockAccessor, block_index: int, ctx: TaskContext) -> None:
        name = self.filename_provider.get_filename_for_block(
            block.to_arrow(), self._folder.run_id, ctx.task_idx, block_index
        )
        self._write_file(name, lambda stream: self.write_block_to_file(block, stream))


class DatasinkSink(Sink):
    """A user's datasink as a plan's sink."""

    def __init__(self, datasink: Any) -> None:
        self.datasink = datasink
        self.name = f"Write{datasink.get_name()}"

    def prepare(self) -> bool:
        start = self.datasink.on_write_start
        if inspect.signature(start).parameters:
            start(None)
        else:
            start()
        return getattr(self.datasink, "_has_work", True) is not False

    def write(self, blocks: Iterator[pa.Table], run: Run) -> Any:
        return self.datasink.write(blocks, TaskContext(task_number(run), self.name))

    def finish(self, written: list[Written]) -> None:
        self.datasink.on_write_complete(
            WriteResult(
                sum(one.rows for one in written),
                sum(one.bytes for one in written),
                [one.answer for one in written],
            )
        )

    def abandon(self, error: BaseException) -> None:
        self.datasink.on_write_failed(error)
