"""Data: datasets of any size on one machine, read, transformed and written as a stream, with Ray Data's interface.

>>> import mobula.data
>>> mobula.data.range(1000).map_batches(lambda batch: {"x": batch["id"] % 7}).sum("x")
2997
"""

from mobula.data.compute import ActorPoolStrategy, TaskPoolStrategy
from mobula.data.context import DataContext, ExecutionOptions, ExecutionResources
from mobula.data.dataset import Dataset, MaterializedDataset
from mobula.data.iterator import DataIterator
from mobula.data.read_api import (
    from_arrow,
    from_arrow_refs,
    from_blocks,
    from_items,
    from_numpy,
    from_numpy_refs,
    from_pandas,
    from_pandas_refs,
    range,  # noqa: A004
    range_tensor,
    read_binary_files,
    read_csv,
    read_images,
    read_json,
    read_numpy,
    read_parquet,
    read_text,
    read_videos,
)
from mobula.data.schema import Schema
from mobula.data.sink.sink import SaveMode
from mobula.data.source.files import FileShuffleConfig

__all__ = [
    "ActorPoolStrategy",
    "DataContext",
    "DataIterator",
    "Dataset",
    "ExecutionOptions",
    "ExecutionResources",
    "FileShuffleConfig",
    "MaterializedDataset",
    "SaveMode",
    "Schema",
    "TaskPoolStrategy",
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
