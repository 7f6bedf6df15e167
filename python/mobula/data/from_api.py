"""Making datasets from what is in memory, and from other libraries' datasets.

Tests: tests/contract/test_data_run.py, tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch, table_from_pandas, table_from_rows
from mobula.data.dataset import Dataset, MaterializedDataset
from mobula.data.optional import optional
from mobula.data.plan.logical import Blocks, Tables
from mobula.data.read_plan import checked_parallelism, driver_cpus, read_source
from mobula.data.source.datasource import CallSource
from mobula.data.source.generated import RangeSource
from mobula.data.source.source import split_evenly

if TYPE_CHECKING:
    import pandas

__all__ = [
    "from_arrow",
    "from_arrow_refs",
    "from_blocks",
    "from_daft",
    "from_dask",
    "from_huggingface",
    "from_items",
    "from_modin",
    "from_numpy",
    "from_numpy_refs",
    "from_pandas",
    "from_pandas_refs",
    "from_tf",
    "from_torch",
    "range",
    "range_tensor",
]

_builtin_range = range
ITEM_BLOCKS_MIN = 16
ROWS_PER_BLOCK = 1024


def range(
    n: int, *, parallelism: int = -1, concurrency: int | None = None, override_num_blocks: int | None = None
) -> Dataset:
    """The numbers 0 to n - 1 in column `id`.

    >>> import mobula.data
    >>> mobula.data.range(3).take_all()
    [{'id': 0}, {'id': 1}, {'id': 2}]
    """
    return read_source(
        RangeSource(n, cpus=driver_cpus()), "range", override_num_blocks, concurrency, {}, parallelism
    )


def range_tensor(
    n: int,
    *,
    shape: tuple[int, ...] = (1,),
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """n tensors of a shape in column `data`; the i-th is full of i."""
    source = RangeSource(n, tuple(shape), cpus=driver_cpus())
    return read_source(source, "range_tensor", override_num_blocks, concurrency, {}, parallelism)


def from_items(
    items: Sequence[Any], *, parallelism: int = -1, override_num_blocks: int | None = None
) -> Dataset:
    """Items of a list: dicts become rows, other values go into column `item`."""
    items = list(items)
    wanted = checked_parallelism(override_num_blocks, parallelism, "from_items")
    parts = wanted if wanted > 0 else max(ITEM_BLOCKS_MIN, 4 * driver_cpus())
    rows = [item if isinstance(item, dict) else {"item": item} for item in items]
    tables = [table_from_rows(run) for run in split_evenly(rows, max(1, min(parts, len(rows))))]
    return Dataset(Tables((), tuple(tables), label="FromItems"))


def _from_tables(
    tables: Sequence[pa.Table], label: str, override_num_blocks: int | None = None
) -> MaterializedDataset:
    if override_num_blocks is not None and len(tables):
        wanted = checked_parallelism(override_num_blocks, -1, label)
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


# -- from other libraries ----------------------------------------------------------------------------


def from_huggingface(
    dataset: Any,
    parallelism: int = -1,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
) -> Dataset:
    """A Hugging Face dataset: one in memory by its Arrow tables, an iterable one as it streams."""
    datasets = optional("datasets", "from_huggingface")
    if isinstance(dataset, (datasets.DatasetDict, datasets.IterableDatasetDict)):
        raise ValueError(
            f"from_huggingface takes one split, this has {sorted(dataset)}: pass dataset['train']"
        )
    if isinstance(dataset, datasets.IterableDataset):
        shards = max(1, dataset.num_shards)
        calls = [
            (f"shard {place}", partial(_shard_of, dataset, shards, place)) for place in _builtin_range(shards)
        ]
        return read_source(CallSource("FromHuggingFace", calls), "from_huggingface", None, concurrency, {})
    if not isinstance(dataset, datasets.Dataset):
        raise TypeError(f"from_huggingface takes a dataset of the package datasets, got {type(dataset)}")
    chosen = dataset.with_format("arrow")
    tables = list(chosen.iter(batch_size=max(1, len(chosen))))
    return _from_tables(tables, "FromHuggingFace", override_num_blocks)


def _shard_of(dataset: Any, shards: int, place: int) -> Iterator[pa.Table]:
    part = dataset.shard(num_shards=shards, index=place) if shards > 1 else dataset
    yield from _tables_of_rows(part)


def _tables_of_rows(rows: Any) -> Iterator[pa.Table]:
    rows = iter(rows)
    while chunk := list(itertools.islice(rows, ROWS_PER_BLOCK)):
        yield table_from_rows([row if isinstance(row, dict) else {"item": row} for row in chunk])


def from_torch(dataset: Any, local_read: bool = False) -> Dataset:
    """A torch dataset: its items are rows of column `item`. One with a length is read in several tasks."""
    if hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__"):
        places = _builtin_range(len(dataset))
        runs = split_evenly(places, max(1, min(len(places), 4 * driver_cpus()))) if len(places) else []
        calls: list[tuple[str, Callable[[], Any]]] = [
            (f"items {run[0]} to {run[-1]}", partial(_items_at, dataset, run)) for run in runs
        ]
    elif hasattr(dataset, "__iter__"):
        calls = [("the dataset", partial(_wrapped, dataset))]
    else:
        raise TypeError(f"from_torch takes a torch.utils.data.Dataset, got {type(dataset)}")
    return read_source(CallSource("FromTorch", calls), "from_torch", None, None, {})


def _items_at(dataset: Any, places: Any) -> Iterator[pa.Table]:
    return _tables_of_rows({"item": dataset[place]} for place in places)


def _wrapped(dataset: Any) -> Iterator[pa.Table]:
    return _tables_of_rows({"item": item} for item in dataset)


def from_tf(dataset: Any) -> MaterializedDataset:
    """A TensorFlow dataset, which must be small enough for memory."""
    optional("tensorflow", "from_tf")
    return from_items(list(dataset.as_numpy_iterator())).materialize()


def from_dask(df: Any) -> Dataset:
    """A Dask frame: each partition is computed in a task."""
    optional("dask.dataframe", "from_dask")
    calls = [(f"partition {place}", partial(_partition, part)) for place, part in enumerate(df.to_delayed())]
    return read_source(CallSource("FromDask", calls), "from_dask", None, None, {})


def _partition(part: Any) -> Iterator[pa.Table]:
    yield table_from_pandas(part.compute(scheduler="synchronous"))


def from_modin(df: Any) -> MaterializedDataset:
    """A Modin frame."""
    optional("modin", "from_modin")
    return from_pandas(df._to_pandas())


def from_daft(df: Any) -> MaterializedDataset:
    """A Daft frame; it is computed here."""
    optional("daft", "from_daft")
    return from_arrow(df.to_arrow())
