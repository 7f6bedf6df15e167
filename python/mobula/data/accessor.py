"""Blocks as users' own datasources and datasinks meet them: Ray's BlockAccessor and BlockMetadata.

Tests: tests/contract/test_data_readers.py, tests/contract/test_data_writers.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas

__all__ = ["BlockAccessor", "BlockMetadata"]


@dataclass
class BlockMetadata:
    """What is known of a block before it is read."""

    num_rows: int | None = None
    size_bytes: int | None = None
    exec_stats: Any = None
    input_files: list[str] | None = None
    schema: Any = None


class BlockAccessor:
    """A block in the form that one asks for.

    >>> BlockAccessor.for_block({"x": [1, 2]}).num_rows()
    2
    """

    def __init__(self, block: Any) -> None:
        from mobula.data.block import table_from_batch

        self._table: pa.Table = table_from_batch(block)

    @staticmethod
    def for_block(block: Any) -> BlockAccessor:
        """An accessor of a table, a frame or a dict of arrays."""
        return block if isinstance(block, BlockAccessor) else BlockAccessor(block)

    @staticmethod
    def batch_to_block(batch: Any, block_type: Any = None) -> pa.Table:
        """A batch as a block."""
        return BlockAccessor(batch)._table

    def num_rows(self) -> int:
        """The number of rows."""
        return int(self._table.num_rows)

    def size_bytes(self) -> int:
        """The bytes of its values."""
        return int(self._table.nbytes)

    def schema(self) -> pa.Schema:
        """The columns."""
        return self._table.schema

    def column_names(self) -> list[str]:
        """The columns' names."""
        return list(self._table.column_names)

    def to_arrow(self) -> pa.Table:
        """As an Arrow table."""
        return self._table

    def to_block(self) -> pa.Table:
        """As the block that it is."""
        return self._table

    def to_pandas(self) -> pandas.DataFrame:
        """As a frame."""
        from mobula.data.block import table_to_pandas

        return table_to_pandas(self._table)

    def to_numpy(self, columns: str | list[str] | None = None) -> Any:
        """As a dict of arrays, or the array of one column."""
        from mobula.data.block import table_to_batch

        names = [columns] if isinstance(columns, str) else columns
        batch = table_to_batch(self._table if names is None else self._table.select(names), "numpy")
        return batch[columns] if isinstance(columns, str) else batch

    def to_batch_format(self, batch_format: str | None) -> Any:
        """As a batch of a format."""
        from mobula.data.block import checked_batch_format, table_to_batch

        return table_to_batch(self._table, checked_batch_format(batch_format))

    def iter_rows(self, public_row_format: bool = True) -> Iterator[dict[str, Any]]:
        """The rows as dicts."""
        from mobula.data.block import table_to_rows

        yield from table_to_rows(self._table)

    def slice(self, start: int, end: int, copy: bool = False) -> pa.Table:
        """The rows from start to end."""
        return self._table.slice(start, end - start)

    def take(self, indices: list[int]) -> pa.Table:
        """The rows at these places."""
        return self._table.take(pa.array(indices, pa.int64()))

    def select(self, columns: list[str]) -> pa.Table:
        """Some columns."""
        return self._table.select(columns)

    def get_metadata(self, input_files: list[str] | None = None, exec_stats: Any = None) -> BlockMetadata:
        """What is known of it."""
        return BlockMetadata(self.num_rows(), self.size_bytes(), exec_stats, input_files, self.schema())
