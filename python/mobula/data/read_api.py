"""Making datasets from files.

Tests: tests/contract/test_data_files.py, tests/contract/test_data_readers.py.
"""

from __future__ import annotations

from typing import Any

from mobula.data.dataset import Dataset
from mobula.data.expressions import Expr
from mobula.data.read_plan import driver_cpus, file_options, read_files, read_source
from mobula.data.source.files import FileOptions

__all__ = [
    "read_avro",
    "read_binary_files",
    "read_csv",
    "read_images",
    "read_json",
    "read_numpy",
    "read_orc",
    "read_parquet",
    "read_text",
    "read_tfrecords",
    "read_videos",
    "read_webdataset",
]


def read_binary_files(paths: Any, **options: Any) -> Dataset:
    """Whole files: column `bytes`, and with `include_paths=True` column `path`.

    Options that all readers of files share: include_paths, file_extensions, ignore_missing_paths, shuffle,
    partition_filter, partitioning, filesystem, arrow_open_stream_args, override_num_blocks, concurrency,
    num_cpus, num_gpus, memory, ray_remote_args.
    """
    from mobula.data.source.plain import BinaryReader

    return read_files("read_binary_files", "ReadBinary", paths, BinaryReader, (), options)


def read_text(
    paths: Any, *, encoding: str = "utf-8", drop_empty_lines: bool = True, **options: Any
) -> Dataset:
    """Lines of text: column `text`. Options as for `read_binary_files`."""
    from mobula.data.source.text import TextReader

    return read_files("read_text", "ReadText", paths, TextReader, (encoding, drop_empty_lines), options)


_NUMPY_OPTIONS = ("mmap_mode", "fix_imports", "encoding", "max_header_size")


def read_numpy(
    paths: Any, *, allow_pickle: bool = False, numpy_load_args: dict[str, Any] | None = None, **options: Any
) -> Dataset:
    """`.npy` files: the first dimension's parts are rows in column `data`.

    Further options of numpy.load are taken too. Options as for `read_binary_files`.
    """
    from mobula.data.source.plain import NumpyReader

    given = {name: options.pop(name) for name in _NUMPY_OPTIONS if name in options}
    arguments = (allow_pickle, {**(numpy_load_args or {}), **given})
    return read_files("read_numpy", "ReadNumpy", paths, NumpyReader, arguments, options, ("npy",))


def read_csv(paths: Any, **options: Any) -> Dataset:
    """CSV files, packed ones (.gz, .bz2, .zst, .lz4) too. `read_options`, `parse_options`,
    `convert_options` are those of pyarrow.csv.

    Folders named `key=value` become columns. Options as for `read_binary_files`.
    """
    from mobula.data.source.csv import CsvReader

    names = ("read_options", "parse_options", "convert_options")
    arguments = {name: options.pop(name) for name in names if name in options}
    return read_files(
        "read_csv", "ReadCSV", paths, CsvReader, (arguments,), options, bytes_factor=2, hive=True
    )


def read_json(paths: Any, *, lines: bool = False, **options: Any) -> Dataset:
    """JSON files (.json, .jsonl, packed ones too): objects, one a line or over several, or arrays of them.

    With `lines=True` each line is an object and an array is an error. `read_options` and `parse_options` are
    those of pyarrow.json. Folders named `key=value` become columns. Options as for `read_binary_files`.
    """
    from mobula.data.source.text import JSON_ENDINGS, JsonReader

    arguments = {name: options.pop(name) for name in ("read_options", "parse_options") if name in options}
    return read_files(
        "read_json", "ReadJSON", paths, JsonReader, (lines, arguments), options, JSON_ENDINGS, hive=True
    )


def read_avro(paths: Any, **options: Any) -> Dataset:
    """Avro files: fields are columns. Options as for `read_binary_files`."""
    from mobula.data.source.avro import AvroReader

    return read_files("read_avro", "ReadAvro", paths, AvroReader, (), options, ("avro",), 3, hive=True)


def read_orc(paths: Any, **options: Any) -> Dataset:
    """ORC files, a stripe at a time. Options as for `read_binary_files`."""
    from mobula.data.source.orc import OrcReader

    return read_files("read_orc", "ReadORC", paths, OrcReader, (), options, ("orc",), 3, hive=True)


def read_tfrecords(paths: Any, *, tf_schema: Any = None, **options: Any) -> Dataset:
    """TFRecord files of `tf.train.Example`: features are columns, of bytes, float32 or int64.

    A feature with at most one value in all records of a block is a scalar, else a list; with `tf_schema`
    (tensorflow_metadata's) all are lists. TensorFlow is not needed. Options as for `read_binary_files`.
    """
    from mobula.data.source.tfrecord import TfRecordReader

    endings = tuple(name + packed for name in ("tfrecords", "tfrecord") for packed in ("", ".gz"))
    return read_files(
        "read_tfrecords", "ReadTFRecord", paths, TfRecordReader, (tf_schema,), options, endings, hive=True
    )


def read_webdataset(
    paths: Any,
    *,
    decoder: Any = True,
    fileselect: Any = None,
    filerename: Any = None,
    suffixes: Any = None,
    verbose_open: bool = False,
    expand_json: bool = False,
    **options: Any,
) -> Dataset:
    """WebDataset archives (.tar): files of one name are a row, their endings its columns, beside `__key__`
    and `__url__` (the archive).

    `decoder=True` decodes txt, cls, json, npy, pictures, mp, pt and pickles (which run code: read only
    archives that you trust); None gives bytes; a function or a list of them gets the row. `fileselect` and
    `suffixes` are patterns or functions, `filerename` a function; `expand_json=True` makes the fields of
    `json` columns. Options as for `read_binary_files`.
    """
    from mobula.data.source.webdataset import WebDatasetReader

    arguments = (decoder, fileselect, filerename, suffixes, verbose_open, expand_json)
    endings = ("tar", "tar.gz", "tgz")
    return read_files(
        "read_webdataset", "ReadWebDataset", paths, WebDatasetReader, arguments, options, endings
    )


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
    return read_files(
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
    return read_files("read_videos", "ReadVideos", paths, VideoReader, arguments, options, VIDEO_ENDINGS)


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
    files = file_options("read_parquet", left, None)
    partitioning = parquet_files(paths, files)
    files = FileOptions(**{**vars(files), "partitioning": partitioning})
    blocks, concurrency = left.pop("override_num_blocks", None), left.pop("concurrency", None)
    parallelism = left.pop("parallelism", -1)
    chosen = [columns] if isinstance(columns, str) else columns
    source = ParquetSource(paths, files, chosen, expression, {}, driver_cpus())
    return read_source(source, "read_parquet", blocks, concurrency, left, parallelism)
