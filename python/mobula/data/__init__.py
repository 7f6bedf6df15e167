"""Data: datasets of any size on one machine, read, transformed and written as a stream, with Ray Data's
interface.

Names are loaded when they are first used: workers need few of them.

>>> import mobula.data
>>> mobula.data.range(1000).map_batches(lambda batch: {"x": batch["id"] % 7}).sum("x")
2997
"""

from importlib import import_module

from mobula.data.exec.preload import prepare_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from mobula.data.compute import ActorPoolStrategy, TaskPoolStrategy
    from mobula.data.context import DataContext, ExecutionOptions, ExecutionResources
    from mobula.data.dataset import Dataset, MaterializedDataset
    from mobula.data.from_api import (
        from_arrow,
        from_arrow_refs,
        from_blocks,
        from_daft,
        from_dask,
        from_huggingface,
        from_items,
        from_modin,
        from_numpy,
        from_numpy_refs,
        from_pandas,
        from_pandas_refs,
        from_tf,
        from_torch,
        range,
        range_tensor,
    )
    from mobula.data.iterator import DataIterator
    from mobula.data.read_api import (
        read_avro,
        read_binary_files,
        read_csv,
        read_images,
        read_json,
        read_numpy,
        read_orc,
        read_parquet,
        read_text,
        read_tfrecords,
        read_videos,
        read_webdataset,
    )
    from mobula.data.read_tables import (
        read_datasource,
        read_delta,
        read_iceberg,
        read_lance,
        read_mongo,
        read_sql,
    )
    from mobula.data.schema import Schema
    from mobula.data.sink.datasink import BlockBasedFileDatasink, Datasink, RowBasedFileDatasink
    from mobula.data.sink.sink import SaveMode
    from mobula.data.source.datasource import Datasource, ReadTask
    from mobula.data.source.files import FileShuffleConfig
    from mobula.data.vendors import (
        from_mars,
        from_spark,
        read_bigquery,
        read_clickhouse,
        read_databricks_tables,
        read_delta_sharing_tables,
        read_hudi,
        read_kafka,
        read_lerobot,
        read_mcap,
        read_snowflake,
        read_unity_catalog,
        read_zarr,
    )

_NAMES = {
    "compute": "ActorPoolStrategy TaskPoolStrategy",
    "context": "DataContext ExecutionOptions ExecutionResources",
    "dataset": "Dataset MaterializedDataset",
    "from_api": "from_arrow from_arrow_refs from_blocks from_daft from_dask from_huggingface from_items "
    "from_modin from_numpy from_numpy_refs from_pandas from_pandas_refs from_tf from_torch "
    "range range_tensor",
    "iterator": "DataIterator",
    "read_api": "read_avro read_binary_files read_csv read_images read_json read_numpy read_orc "
    "read_parquet read_text read_tfrecords read_videos read_webdataset",
    "read_tables": "read_datasource read_delta read_iceberg read_lance read_mongo read_sql",
    "schema": "Schema",
    "sink.datasink": "BlockBasedFileDatasink Datasink RowBasedFileDatasink",
    "sink.sink": "SaveMode",
    "source.datasource": "Datasource ReadTask",
    "source.files": "FileShuffleConfig",
    "vendors": "from_mars from_spark read_bigquery read_clickhouse read_databricks_tables "
    "read_delta_sharing_tables read_hudi read_kafka read_lerobot read_mcap read_snowflake "
    "read_unity_catalog read_zarr",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> "Any":
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


prepare_workers()

__all__ = [
    "ActorPoolStrategy",
    "BlockBasedFileDatasink",
    "DataContext",
    "DataIterator",
    "Dataset",
    "Datasink",
    "Datasource",
    "ExecutionOptions",
    "ExecutionResources",
    "FileShuffleConfig",
    "MaterializedDataset",
    "ReadTask",
    "RowBasedFileDatasink",
    "SaveMode",
    "Schema",
    "TaskPoolStrategy",
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_daft",
    "from_dask",
    "from_huggingface",
    "from_items",
    "from_mars",
    "from_modin",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_spark",
    "from_tf",
    "from_torch",
    "range",
    "range_tensor",
    "read_avro",
    "read_bigquery",
    "read_binary_files",
    "read_clickhouse",
    "read_csv",
    "read_databricks_tables",
    "read_datasource",
    "read_delta",
    "read_delta_sharing_tables",
    "read_hudi",
    "read_iceberg",
    "read_images",
    "read_json",
    "read_kafka",
    "read_lance",
    "read_lerobot",
    "read_mcap",
    "read_mongo",
    "read_numpy",
    "read_orc",
    "read_parquet",
    "read_snowflake",
    "read_sql",
    "read_text",
    "read_tfrecords",
    "read_unity_catalog",
    "read_videos",
    "read_webdataset",
    "read_zarr",
]
