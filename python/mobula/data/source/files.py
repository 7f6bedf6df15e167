"""Files: finding them, and what readers of files have in common.

A file that cannot be read ends the run with an error that names it and the cause, or is skipped, counted
and listed where `DataContext.max_errored_blocks` allows it. Tests: tests/contract/test_data_files.py.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.block import concat_tables
from mobula.data.op.stage import Run
from mobula.data.source.source import Reader, ReadTask, Source, split_evenly, task_count

if TYPE_CHECKING:
    from mobula.data.context import DataContext


@dataclass(frozen=True)
class FileShuffleConfig:
    """Reads the files in another order; the same for one seed, even from run to run."""

    seed: int | None = None
    reseed_after_execution: bool = True

    def get_seed(self, execution_idx: int = 0) -> int | None:
        """The seed of a dataset's n-th run."""
        if self.seed is None or not self.reseed_after_execution:
            return self.seed
        return self.seed + execution_idx


@dataclass(frozen=True)
class FileOptions:
    """How files are found."""

    filesystem: Any = None
    partition_filter: Callable[[Sequence[str]], list[str]] | None = None
    partitioning: Any = None
    file_extensions: Sequence[str] | None = None
    ignore_missing_paths: bool = False
    shuffle: Any = None
    include_paths: bool = False
    arrow_open_stream_args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FoundFile:
    """A file and its size in bytes."""

    path: str
    size: int


def find_files(paths: Any, options: FileOptions, what: str) -> list[FoundFile]:
    """The files under `paths` (a path or a list of them; folders are searched), in a fixed order."""
    wanted = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not wanted:
        raise ValueError(f"{what}: paths is empty; give a file, a folder or a list of them")
    found: list[FoundFile] = []
    for path in wanted:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"{what}: a path is a string, got {path!r} of {type(path)}")
        found += _find(os.fspath(path), options, what)
    kept = _filtered(found, options)
    if not kept:
        if options.ignore_missing_paths and not found:
            return []
        raise ValueError(_nothing_found(wanted, found, options, what))
    if (
        options.shuffle is not None
        and options.shuffle != "files"
        and not isinstance(options.shuffle, FileShuffleConfig)
    ):
        raise ValueError(
            f"{what}: shuffle={options.shuffle!r}; give None, 'files' or FileShuffleConfig(seed=…)"
        )
    return kept


def _find(path: str, options: FileOptions, what: str) -> list[FoundFile]:
    if options.filesystem is not None or "://" in path:
        return _find_remote(path, options, what)
    try:
        if os.path.isdir(path):
            return list(_walk(path))
        return [FoundFile(path, os.stat(path).st_size)]
    except FileNotFoundError:
        if options.ignore_missing_paths:
            return []
        raise FileNotFoundError(f"{what}: there is no file or folder {path!r}") from None


