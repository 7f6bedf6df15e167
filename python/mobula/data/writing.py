"""Datasets as files, database rows, and other libraries' frames: the methods of Dataset that give it away.

Tests: tests/contract/test_data_writers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import cloudpickle

from mobula.data.compute import compute_strategy
from mobula.data.export import Export
from mobula.data.plan.logical import Apply
from mobula.data.plan.options import remote_options
from mobula.data.sink.sink import Sink, WriteStage, Written

if TYPE_CHECKING:
    from mobula.data.sink.datasink import Datasink

_FOLDER = ("filesystem", "try_create_dir", "arrow_open_stream_args", "filename_provider", "mode")
_RUN = ("min_rows_per_file", "num_rows_per_file", "ray_remote_args", "concurrency")


class Writing(Export):
    """The `write_…` methods."""

    def write_parquet(
        self,
        path: str,
        *,
        partition_cols: Sequence[str] | None = None,
        max_rows_per_file: int | None = None,
        arrow_parquet_args_fn: Callable[[], dict[str, Any]] | None = None,
        min_bytes_per_file: int | None = None,
        catalog: Any = None,
        **options: Any,
    ) -> None:
        """Writes Parquet files into a folder, each complete or not there at all.

        Each block of the last transform's input becomes one file, or several are gathered until a file has
        `min_rows_per_file` rows. With `partition_cols` files go into folders named `column=value`. Options
        that all writers of files share: mode (SaveMode), min_rows_per_file, filename_provider, filesystem,
        try_create_dir, arrow_open_stream_args, concurrency, ray_remote_args. Further options go to
        `pyarrow.parquet.ParquetWriter`.
        """
        from mobula.data.sink.parquet import ParquetSink

        for name, value in (("min_bytes_per_file", min_bytes_per_file), ("catalog", catalog)):
            if value is not None:
                raise NotImplementedError(f"write_parquet: {name} is not supported; use min_rows_per_file")
        folder, run = _taken(options)
        columns = [partition_cols] if isinstance(partition_cols, str) else list(partition_cols or ())
        sink = ParquetSink(
            path,
            "write_parquet",
            "parquet",
            options,
            arrow_parquet_args_fn,
            columns,
            max_rows_per_file,
            **folder,
        )
        self._write(sink, run, "write_parquet")

    def write_csv(
        self, path: str, *, arrow_csv_args_fn: Callable[[], dict[str, Any]] | None = None, **options: Any
    ) -> None:
        """Writes CSV files. `write_options` is pyarrow.csv's; other options as for `write_parquet`."""
        from mobula.data.sink.parquet import CsvSink

        folder, run = _taken(options)
        _refuse(options, ("write_options",), "write_csv")
        sink = CsvSink(path, "write_csv", "csv", options, arrow_csv_args_fn, **folder)
        self._write(sink, run, "write_csv")

    def write_orc(
        self, path: str, *, arrow_orc_args_fn: Callable[[], dict[str, Any]] | None = None, **options: Any
    ) -> None:
        """Writes ORC files. Further options go to `pyarrow.orc.ORCWriter`; others as for
        `write_parquet`.
        """
        from mobula.data.sink.parquet import OrcSink

        folder, run = _taken(options)
        sink = OrcSink(path, "write_orc", "orc", options, arrow_orc_args_fn, **folder)
        self._write(sink, run, "write_orc")

    def write_json(
        self, path: str, *, pandas_json_args_fn: Callable[[], dict[str, Any]] | None = None, **options: Any
    ) -> None:
        """Writes JSON files, one object a line. Options of pandas' `to_json` have pandas write them; other
        options as for `write_parquet`.
        """
        from mobula.data.sink.json import JsonSink

        folder, run = _taken(options)
        sink = JsonSink(path, options, pandas_json_args_fn, **folder)
        self._write(sink, run, "write_json")

    def write_numpy(self, path: str, *, column: str, **options: Any) -> None:
        """Writes one column as `.npy` files. Options as for `write_parquet`."""
        from mobula.data.sink.arrays import NumpySink

        folder, run = _taken(options)
        _refuse(options, (), "write_numpy")
        self._write(NumpySink(path, column, **folder), run, "write_numpy")

    def write_images(self, path: str, column: str, file_format: str = "png", **options: Any) -> None:
        """Writes each row's array (height x width, or x channels) as a picture. Options as for
        `write_parquet`.
        """
        from mobula.data.sink.arrays import ImageSink

        folder, run = _taken(options)
        _refuse(options, (), "write_images")
        self._write(ImageSink(path, column, file_format, **folder), run, "write_images")

    def write_tfrecords(self, path: str, *, tf_schema: Any = None, **options: Any) -> None:
        """Writes TFRecord files, each row a `tf.train.Example` of bytes (or text), integers and floats, and
        lists of them. Options as for `write_parquet`.
        """
        from mobula.data.sink.records import TfRecordSink

        folder, run = _taken(options)
        _refuse(options, (), "write_tfrecords")
        self._write(TfRecordSink(path, tf_schema, **folder), run, "write_tfrecords")

    def write_webdataset(self, path: str, *, encoder: Any = True, **options: Any) -> None:
        """Writes WebDataset archives: each column of a row is a file `__key__.column`, encoded as the end of
        the column's name says. Options as for `write_parquet`.
        """
        from mobula.data.sink.records import WebDatasetSink

        folder, run = _taken(options)
        _refuse(options, (), "write_webdataset")
        self._write(WebDatasetSink(path, encoder, **folder), run, "write_webdataset")

    def write_sql(
        self,
        sql: str,
        connection_factory: Callable[[], Any],
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Runs an INSERT for each row: `write_sql("INSERT INTO t VALUES(?, ?)", connect)`, where `connect`
        returns a DB-API connection. Each task is one transaction.
        """
        from mobula.data.sink.sql import SqlSink

        run = {"ray_remote_args": ray_remote_args, "concurrency": concurrency}
        self._write(SqlSink(sql, connection_factory), run, "write_sql")

    def write_datasink(
        self,
        datasink: Datasink,
        *,
        ray_remote_args: dict[str, Any] | None = None,
        concurrency: int | None = None,
    ) -> None:
        """Writes into a sink of the user's: see mobula.data.Datasink."""
        from mobula.data.sink.datasink import DatasinkSink

        run = {
            "ray_remote_args": ray_remote_args,
            "concurrency": concurrency if datasink.supports_distributed_writes else 1,
            "min_rows_per_file": datasink.min_rows_per_write,
        }
        self._write(DatasinkSink(datasink), run, "write_datasink")

    def _write(self, sink: Sink, run: dict[str, Any], what: str) -> None:
        rows = run.get("min_rows_per_file") or run.get("num_rows_per_file") or 0
        if not isinstance(rows, int) or rows < 0:
            raise ValueError(f"{what}: min_rows_per_file={rows!r}; give a number of rows")
        remote = remote_options(what, ray_remote_args=run.get("ray_remote_args"))
        compute = compute_strategy(None, None, run.get("concurrency"))
        if not sink.prepare():
            return
        node = Apply((self._node,), WriteStage(sink), compute, remote, rows)
        written: list[Written] = []
        try:
            for table in self._whole(node):
                if table.num_columns:
                    written += [
                        Written(cloudpickle.loads(row["answer"]), row["rows"], row["bytes"])
                        for row in table.to_pylist()
                    ]
            sink.finish(written)
        except BaseException as error:
            sink.abandon(error)
            raise


def _taken(options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(those of the folder, those of the run), taken out of a writer's options."""
    folder = {name: options.pop(name) for name in _FOLDER if options.get(name) is not None}
    run = {name: options.pop(name, None) for name in _RUN}
    for name in _FOLDER:
        options.pop(name, None)
    return folder, run


def _refuse(options: dict[str, Any], known: tuple[str, ...], what: str) -> None:
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(f"{what}() got an unexpected keyword argument {unknown[0]!r}")
