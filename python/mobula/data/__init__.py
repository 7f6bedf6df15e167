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
        range,
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

_NAMES = {
    "compute": "ActorPoolStrategy TaskPoolStrategy",
    "context": "DataContext ExecutionOptions ExecutionResources",
    "dataset": "Dataset MaterializedDataset",
    "iterator": "DataIterator",
    "read_api": "from_arrow from_arrow_refs from_blocks from_items from_numpy from_numpy_refs from_pandas "
    "from_pandas_refs range range_tensor read_binary_files read_csv read_images read_json "
    "read_numpy read_parquet read_text read_videos",
    "schema": "Schema",
    "sink.sink": "SaveMode",
    "source.files": "FileShuffleConfig",
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
