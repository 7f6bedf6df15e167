"""Users' own sources: a Datasource gives tasks, each a function that yields blocks and runs in a worker.

Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mobula.data.accessor import BlockMetadata
from mobula.data.block import table_from_batch
from mobula.data.op.stage import Run
from mobula.data.source import source as sources
from mobula.data.source.files import FileOptions, FileReader, find_files, resolve
from mobula.data.source.source import TASKS_PER_CPU, Source, split_evenly, task_count

if TYPE_CHECKING:
    from mobula.data.context import DataContext

__all__ = ["Datasource", "FileBasedDatasource", "RandomIntRowDatasource", "ReadTask", "Reader"]


class ReadTask:
    """A part of a datasource: `read_fn` yields its blocks (tables, frames or dicts of arrays)."""

    read_fn: Callable[[], Iterable[Any]]
    metadata: BlockMetadata
    schema: Any
    per_task_row_limit: int | None

    def __init__(
        self,
        read_fn: Callable[[], Iterable[Any]],
        metadata: BlockMetadata,
        schema: Any = None,
        per_task_row_limit: int | None = None,
    ) -> None:
        self.read_fn, self.metadata = read_fn, metadata
        self.schema, self.per_task_row_limit = schema, per_task_row_limit

    def __call__(self) -> Iterator[Any]:
        left = self.per_task_row_limit
        for block in self.read_fn():
            if left is None:
                yield block
                continue
            table = table_from_batch(block).slice(0, left)
            left -= table.num_rows
            yield table
            if left <= 0:
                return


class Datasource:
    """A source of the user's: override `get_read_tasks`, and give it to `read_datasource`."""

    def get_name(self) -> str:
        """As plans and stats show it."""
        return type(self).__name__.removesuffix("Datasource") or "Custom"

    def estimate_inmemory_data_size(self) -> int | None:
        """About the bytes of all blocks, if known."""
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        """The parts, about `parallelism` of them."""
        raise NotImplementedError(f"{type(self).__name__} has no get_read_tasks; override it")

    def create_reader(self, **read_args: Any) -> Any:
        """What gives the tasks: the datasource itself, unless it is written in the older style."""
        return self

    def prepare_read(self, parallelism: int, **read_args: Any) -> list[ReadTask]:
        """The parts, as the oldest style has it."""
        return self.get_read_tasks(parallelism)

    @property
    def should_create_reader(self) -> bool:
        """Is it written in the older style, with a `create_reader` of its own?"""
        return type(self).create_reader is not Datasource.create_reader

    @property
    def supports_distributed_reads(self) -> bool:
        """May tasks run in any worker?"""
        return True

    def supports_predicate_pushdown(self) -> bool:
        """Can it leave rows out by itself? A filter after it does so in any case."""
        return False

    def supports_projection_pushdown(self) -> bool:
        """Can it leave columns out by itself?"""
        return False

    def get_current_predicate(self) -> Any:
        """The filter that was pushed into it."""
        return None

    def get_projection_map(self) -> dict[str, str] | None:
        """The columns that were pushed into it."""
        return None

    def apply_predicate(self, predicate_expr: Any) -> Datasource:
        """The same source, giving only rows for which the expression is true."""
        raise NotImplementedError(f"{type(self).__name__} takes no filters; use Dataset.filter(expr=…)")

    def apply_projection(self, projection_map: dict[str, str] | None) -> Datasource:
        """The same source, giving only these columns."""
        raise NotImplementedError(f"{type(self).__name__} takes no columns; use Dataset.select_columns")


class Reader(Datasource):
    """What `create_reader` of a datasource in the older style gives."""


class RandomIntRowDatasource(Datasource):
    """Rows of random integers in columns `c_0`, `c_1`, …

    >>> RandomIntRowDatasource(10, 2).get_name()
    'RandomIntRow'
    """

    def __init__(self, n: int, num_columns: int) -> None:
        self._n, self._columns = n, num_columns

    def estimate_inmemory_data_size(self) -> int:
        return self._n * self._columns * 8

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        counts = [len(part) for part in split_evenly(range(self._n), max(1, min(parallelism, self._n)))]
        return [
            ReadTask(self._part(count), BlockMetadata(count, 8 * count * self._columns),
                     per_task_row_limit=per_task_row_limit)
            for count in counts
        ]  # fmt: skip

    def _part(self, count: int) -> Callable[[], Iterable[Any]]:
        columns = self._columns

        def read() -> Iterable[Any]:
            numbers = np.random.default_rng().integers(0, np.iinfo(np.int64).max, (columns, count))
            return [{f"c_{i}": values for i, values in enumerate(numbers)}]

        return read


