"""Queries over any DB-API connection: rows are fetched some at a time, in one task or, with shard keys, in
several. Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.block import table_from_batch
from mobula.data.op.stage import Run
from mobula.data.source.source import Reader, ReadTask, Source

if TYPE_CHECKING:
    from mobula.data.context import DataContext

ROWS_PER_TASK_MIN = 50
ROWS_FIRST = 1024
BLOCK_BYTES = 4 * 1024 * 1024

logger = logging.getLogger(__name__)


@contextmanager
def cursor_of(connect: Callable[[], Any]) -> Iterator[Any]:
    """A cursor of a new connection: committed at the end, rolled back after an error, closed in any case."""
    connection = connect()
    missing = [name for name in ("close", "commit", "cursor") if not hasattr(connection, name)]
    if missing:
        raise ValueError(
            f"connection_factory gave {type(connection)}, which has no {missing[0]}(); give a function that "
            "returns a DB-API 2 connection (PEP 249)"
        )
    try:
        yield connection.cursor()
        connection.commit()
    except Exception:
        try:
            connection.rollback()
        except Exception as error:  # not every database has transactions; the first error is the one to tell
            logger.debug("rollback failed: %s", error)
        raise
    finally:
        connection.close()


class SqlReader(Reader):
    """Runs the query of a task and fetches its rows."""

    def __init__(self, connect: Callable[[], Any], params: Any) -> None:
        self.connect, self.params = connect, params

    def read(self, payload: Any, run: Run) -> Iterator[pa.Table]:
        run.source = payload
        with cursor_of(self.connect) as cursor:
            execute(cursor, payload, self.params)
            names = [column[0] for column in cursor.description]
            if len(set(names)) < len(names):
                raise ValueError(f"the query has two columns of one name in {names}; name them with AS")
            count, empty = ROWS_FIRST, True
            while rows := cursor.fetchmany(count):
                values = zip(*rows, strict=True)
                table = table_from_batch({n: list(v) for n, v in zip(names, values, strict=True)})
                empty = False
                count = max(1, min(65536, BLOCK_BYTES * table.num_rows // max(table.nbytes, 1)))
                yield table
            if empty:
                yield pa.table({name: pa.nulls(0) for name in names})


def execute(cursor: Any, query: str, params: Any) -> None:
    """Runs a query; an error of the database tells the query."""
    try:
        if params is None:
            cursor.execute(query)
        else:
            cursor.execute(query, params)
    except Exception as error:
        error.add_note(f"(in the query: {query})")
        raise


class SqlSource(Source):
    """A query; with shard keys each task asks for the rows whose hash falls to it."""

    name = "ReadSQL"

    def __init__(
        self,
        sql: str,
        connect: Callable[[], Any],
        params: Any,
        shard_keys: Sequence[str] | None,
        shard_hash: str,
        cpus: int,
    ) -> None:
        self.sql, self.connect, self.params, self.cpus = sql, connect, params, cpus
        keys = list(shard_keys or ())
        self.key = f"CONCAT({','.join(keys)})" if len(keys) > 1 else "".join(keys)
        self.hash = shard_hash

    def reader(self) -> Reader:
        return SqlReader(self.connect, self.params)

    def tasks(self, parallelism: int, context: DataContext) -> list[ReadTask]:
        wanted = parallelism if parallelism > 0 else self.cpus
        if self.key and wanted > 1:
            wanted = min(wanted, math.ceil(self._count() / ROWS_PER_TASK_MIN))
        if not self.key or wanted <= 1 or not self._can_shard(wanted):
            return [ReadTask(self.sql)]
        return [ReadTask(self._shard("*", wanted, number)) for number in range(wanted)]

    def _shard(self, what: str, parts: int, number: int) -> str:
        return (
            f"SELECT {what} FROM ({self.sql}) AS T "
            f"WHERE MOD(ABS({self.hash}({self.key})), {parts}) = {number}"
        )

    def _count(self) -> int:
        with cursor_of(self.connect) as cursor:
            execute(cursor, f"SELECT COUNT(*) FROM ({self.sql}) AS T", self.params)
            return int(cursor.fetchone()[0])

    def _can_shard(self, parts: int) -> bool:
        try:
            with cursor_of(self.connect) as cursor:
                execute(cursor, self._shard("COUNT(1)", parts, 0), self.params)
                return True
        except Exception as error:
            logger.warning(
                "read_sql: the database cannot hash the shard keys (%s); the query runs in one task. Pass a "
                "function that it has as shard_hash_fn",
                error,
            )
            return False
