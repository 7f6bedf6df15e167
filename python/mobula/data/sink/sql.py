"""Rows into a database over any DB-API connection; each task is one transaction. Tests:
tests/contract/test_data_writers.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from mobula.data.block import column_to_python
from mobula.data.op.stage import Run
from mobula.data.sink.sink import Sink
from mobula.data.source.sql import cursor_of

ROWS_PER_CALL = 1024


class SqlSink(Sink):
    """Runs `sql` (an INSERT with a mark for each column) for each row."""

    name = "WriteSQL"

    def __init__(self, sql: str, connect: Callable[[], Any]) -> None:
        self.sql, self.connect = sql, connect

    def write(self, blocks: Iterator[pa.Table], run: Run) -> None:
        with cursor_of(self.connect) as cursor:
            for block in blocks:
                columns = [column_to_python(block.column(name)) for name in block.column_names]
                rows = list(zip(*columns, strict=True))
                for start in range(0, len(rows), ROWS_PER_CALL):
                    cursor.executemany(self.sql, rows[start : start + ROWS_PER_CALL])
