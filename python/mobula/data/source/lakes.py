"""Tables that libraries of their own keep: Delta Lake, Iceberg, Lance, MongoDB. The library plans on the
driver; workers read. Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from mobula.data.block import table_from_rows
from mobula.data.optional import optional

Calls = list[tuple[str, Callable[[], Iterator[Any]]]]
ROWS_PER_BLOCK = 10_000


def delta_files(path: str, version: Any, storage_options: Any) -> list[str]:
    """The Parquet files of a Delta table's version; deltalake's own reader is needed past plain files."""
    deltalake = optional("deltalake", "read_delta")
    table = deltalake.DeltaTable(path, version=version, storage_options=storage_options)
    features = getattr(table.protocol(), "reader_features", None) or []
    refused = {"deletionVectors", "columnMapping"} & set(features)
    if refused:
        raise NotImplementedError(
            f"read_delta: {path} uses {', '.join(sorted(refused))}, so its files alone are not its rows; "
            "rewrite the table without them (OPTIMIZE, REORG), or read it with deltalake's to_pyarrow_table "
            "and from_arrow"
        )
    return list(table.file_uris())


def iceberg_calls(
    identifier: str, row_filter: Any, fields: Any, snapshot_id: Any, scan_options: Any, catalog_options: Any
) -> Calls:
    """A call for each file of an Iceberg table's scan."""
    catalogs = optional("pyiceberg.catalog", "read_iceberg")
    table = catalogs.load_catalog(**(catalog_options or {})).load_table(identifier)
    options = dict(scan_options or {})
    if row_filter is not None:
        options["row_filter"] = row_filter
    scan = table.scan(selected_fields=tuple(fields), snapshot_id=snapshot_id, **options)
    parts = (scan.table_metadata, scan.io, scan.projection(), scan.row_filter)
    return [(task.file.file_path, partial(_read_iceberg, parts, task)) for task in scan.plan_files()]


def _read_iceberg(parts: tuple[Any, ...], task: Any) -> Iterator[pa.Table]:
    reader = optional("pyiceberg.io.pyarrow", "read_iceberg")
    for batch in reader.ArrowScan(*parts).to_record_batches([task]):
        yield pa.Table.from_batches([batch])


def lance_calls(
    uri: str, version: Any, columns: Any, filter: Any, storage_options: Any, scanner_options: Any
) -> Calls:
    """A call for each fragment of a Lance dataset."""
    lance = optional("lance", "read_lance")
    dataset = lance.dataset(uri, version=version, storage_options=storage_options)
    options = {**(scanner_options or {})}
    options |= {
        name: value for name, value in (("columns", columns), ("filter", filter)) if value is not None
    }
    place = (uri, dataset.version, storage_options)
    return [
        (f"fragment {one.fragment_id} of {uri}", partial(_read_lance, place, one.fragment_id, options))
        for one in dataset.get_fragments()
    ]


def _read_lance(place: tuple[str, Any, Any], fragment: int, options: dict[str, Any]) -> Iterator[pa.Table]:
    uri, version, storage_options = place
    dataset = optional("lance", "read_lance").dataset(uri, version=version, storage_options=storage_options)
    for batch in dataset.get_fragment(fragment).scanner(**options).to_batches():
        yield pa.Table.from_batches([batch])


def mongo_call(
    uri: str, database: str, collection: str, pipeline: Any, arguments: dict[str, Any]
) -> Iterator[pa.Table]:
    """The documents of a MongoDB query."""
    pymongo = optional("pymongo", "read_mongo")
    with pymongo.MongoClient(uri, **arguments) as client:
        rows: list[dict[str, Any]] = []
        for document in client[database][collection].aggregate(list(pipeline or [])):
            rows.append({name: _plain(value) for name, value in document.items()})
            if len(rows) >= ROWS_PER_BLOCK:
                yield table_from_rows(rows)
                rows = []
        if rows:
            yield table_from_rows(rows)


def _plain(value: Any) -> Any:
    """Ids of documents are text."""
    return str(value) if type(value).__name__ == "ObjectId" else value
