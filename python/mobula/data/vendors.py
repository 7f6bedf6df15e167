"""Connectors that Mobula does not have: each raises an error that names the package to use in its place.

Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "from_mars",
    "from_spark",
    "read_bigquery",
    "read_clickhouse",
    "read_databricks_tables",
    "read_delta_sharing_tables",
    "read_hudi",
    "read_kafka",
    "read_lerobot",
    "read_mcap",
    "read_snowflake",
    "read_unity_catalog",
    "read_zarr",
    "refuse",
]

_BLOCKS = "iter_batches(batch_format='pyarrow')"
ADVICE = {
    "from_mars": "to_pandas() of the frame, and from_pandas",
    "from_spark": "pyspark's df.toArrow(), and from_arrow, or write Parquet there and use read_parquet",
    "read_bigquery": "the package google-cloud-bigquery (client.query(sql).to_arrow()), and from_arrow",
    "read_clickhouse": "the package clickhouse-connect: its DB-API connection with read_sql",
    "read_databricks_tables": "the package databricks-sql-connector: its DB-API connection with read_sql",
    "read_delta_sharing_tables": "the package delta-sharing (load_as_pandas), and from_pandas",
    "read_hudi": "the package hudi (HudiTable(uri).read_snapshot()), and from_arrow",
    "read_kafka": "the package confluent-kafka in a Datasource of your own, with read_datasource",
    "read_lerobot": "read_parquet and read_videos on the data set's files",
    "read_mcap": "the package mcap in a FileBasedDatasource of your own, with read_datasource",
    "read_snowflake": "the package snowflake-connector-python: its DB-API connection with read_sql",
    "read_unity_catalog": "the package deltalake with the catalog's URL and token: read_delta",
    "read_zarr": "the package zarr in a Datasource of your own, with read_datasource",
    "to_mars": "to_pandas()",
    "to_spark": "write_parquet, and spark.read.parquet",
    "write_bigquery": "write_parquet, and the package google-cloud-bigquery to load the files",
    "write_clickhouse": "the package clickhouse-connect: client.insert_arrow in map_batches or a Datasink",
    "write_delta": f"the package deltalake: write_deltalake with the tables of {_BLOCKS}",
    "write_iceberg": f"the package pyiceberg: table.append with the tables of {_BLOCKS}",
    "write_kafka": "the package confluent-kafka in a Datasink of your own, with write_datasink",
    "write_lance": f"the package pylance: lance.write_dataset with the tables of {_BLOCKS}",
    "write_mongo": "the package pymongo: insert_many in a Datasink of your own, with write_datasink",
    "write_snowflake": "the package snowflake-connector-python: its DB-API connection with write_sql",
    "write_turbopuffer": "the package turbopuffer in a Datasink of your own, with write_datasink",
}


def refuse(name: str) -> NotImplementedError:
    """The error that says what to use in place of a connector."""
    return NotImplementedError(f"{name} is not part of Mobula; use {ADVICE[name]}")


def _absent(name: str) -> Any:
    def connector(*args: Any, **options: Any) -> Any:
        raise refuse(name)

    connector.__name__ = connector.__qualname__ = name
    connector.__doc__ = f"Not supported; use {ADVICE[name]}."
    return connector


from_mars = _absent("from_mars")
from_spark = _absent("from_spark")
read_bigquery = _absent("read_bigquery")
read_clickhouse = _absent("read_clickhouse")
read_databricks_tables = _absent("read_databricks_tables")
read_delta_sharing_tables = _absent("read_delta_sharing_tables")
read_hudi = _absent("read_hudi")
read_kafka = _absent("read_kafka")
read_lerobot = _absent("read_lerobot")
read_mcap = _absent("read_mcap")
read_snowflake = _absent("read_snowflake")
read_unity_catalog = _absent("read_unity_catalog")
read_zarr = _absent("read_zarr")
