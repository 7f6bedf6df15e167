"""Plans that read: the options that all readers share.

Tests: tests/contract/test_data_files.py, tests/contract/test_data_readers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from mobula.data.compute import compute_strategy
from mobula.data.context import DataContext
from mobula.data.dataset import Dataset
from mobula.data.plan.logical import Read
from mobula.data.plan.options import remote_options
from mobula.data.schema import Schema
from mobula.data.source.files import FileOptions, FileReader, FileSource
from mobula.data.source.partition import Partitioning
from mobula.data.source.source import Source


def driver_cpus() -> int:
    """The processors that the engine has, or will have."""
    from mobula import _core, _driver

    if not _core.is_open():
        return _driver.cpus()
    return max(1, int(sum(node["total"].get("CPU", 0) for node in _core.cluster() if node["alive"])))


def checked_parallelism(override_num_blocks: int | None, parallelism: int, what: str) -> int:
    """The number of blocks asked for; -1 to choose."""
    wanted = parallelism if override_num_blocks is None else override_num_blocks
    if not isinstance(wanted, int) or wanted == 0 or wanted < -1:
        raise ValueError(f"{what}: override_num_blocks={wanted!r}; give a number of at least 1")
    return wanted


_FILE_OPTIONS = (
    "filesystem",
    "partition_filter",
    "partitioning",
    "ignore_missing_paths",
    "shuffle",
    "include_paths",
)


def file_options(what: str, options: dict[str, Any], file_extensions: Sequence[str] | None) -> FileOptions:
    """Takes out of `options` those of how files are found."""
    taken = {name: options.pop(name) for name in _FILE_OPTIONS if options.get(name) is not None}
    for name in _FILE_OPTIONS:
        options.pop(name, None)
    chosen = options.pop("file_extensions", file_extensions)
    stream_args = options.pop("arrow_open_stream_args", None) or {}
    options.pop("meta_provider", None)
    return FileOptions(**taken, file_extensions=chosen, arrow_open_stream_args=stream_args)


def read_source(
    source: Source,
    what: str,
    override_num_blocks: int | None,
    concurrency: Any,
    options: dict[str, Any],
    parallelism: int = -1,
    schema: pa.Schema | None = None,
) -> Dataset:
    """The dataset of a source, with the options of its tasks."""
    left = dict(options)
    compute = compute_strategy(None, left.pop("compute", None), concurrency)
    named = {name: left.pop(name, None) for name in ("num_cpus", "num_gpus", "memory", "resources")}
    extra = left.pop("ray_remote_args", None) or {}
    remote = remote_options(what, **named, ray_remote_args={**extra, **left})
    wanted = checked_parallelism(override_num_blocks, parallelism, what)
    dataset = Dataset(Read((), source, wanted, compute, remote), DataContext.get_current().copy())
    dataset._schema = None if schema is None else Schema(schema)
    return dataset


def read_files(
    what: str,
    name: str,
    paths: Any,
    reader: Callable[..., FileReader],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    endings: Sequence[str] | None = None,
    bytes_factor: float = 1,
    hive: bool = False,
) -> Dataset:
    """The dataset of files of one kind. With `hive`, folders named `key=value` become columns unless
    `partitioning` says otherwise.
    """
    left = dict(options)
    if hive:
        left.setdefault("partitioning", Partitioning("hive"))
    files = file_options(what, left, endings)
    blocks, concurrency = left.pop("override_num_blocks", None), left.pop("concurrency", None)
    parallelism = left.pop("parallelism", -1)
    source = FileSource(name, paths, files, reader(files, *arguments), what, driver_cpus(), bytes_factor)
    return read_source(source, what, blocks, concurrency, left, parallelism)
