"""Datasets as references and as other libraries' frames, and writers that need an account elsewhere.

Tests: tests/contract/test_data_writers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.block import table_to_batch, table_to_pandas
from mobula.data.optional import optional
from mobula.data.plan.logical import BlockHandle, Node
from mobula.data.vendors import refuse

if TYPE_CHECKING:
    import pandas


class Export:
    """The `to_…` methods. A Dataset has what they use."""

    _node: Node

    def _collect(self, node: Node | None = None) -> list[BlockHandle]:
        raise NotImplementedError

    def _whole(self, node: Node | None = None) -> list[pa.Table]:
        raise NotImplementedError

    def _tables(self, node: Node | None = None) -> Iterator[pa.Table]:
        raise NotImplementedError

    def to_pandas(self, limit: int | None = None) -> pandas.DataFrame:
        """All rows as one frame."""
        raise NotImplementedError

    def to_arrow_refs(self) -> list[Any]:
        """References to Arrow tables, one for each block."""
        return self._refs(lambda table: table)

    def to_pandas_refs(self) -> list[Any]:
        """References to pandas frames, one for each block."""
        return self._refs(table_to_pandas)

    def to_numpy_refs(self, *, column: str | None = None) -> list[Any]:
        """References to dicts of arrays, one for each block; to arrays of one column, if given."""
        if column is not None:
            return self._refs(lambda table: table_to_batch(table.select([column]), "numpy")[column])
        return self._refs(lambda table: table_to_batch(table, "numpy"))

    def _refs(self, convert: Callable[[pa.Table], Any]) -> list[Any]:
        from mobula import _core
        from mobula.data.exec.run import load

        return [_core.put(convert(load(block))) for block in self._collect() if block.wanted_rows]

    def to_dask(self, meta: Any = None, verify_meta: bool = True) -> Any:
        """A Dask frame with a partition for each block, which is taken from the store when it is needed."""
        frames = optional("dask.dataframe", "to_dask")
        delayed = optional("dask", "to_dask").delayed
        parts = [delayed(_get)(ref) for ref in self.to_pandas_refs()]
        if not parts:
            parts = [delayed(table_to_pandas)(pa.table({}))]
        return frames.from_delayed(parts, meta=meta, verify_meta=verify_meta)

    def to_modin(self) -> Any:
        """A Modin frame of all rows."""
        return optional("modin.pandas", "to_modin").DataFrame(self.to_pandas())

    def to_daft(self) -> Any:
        """A Daft frame of all blocks."""
        return optional("daft", "to_daft").from_arrow([table for table in self._whole() if table.num_rows])

    # -- elsewhere ------------------------------------------------------------------------------------

    def to_spark(self, spark: Any = None) -> Any:
        """Not supported: it says what to use."""
        raise refuse("to_spark")

    def to_mars(self) -> Any:
        """Not supported: it says what to use."""
        raise refuse("to_mars")

    def write_bigquery(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_bigquery")

    def write_clickhouse(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_clickhouse")

    def write_delta(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_delta")

    def write_iceberg(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_iceberg")

    def write_kafka(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_kafka")

    def write_lance(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_lance")

    def write_mongo(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_mongo")

    def write_snowflake(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_snowflake")

    def write_turbopuffer(self, *args: Any, **options: Any) -> None:
        """Not supported: it says what to use."""
        raise refuse("write_turbopuffer")


def _get(ref: Any) -> Any:
    """What a reference refers to, in Dask's thread."""
    from mobula import _core

    return _core.get(ref)
