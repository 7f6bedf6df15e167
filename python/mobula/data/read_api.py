"""Making datasets: from memory, from files, from clips and pictures.

Tests: tests/contract/test_data_files.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch, table_from_pandas, table_from_rows
from mobula.data.compute import compute_strategy
from mobula.data.context import DataContext
from mobula.data.dataset import Dataset, MaterializedDataset
from mobula.data.expressions import Expr
from mobula.data.plan.logical import Blocks, Read, Tables
from mobula.data.plan.options import remote_options
from mobula.data.schema import Schema
from mobula.data.source.files import FileOptions, FileReader, FileSource
from mobula.data.source.generated import RangeSource
from mobula.data.source.source import Source, split_evenly

if TYPE_CHECKING:
    import pandas

__all__ = [
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_items",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "range",
    "range_tensor",
    "read_binary_files",
    "read_csv",
    "read_images",
    "read_json",
    "read_numpy",
    "read_parquet",
    "read_text",
    "read_videos",
]

_builtin_range = range
ITEM_BLOCKS_MIN = 16


def _cpus() -> int:
    from mobula import _core, _driver

    if not _core.is_open():
        return _driver.cpus()
    return max(1, int(sum(node["total"].get("CPU", 0) for node in _core.cluster() if node["alive"])))


def _parallelism(override_num_blocks: int | None, parallelism: int, what: str) -> int:
    wanted = parallelism if override_num_blocks is None else override_num_blocks
    if not isinstance(wanted, int) or wanted == 0 or wanted < -1:
        raise ValueError(f"{what}: override_num_blocks={wanted!r}; give a number of at least 1")
    return wanted


# -- from memory -------------------------------------------------------------------------------------


def range(
    n: int, *, parallelism: int = -1, concurrency: int | None = None, override_num_blocks: int | None = None
) -> Dataset:
    """The numbers 0 to n - 1 in column `id`.

    >>> import mobula.data
    >>> mobula.data.range(3).take_all()
    [{'id': 0}, {'id': 1}, {'id': 2}]
    """
    return _read(RangeSource(n, cpus=_cpus()), "range", override_num_blocks, concurrency, {}, parallelism)


def range_tensor(
    n: int,
    *,
    shape: tuple[int, ...] = (1,),
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """n tensors of a shape in column `data`; the i-th is full of i."""
    source = RangeSource(n, tuple(shape), cpus=_cpus())
    return _read(source, "range_tensor", override_num_blocks, concurrency, {}, parallelism)


def from_items(
    items: Sequence[Any], *, parallelism: int = -1, override_num_blocks: int | None = None
) -> Dataset:
    """Items of a list: dicts become rows, other values go into column `item`."""
    items = list(items)
    wanted = _parallelism(override_num_blocks, parallelism, "from_items")
    parts = wanted if wanted > 0 else max(ITEM_BLOCKS_MIN, 4 * _cpus())
    rows = [item if isinstance(item, dict) else {"item": item} for item in items]
    tables = [table_from_rows(run) for run in split_evenly(rows, max(1, min(parts, len(rows))))]
    return Dataset(Tables((), tuple(tables), label="FromItems"))


def _from_tables(
    tables: Sequence[pa.Table], label: str, override_num_blocks: int | None = None
) -> MaterializedDataset:
    if override_num_blocks is not None and len(tables):
        wanted = _parallelism(override_num_blocks, -1, label)
        whole = pa.concat_tables(tables) if len(tables) > 1 else tables[0]
        edges = [whole.num_rows * i // wanted for i in _builtin_range(wanted + 1)]
        tables = [whole.slice(start, end - start) for start, end in itertools.pairwise(edges)]
    from mobula import _core, _driver
    from mobula.data.exec.run import put_tables

    _driver.ensure()
    node = Tables((), tuple(tables), label=label)
    handles = put_tables(node, _core.session())
    schema = node.schema()
    return MaterializedDataset(Blocks((), tuple(handles), schema, label))


def from_arrow(tables: Any, *, override_num_blocks: int | None = None) -> MaterializedDataset:
    """Arrow tables, each a block."""
    found = list(tables) if isinstance(tables, (list, tuple)) else [tables]
    checked = []
    for table in found:
        if isinstance(table, bytes):
            table = pa.ipc.open_stream(table).read_all()
        if not isinstance(table, pa.Table):
            raise TypeError(f"from_arrow takes pyarrow.Table or a list of them, got {type(table)}")
        checked.append(table)
    return _from_tables(checked, "FromArrow", override_num_blocks)


def from_pandas(
    dfs: pandas.DataFrame | list[pandas.DataFrame], *, override_num_blocks: int | None = None
) -> MaterializedDataset:
    """Frames, each a block."""
    frames = dfs if isinstance(dfs, (list, tuple)) else [dfs]
    return _from_tables([table_from_pandas(frame) for frame in frames], "FromPandas", override_num_blocks)


def from_numpy(ndarrays: np.ndarray | list[np.ndarray]) -> MaterializedDataset:
    """Arrays, each a block: their first dimension's parts are rows in column `data`."""
    arrays = [ndarrays] if isinstance(ndarrays, np.ndarray) else list(ndarrays)
    return _from_tables([table_from_batch({"data": array}) for array in arrays], "FromNumpy")


