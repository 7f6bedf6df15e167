"""Making datasets from databases, from tables that other libraries keep, and from users' own sources.

Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mobula.data.dataset import Dataset
from mobula.data.read_api import read_parquet
from mobula.data.read_plan import driver_cpus, read_source
from mobula.data.source.datasource import (
    CallSource,
    Datasource,
    DatasourceSource,
    FileBasedDatasource,
)
from mobula.data.source.files import FileSource
from mobula.data.source.partition import Partitioning
from mobula.data.source.source import Source
from mobula.data.source.sql import SqlSource

__all__ = ["read_datasource", "read_delta", "read_iceberg", "read_lance", "read_mongo", "read_sql"]


def _read(source: Source, what: str, options: dict[str, Any]) -> Dataset:
    left = dict(options)
    blocks, concurrency = left.pop("override_num_blocks", None), left.pop("concurrency", None)
    return read_source(source, what, blocks, concurrency, left, left.pop("parallelism", -1))


def read_sql(
    sql: str,
    connection_factory: Callable[[], Any],
    *,
    sql_params: Any = None,
    shard_keys: Sequence[str] | None = None,
    shard_hash_fn: str = "MD5",
    **options: Any,
) -> Dataset:
    """The rows of a query. `connection_factory` returns a new DB-API connection; it is called in workers.

    One task runs the query and streams its rows. With `shard_keys`, `override_num_blocks` tasks (or one for
    each CPU) ask for the rows for which `MOD(ABS(shard_hash_fn(keys)), tasks)` is theirs, if the database can
    compute that. Options: override_num_blocks, concurrency, num_cpus, memory, ray_remote_args.

    >>> import mobula.data, sqlite3
    >>> mobula.data.read_sql("SELECT 1 AS one", lambda: sqlite3.connect(":memory:")).take_all()
    [{'one': 1}]
    """
    source = SqlSource(sql, connection_factory, sql_params, shard_keys, shard_hash_fn, driver_cpus())
    return _read(source, "read_sql", options)


_OPTIONS = (
    "parallelism",
    "num_cpus",
    "num_gpus",
    "memory",
    "concurrency",
    "compute",
    "override_num_blocks",
    "label_selector",
    "fallback_strategy",
    "max_calls",
    "resources",
    "accelerator_type",
    "runtime_env",
    "ray_remote_args",
)


def read_datasource(datasource: Datasource, **options: Any) -> Dataset:
    """The rows of a user's own Datasource. Options as for `read_sql`; others go to its `create_reader`."""
    ours = {name: options.pop(name) for name in _OPTIONS if name in options}
    if isinstance(datasource, FileBasedDatasource):
        files = FileSource(
            f"Read{datasource.get_name()}", datasource._paths, datasource._options,
            datasource.file_reader(), "read_datasource", driver_cpus(),
        )  # fmt: skip
        return _read(files, "read_datasource", {**ours, **options})
    return _read(DatasourceSource(datasource, options, driver_cpus()), "read_datasource", ours)


def read_delta(
    path: str, version: int | None = None, *, storage_options: Any = None, columns: list[str] | None = None,
    catalog: Any = None, **options: Any
) -> Dataset:  # fmt: skip
    """A Delta Lake table, by the package deltalake, which says what files a version has. Options as for
    `read_parquet`.
    """
    from mobula.data.source.lakes import delta_files

    if catalog is not None:
        raise NotImplementedError("read_delta: catalog= is not supported; pass the table's path")
    files = delta_files(path, version, storage_options)
    options.setdefault("partitioning", Partitioning("hive"))
    return read_parquet(files, columns=columns, **options)


def read_iceberg(
    *,
    table_identifier: str,
    row_filter: Any = None,
    selected_fields: Sequence[str] = ("*",),
    snapshot_id: int | None = None,
    scan_kwargs: dict[str, Any] | None = None,
    catalog_kwargs: dict[str, Any] | None = None,
    catalog: Any = None,
    **options: Any,
) -> Dataset:
    """An Iceberg table, by the package pyiceberg: a task for each file of the scan. Options as for
    `read_sql`.
    """
    from mobula.data.source.lakes import iceberg_calls

    if catalog is not None:
        raise NotImplementedError("read_iceberg: catalog= is not supported; pass catalog_kwargs")
    calls = iceberg_calls(
        table_identifier, row_filter, selected_fields, snapshot_id, scan_kwargs, catalog_kwargs
    )
    return _read(CallSource("ReadIceberg", calls), "read_iceberg", options)


def read_lance(
    uri: str,
    version: Any = None,
    *,
    columns: list[str] | None = None,
    filter: str | None = None,
    storage_options: Any = None,
    scanner_options: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """A Lance dataset, by the package pylance: a task for each fragment. Options as for `read_sql`."""
    from mobula.data.source.lakes import lance_calls

    calls = lance_calls(uri, version, columns, filter, storage_options, scanner_options)
    return _read(CallSource("ReadLance", calls), "read_lance", options)


def read_mongo(
    uri: str, database: str, collection: str, *, pipeline: Any = None, schema: Any = None, **options: Any
) -> Dataset:
    """The documents of a MongoDB collection after a pipeline, by the package pymongo, in one task.

    Options as for `read_sql`; others go to `pymongo.MongoClient`.
    """
    from mobula.data.optional import optional
    from mobula.data.source.lakes import mongo_call

    optional("pymongo", "read_mongo")
    if schema is not None:
        raise NotImplementedError("read_mongo: schema= is not supported; types are those of the documents")
    ours = {name: options.pop(name) for name in _OPTIONS if name in options}
    call = partial(mongo_call, uri, database, collection, pipeline, options)
    return _read(CallSource("ReadMongo", [(f"{database}.{collection}", call)]), "read_mongo", ours)