def _walk(folder: str) -> Iterator[FoundFile]:
    """Files of a folder and below, by name; hidden ones (. and _) are left out, as Ray does."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            yield from _walk(entry.path)
            continue
        try:
            yield FoundFile(entry.path, entry.stat().st_size)
        except FileNotFoundError:  # a link to nowhere, or gone since
            continue


def _find_remote(path: str, options: FileOptions, what: str) -> list[FoundFile]:
    from pyarrow import fs

    filesystem, place = resolve(path, options.filesystem)
    info = filesystem.get_file_info(place)
    if info.type == fs.FileType.NotFound:
        if options.ignore_missing_paths:
            return []
        raise FileNotFoundError(f"{what}: there is no file or folder {path!r}")
    prefix = path[: len(path) - len(place)] if path.endswith(place) else ""
    if info.is_file:
        return [FoundFile(prefix + place, info.size)]
    below = filesystem.get_file_info(fs.FileSelector(place, recursive=True))
    files = [FoundFile(prefix + one.path, one.size) for one in below if one.is_file]
    return sorted(files, key=lambda file: file.path)


def resolve(path: str, filesystem: Any) -> tuple[Any, str]:
    """The Arrow file system that has the path, and the path on it."""
    from pyarrow import fs

    if filesystem is None:
        return (
            fs.FileSystem.from_uri(path) if "://" in path else (fs.LocalFileSystem(), os.path.abspath(path))
        )
    if not isinstance(filesystem, fs.FileSystem):
        filesystem = fs.PyFileSystem(fs.FSSpecHandler(filesystem))
    return filesystem, path.split("://", 1)[-1]


def _filtered(found: list[FoundFile], options: FileOptions) -> list[FoundFile]:
    kept = found
    if options.file_extensions is not None:
        endings = tuple("." + ending.lower().lstrip(".") for ending in options.file_extensions)
        kept = [file for file in kept if file.path.lower().endswith(endings)]
    if options.partition_filter is not None:
        chosen = set(options.partition_filter([file.path for file in kept]))
        kept = [file for file in kept if file.path in chosen]
    return kept


def _nothing_found(wanted: list[Any], found: list[FoundFile], options: FileOptions, what: str) -> str:
    names = ", ".join(repr(os.fspath(path)) for path in wanted[:3]) + (", …" if len(wanted) > 3 else "")
    if not found:
        return f"{what}: {names} has no files to read; check the path, or pass the files themselves as a list"
    chosen = []
    if options.file_extensions is not None:
        chosen.append(f"file_extensions={list(options.file_extensions)}")
    if options.partition_filter is not None:
        chosen.append("partition_filter")
    example = os.path.basename(found[0].path)
    return (
        f"{what}: none of the {len(found)} files in {names} is taken by {' and '.join(chosen)} (the first is "
        f"{example!r}); pass other values, or file_extensions=None for all files"
    )


COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".br")


def open_file(path: str, options: FileOptions, decompress: bool = False) -> Any:
    """The file, open for reading from front to back; `decompress` unpacks what its ending says is packed."""
    arguments = dict(options.arrow_open_stream_args)
    local = options.filesystem is None and "://" not in path
    if local and not arguments and not (decompress and path.lower().endswith(COMPRESSED)):
        return open(path, "rb")
    filesystem, place = resolve(path, options.filesystem)
    arguments.setdefault("compression", "detect" if decompress else None)
    return filesystem.open_input_stream(place, **arguments)


def open_seekable(path: str, options: FileOptions) -> Any:
    """The file, open for reading at any place."""
    if options.filesystem is None and "://" not in path:
        return open(path, "rb")
    filesystem, place = resolve(path, options.filesystem)
    return filesystem.open_input_file(place)


class FileReader(Reader):
    """Reads files one after the other. A kind of file is a subclass with `blocks`."""

    options: FileOptions

    def blocks(self, path: str) -> Iterator[pa.Table]:
        """The blocks of one file."""
        raise NotImplementedError

    def gathers(self) -> bool:
        """Are files so small that several make a block?"""
        return False

    def read(self, payload: Any, run: Run) -> Iterator[pa.Table]:
        gathered: list[pa.Table] = []
        size = 0
        for path in payload:
            run.source = path
            for block in self._checked(path, run):
                if not self.gathers():
                    yield self._finished(block, path)
                    continue
                gathered.append(self._finished(block, path))
                size += gathered[-1].nbytes
                if size >= 1024 * 1024:
                    yield concat_tables(gathered)
                    gathered, size = [], 0
        if gathered:
            yield concat_tables(gathered)

    def _checked(self, path: str, run: Run) -> Iterator[pa.Table]:
        """The file's blocks; an error names the file, or is reported where errors are tolerated."""
        try:
            yield from self.blocks(path)
        except Exception as error:
            failure = error if path in str(error) else same_kind(error, f"cannot read {path}: {error}")
            if not run.tolerant:
                raise failure from (None if failure is error else error)
            run.report(failure)

    def _finished(self, block: pa.Table, path: str) -> pa.Table:
        partitioning = self.options.partitioning
        if partitioning is not None:
            for name, value in partitioning.parse(path).items():
                if name not in block.column_names:
                    block = block.append_column(name, partitioning.column(name, value, block.num_rows))
        if self.options.include_paths and "path" not in block.column_names:
            block = block.append_column("path", pa.array([path] * block.num_rows, pa.string()))
        return block


def same_kind(error: Exception, text: str) -> Exception:
    """An error of the same class with another text, where its class allows it."""
    try:
        other = type(error)(text)
        return other if text in str(other) else ValueError(text)
    except Exception:
        return ValueError(text)


class FileSource(Source):
    """Files of one kind."""

    def __init__(
        self,
        name: str,
        paths: Any,
        options: FileOptions,
        reader: FileReader,
        what: str,
        cpus: int,
        bytes_factor: float = 1,
    ) -> None:
        self.name, self.options, self.cpus = name, options, cpus
        self.files = find_files(paths, options, what)
        self._reader = reader
        self.bytes_factor = bytes_factor  # how much larger a file is in memory
        self._runs = 0

    def tasks(self, parallelism: int, context: DataContext) -> list[ReadTask]:
        files = self.ordered_files()
        total = sum(file.size for file in files) * self.bytes_factor
        parts = task_count(parallelism, self.cpus, int(total), max(len(files), 1), context)
        return [
            ReadTask([file.path for file in run], -1, sum(file.size for file in run))
            for run in split_evenly(files, parts)
        ]

    def ordered_files(self) -> list[FoundFile]:
        """The files in the order in which this run reads them."""
        shuffle = self.options.shuffle
        if shuffle is None:
            return self.files
        seed = shuffle.get_seed(self._runs) if isinstance(shuffle, FileShuffleConfig) else None
        self._runs += 1
        files = list(self.files)
        random.Random(seed).shuffle(files)
        return files

    def reader(self) -> Reader:
        return self._reader

    def input_files(self) -> list[str]:
        return [file.path for file in self.files]