def _from_refs(refs: Any, convert: Any, label: str) -> MaterializedDataset:
    from mobula import _core

    found = refs if isinstance(refs, (list, tuple)) else [refs]
    return _from_tables([convert(_core.get(ref)) for ref in found], label)


def from_arrow_refs(tables: Any) -> MaterializedDataset:
    """References to Arrow tables."""
    return _from_refs(tables, table_from_batch, "FromArrowRefs")


def from_pandas_refs(dfs: Any) -> MaterializedDataset:
    """References to frames."""
    return _from_refs(dfs, table_from_pandas, "FromPandasRefs")


def from_numpy_refs(ndarrays: Any) -> MaterializedDataset:
    """References to arrays."""
    return _from_refs(ndarrays, lambda array: table_from_batch({"data": array}), "FromNumpyRefs")


def from_blocks(blocks: Sequence[Any]) -> MaterializedDataset:
    """Arrow tables or frames as blocks."""
    return _from_tables([table_from_batch(block) for block in blocks], "FromBlocks")


# -- from files --------------------------------------------------------------------------------------

_FILE_OPTIONS = (
    "filesystem",
    "partition_filter",
    "partitioning",
    "ignore_missing_paths",
    "shuffle",
    "include_paths",
)


def _file_options(what: str, options: dict[str, Any], file_extensions: Sequence[str] | None) -> FileOptions:
    taken = {name: options.pop(name) for name in _FILE_OPTIONS if options.get(name) is not None}
    for name in _FILE_OPTIONS:
        options.pop(name, None)
    chosen = options.pop("file_extensions", file_extensions)
    stream_args = options.pop("arrow_open_stream_args", None) or {}
    options.pop("meta_provider", None)
    return FileOptions(**taken, file_extensions=chosen, arrow_open_stream_args=stream_args)


def _read(
    source: Source,
    what: str,
    override_num_blocks: int | None,
    concurrency: Any,
    options: dict[str, Any],
    parallelism: int = -1,
    schema: pa.Schema | None = None,
) -> Dataset:
    left = dict(options)
    named = {name: left.pop(name, None) for name in ("num_cpus", "num_gpus", "memory", "resources")}
    extra = left.pop("ray_remote_args", None) or {}
    remote = remote_options(what, **named, ray_remote_args={**extra, **left})
    wanted = _parallelism(override_num_blocks, parallelism, what)
    compute = compute_strategy(None, left.pop("compute", None), concurrency)
    dataset = Dataset(Read((), source, wanted, compute, remote), DataContext.get_current().copy())
    dataset._schema = None if schema is None else Schema(schema)
    return dataset


def _read_files(
    what: str,
    name: str,
    paths: Any,
    reader: Callable[..., FileReader],
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    endings: Sequence[str] | None = None,
    bytes_factor: float = 1,
) -> Dataset:
    left = dict(options)
    files = _file_options(what, left, endings)
    blocks, concurrency = left.pop("override_num_blocks", None), left.pop("concurrency", None)
    parallelism = left.pop("parallelism", -1)
    source = FileSource(name, paths, files, reader(files, *arguments), what, _cpus(), bytes_factor)
    return _read(source, what, blocks, concurrency, left, parallelism)


def read_binary_files(paths: Any, **options: Any) -> Dataset:
    """Whole files: column `bytes`, and with `include_paths=True` column `path`.

    Options that all readers of files share: include_paths, file_extensions, ignore_missing_paths, shuffle,
    partition_filter, partitioning, filesystem, arrow_open_stream_args, override_num_blocks, concurrency,
    num_cpus, num_gpus, memory, ray_remote_args.
    """
    from mobula.data.source.plain import BinaryReader

    return _read_files("read_binary_files", "ReadBinary", paths, BinaryReader, (), options)


def read_text(
    paths: Any, *, encoding: str = "utf-8", drop_empty_lines: bool = True, **options: Any
) -> Dataset:
    """Lines of text: column `text`. Options as for `read_binary_files`."""
    from mobula.data.source.plain import TextReader

    return _read_files("read_text", "ReadText", paths, TextReader, (encoding, drop_empty_lines), options)


def read_numpy(
    paths: Any, *, allow_pickle: bool = False, numpy_load_args: dict[str, Any] | None = None, **options: Any
) -> Dataset:
    """`.npy` files: the first dimension's parts are rows in column `data`. Options as for
    `read_binary_files`.
    """
    from mobula.data.source.plain import NumpyReader

    arguments = (allow_pickle, numpy_load_args or {})
    return _read_files("read_numpy", "ReadNumpy", paths, NumpyReader, arguments, options, ("npy",))


_CSV_OPTIONS = ("read_options", "parse_options", "convert_options")


