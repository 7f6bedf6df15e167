"""Iterating over a dataset: by rows, batches and torch batches. Each iteration runs the plan anew.

Tests: tests/contract/test_data_run.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.batching import batches, checked_batch_size, torch_batches
from mobula.data.block import checked_batch_format, table_to_rows

if TYPE_CHECKING:
    from mobula.data.context import DataContext
    from mobula.data.dataset import Dataset, MaterializedDataset
    from mobula.data.schema import Schema

__all__ = ["DataIterator"]


class Repeatable:
    """What the iter_ methods give: each `iter()` of it begins a run of its own."""

    def __init__(self, begin: Callable[[], Iterator[Any]]) -> None:
        self._begin = begin

    def __iter__(self) -> Iterator[Any]:
        return self._begin()


class DataIterator:
    """A dataset to be read from start to end, again and again.

    >>> import mobula.data
    >>> iterator = mobula.data.range(4).iterator()
    >>> [len(batch["id"]) for batch in iterator.iter_batches(batch_size=3)]
    [3, 1]
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def __repr__(self) -> str:
        return f"DataIterator({self._dataset!r})"

    def _blocks(self) -> Iterator[pa.Table]:
        return self._dataset._tables()

    def iter_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        batch_format: str | None = "default",
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        _collate_fn: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Batches of `batch_size` rows (None: whole blocks) as NumPy dicts, pandas frames or Arrow tables.

        The run works ahead in the background as far as its memory allows, whatever `prefetch_batches` says.
        """
        size = checked_batch_size(batch_size, "iter_batches")
        form = checked_batch_format(batch_format)
        if prefetch_batches < 0:
            raise ValueError(f"iter_batches: prefetch_batches={prefetch_batches}; give 0 or more")

        def begin() -> Iterator[Any]:
            found = batches(
                self._blocks(), size, form, drop_last, local_shuffle_buffer_size, local_shuffle_seed
            )
            return found if _collate_fn is None else map(_collate_fn, found)

        return Repeatable(begin)

    def iter_rows(self) -> Any:
        """Rows, as dicts."""
        return Repeatable(lambda: (row for block in self._blocks() for row in table_to_rows(block)))

    def iter_torch_batches(
        self,
        *,
        prefetch_batches: int = 1,
        batch_size: int | None = 256,
        dtypes: Any = None,
        device: Any = "auto",
        collate_fn: Callable[[Any], Any] | None = None,
        drop_last: bool = False,
        local_shuffle_buffer_size: int | None = None,
        local_shuffle_seed: int | None = None,
        pin_memory: bool = False,
    ) -> Any:
        """Batches as dicts of torch tensors, or what `collate_fn` makes of a NumPy batch."""
        numpy_batches = self.iter_batches(
            prefetch_batches=prefetch_batches,
            batch_size=batch_size,
            drop_last=drop_last,
            local_shuffle_buffer_size=local_shuffle_buffer_size,
            local_shuffle_seed=local_shuffle_seed,
        )
        return Repeatable(lambda: torch_batches(iter(numpy_batches), dtypes, device, collate_fn, pin_memory))

    def materialize(self) -> MaterializedDataset:
        """The dataset, run and kept in the store."""
        return self._dataset.materialize()

    def schema(self) -> Schema | None:
        """Names and types of the columns."""
        return self._dataset.schema()

    def stats(self) -> str:
        """What the last run did."""
        return self._dataset.stats()

    def get_context(self) -> DataContext:
        """The dataset's settings."""
        return self._dataset.context