class FileBasedDatasource(Datasource):
    """Files of the user's kind: override `_read_stream(file, path)`, which yields blocks."""

    _FILE_EXTENSIONS: Sequence[str] | None = None

    def __init__(
        self,
        paths: Any,
        *,
        filesystem: Any = None,
        schema: Any = None,
        open_stream_args: dict[str, Any] | None = None,
        meta_provider: Any = None,
        partition_filter: Any = None,
        partitioning: Any = None,
        ignore_missing_paths: bool = False,
        shuffle: Any = None,
        include_paths: bool = False,
        file_extensions: Sequence[str] | None = None,
    ) -> None:
        self._paths = paths
        self._options = FileOptions(
            filesystem,
            partition_filter,
            partitioning,
            file_extensions or self._FILE_EXTENSIONS,
            ignore_missing_paths,
            shuffle,
            include_paths,
            open_stream_args or {},
        )

    def _read_stream(self, f: Any, path: str) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} has no _read_stream(file, path); override it")

    def resolve_compression(self, path: str, open_args: dict[str, Any]) -> str | None:
        """How the file is packed, by its ending or by what was asked for."""
        if "compression" in open_args:
            named: str | None = open_args["compression"]
            return named
        endings = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4", ".br": "brotli"}
        return next((kind for ending, kind in endings.items() if path.lower().endswith(ending)), None)

    def _open_input_source(self, filesystem: Any, path: str, **open_args: Any) -> Any:
        arguments = {**open_args, "compression": self.resolve_compression(path, open_args)}
        return filesystem.open_input_stream(path, **arguments)

    def file_reader(self) -> FileReader:
        """What reads its files in workers."""
        return _UserFileReader(self, self._options)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: DataContext | None = None
    ) -> list[ReadTask]:
        reader = self.file_reader()
        tasks = []
        files = find_files(self._paths, self._options, self.get_name())
        for run in split_evenly(files, max(1, min(parallelism, len(files)))):
            paths = [file.path for file in run]
            metadata = BlockMetadata(size_bytes=sum(file.size for file in run), input_files=paths)
            read = partial(reader.read, paths, Run())
            tasks.append(ReadTask(read, metadata, per_task_row_limit=per_task_row_limit))
        return tasks


class _UserFileReader(FileReader):
    def __init__(self, datasource: FileBasedDatasource, options: FileOptions) -> None:
        self.datasource, self.options = datasource, options

    def blocks(self, path: str) -> Iterator[pa.Table]:
        filesystem, place = resolve(path, self.options.filesystem)
        arguments = self.options.arrow_open_stream_args
        with self.datasource._open_input_source(filesystem, place, **arguments) as file:
            for block in self.datasource._read_stream(file, path):
                yield table_from_batch(block)


# -- how plans read them -----------------------------------------------------------------------------


class CallReader(sources.Reader):
    """Calls what each task holds, and takes what it gives as blocks."""

    def read(self, payload: Any, run: Run) -> Iterator[pa.Table]:
        name, call = payload
        run.source = name
        for block in call():
            yield table_from_batch(block)


class CallSource(Source):
    """Tasks that are functions: (what messages call it, the function)."""

    def __init__(self, name: str, calls: Sequence[tuple[str, Callable[[], Iterable[Any]]]]) -> None:
        self.name, self.calls = name, list(calls)

    def tasks(self, parallelism: int, context: DataContext) -> list[sources.ReadTask]:
        return [sources.ReadTask(call) for call in self.calls]

    def reader(self) -> sources.Reader:
        return CallReader()


class DatasourceSource(Source):
    """A user's datasource as a plan's source."""

    def __init__(self, datasource: Any, read_args: dict[str, Any], cpus: int) -> None:
        self.datasource, self.read_args, self.cpus = datasource, read_args, cpus
        self.name = f"Read{datasource.get_name()}"

    def reader(self) -> sources.Reader:
        return CallReader()

    def tasks(self, parallelism: int, context: DataContext) -> list[sources.ReadTask]:
        maker = self.datasource
        if maker.should_create_reader:
            maker = maker.create_reader(**self.read_args)
        wanted = parallelism
        if wanted <= 0:
            size = maker.estimate_inmemory_data_size()
            wanted = TASKS_PER_CPU * self.cpus
            if size is not None:
                wanted = task_count(-1, self.cpus, int(size), 1 << 30, context)
        known = inspect.signature(maker.get_read_tasks).parameters
        more = {"data_context": context} if "data_context" in known else {}
        found = maker.get_read_tasks(wanted, **more)
        return [
            sources.ReadTask((_label(task, self.name, place), task), -1, _size(task))
            for place, task in enumerate(found)
        ]


def _label(task: Any, name: str, place: int) -> str:
    files = getattr(getattr(task, "metadata", None), "input_files", None)
    return ", ".join(files[:3]) if files else f"task {place} of {name}"


def _size(task: Any) -> int:
    return int(getattr(getattr(task, "metadata", None), "size_bytes", None) or 0)