def read_csv(paths: Any, **options: Any) -> Dataset:
    """CSV files. `read_options`, `parse_options`, `convert_options` are Arrow's; others as for
    `read_binary_files`.
    """
    from mobula.data.source.plain import CsvReader

    arguments = {name: options.pop(name) for name in _CSV_OPTIONS if name in options}
    return _read_files("read_csv", "ReadCSV", paths, CsvReader, (arguments,), options, bytes_factor=2)


def read_json(paths: Any, *, lines: bool = False, **options: Any) -> Dataset:
    """JSON objects, one a line, or arrays of them. Options as for `read_binary_files`."""
    from mobula.data.source.plain import JsonReader

    arguments = {name: options.pop(name) for name in ("read_options", "parse_options") if name in options}
    return _read_files("read_json", "ReadJSON", paths, JsonReader, (lines, arguments), options)


def read_images(
    paths: Any, *, size: tuple[int, int] | None = None, mode: str | None = None, **options: Any
) -> Dataset:
    """Pictures: column `image`, arrays of height x width (x channels).

    They are resized to `size` (height, width) and converted to Pillow's `mode` ("RGB", "L", …) if given.
    Options as for `read_binary_files`.
    """
    from mobula.data.source.image import IMAGE_ENDINGS, ImageReader, checked_size

    arguments = (checked_size(size, "read_images"), mode)
    options.pop("arrow_open_file_args", None)
    factor = 4 if size is None else 1
    return _read_files(
        "read_images", "ReadImages", paths, ImageReader, arguments, options, IMAGE_ENDINGS, factor
    )


def read_videos(
    paths: Any,
    *,
    include_timestamps: bool = False,
    fps: float | None = None,
    resize: tuple[int, int] | None = None,
    fit: str = "stretch",
    filter: str = "bilinear",
    include_paths: bool = False,
    **options: Any,
) -> Dataset:
    """Frames of clips: columns `frame` (height x width x 3), `frame_index`, and on request
    `frame_timestamp`, `path`.

    Blocks come while a clip is still being decoded; it is never held whole. `fps` takes at most so many
    frames a second, `resize` is (height, width): `fit` "stretch" fills it, "letterbox" keeps the aspect
    with black borders; `filter` is "nearest", "bilinear", "bicubic" or "area". Options as for
    `read_binary_files`.
    """
    from mobula.data.source.image import checked_size
    from mobula.data.source.video import VIDEO_ENDINGS, VideoReader

    if fps is not None and fps <= 0:
        raise ValueError(f"read_videos: fps={fps}; give a positive number")
    if fit not in ("stretch", "letterbox"):
        raise ValueError(f"read_videos: fit={fit!r}; it is 'stretch' or 'letterbox'")
    if filter not in ("nearest", "bilinear", "bicubic", "area"):
        raise ValueError(f"read_videos: filter={filter!r}; it is 'nearest', 'bilinear', 'bicubic' or 'area'")
    arguments = (include_timestamps, fps, checked_size(resize, "read_videos"), fit, filter)
    options["include_paths"] = include_paths
    count = options.get("override_num_blocks")
    options["override_num_blocks"] = 1 << 30 if count is None else count  # a clip is a task of its own
    return _read_files("read_videos", "ReadVideos", paths, VideoReader, arguments, options, VIDEO_ENDINGS)


def read_parquet(
    paths: Any,
    *,
    columns: list[str] | None = None,
    filter: Any = None,
    **options: Any,
) -> Dataset:
    """Parquet files: `columns` are those to read, `filter` an expression (`col("x") > 1`) of rows to keep.

    Folders named `key=value` become columns. Options as for `read_binary_files`.
    """
    from mobula.data.expressions import parse_expression
    from mobula.data.source.parquet import ParquetSource, parquet_files

    left = dict(options)
    refused = [
        name
        for name in ("tensor_column_schema", "catalog", "include_row_hash", "skip_paths")
        if left.pop(name, None)
    ]
    if refused:
        raise NotImplementedError(f"read_parquet: {refused[0]} is not supported yet")
    for name in ("dataset_kwargs", "use_threads", "batch_size", "arrow_parquet_args"):
        left.pop(name, None)
    expression = parse_expression(filter) if isinstance(filter, str) else filter
    if expression is not None and not isinstance(expression, Expr):
        raise ValueError(
            "read_parquet: filter is an expression of mobula.data.expressions, such as col('x') > 1"
        )
    files = _file_options("read_parquet", left, None)
    partitioning = parquet_files(paths, files)
    files = FileOptions(**{**vars(files), "partitioning": partitioning})
    blocks, concurrency = left.pop("override_num_blocks", None), left.pop("concurrency", None)
    parallelism = left.pop("parallelism", -1)
    chosen = [columns] if isinstance(columns, str) else columns
    source = ParquetSource(paths, files, chosen, expression, {}, _cpus())
    return _read(source, "read_parquet", blocks, concurrency, left, parallelism)
