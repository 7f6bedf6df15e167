"""Stages: the steps of a fragment. Each turns a stream of blocks into a stream of blocks, lazily.

A stage is pickled into its fragment, opened once in each process, and run for each input. It holds no state
between runs but the instances of users' classes. Tests: tests/python/test_data_fragment.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import concat_tables, table_from_batch, table_from_rows, table_to_batch, table_to_rows
from mobula.data.op.function import UserFunction

Blocks = Iterator[pa.Table]

ROW_BYTES_FLUSH = 16 * 1024 * 1024  # rows gathered before they become a block
ROWS_FLUSH = 65536
SAMPLE_EVERY = 32


class Run:
    """What the stages of one input share: where it comes from, and whom to tell of errors that are
    tolerated.
    """

    def __init__(
        self, tolerant: bool = False, report: Callable[[BaseException], None] | None = None, group: int = 0
    ) -> None:
        self.source = ""  # the file or block now read, for messages
        self.group = group  # the place of the input in its task
        self.tolerant = tolerant
        self.report = report or (lambda error: None)

    def explain(self, error: BaseException, stage: str, first: int, count: int) -> None:
        """Adds to an error of the user's where it happened."""
        if count < 1:
            rows = "at the end of its input"
        else:
            rows = f"row {first}" if count == 1 else f"rows {first} to {first + count - 1}"
        where = f" of {self.source}" if self.source else " of the task's input"
        note = f"(in {stage}, {rows}{where})"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)


class Stage:
    """One step. `name` is what stats and errors call it."""

    name = "?"
    keeps_row_count = False  # as many rows come out as go in

    def open(self) -> None:
        """Called once in each process before the first run."""

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        """The stage's output for one input."""
        raise NotImplementedError


class MapBatches(Stage):
    """Calls a function with batches of `batch_size` rows (None: whole blocks)."""

    def __init__(
        self,
        function: UserFunction,
        batch_size: int | None,
        batch_format: str,
        zero_copy: bool,
        keeps_rows: bool,
    ) -> None:
        self.function, self.batch_size, self.batch_format = function, batch_size, batch_format
        self.zero_copy, self.keeps_row_count = zero_copy, keeps_rows
        self.name = f"MapBatches({function.name})"

    def open(self) -> None:
        self.function.open()

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        position = Position()
        try:
            for _, answer in self.function.results(self._batches(blocks, position)):
                if isinstance(answer, Iterator):
                    for part in answer:
                        yield table_from_batch(part)
                else:
                    yield table_from_batch(answer)
        except Exception as error:
            if position.busy:
                run.explain(error, self.name, position.first, position.count)
            raise

    def _batches(self, blocks: Blocks, position: Position) -> Iterator[Any]:
        for table in rebatched(blocks, self.batch_size):
            position.enter(table.num_rows)
            yield table_to_batch(table, self.batch_format, self.zero_copy)
            position.busy = False


class Position:
    """Which rows of its input a stage is at; `busy` while the user's function has them."""

    def __init__(self) -> None:
        self.first = self.count = 0
        self.busy = False

    def enter(self, rows: int) -> None:
        """The next `rows` rows go to the function."""
        self.first += self.count
        self.count = rows
        self.busy = True


def rebatched(blocks: Blocks, batch_size: int | None) -> Blocks:
    """The same rows in blocks of exactly `batch_size` (the last may be smaller), none of them empty."""
    if batch_size is None:
        yield from (block for block in blocks if block.num_rows)
        return
    waiting: list[pa.Table] = []
    rows = 0
    for block in blocks:
        start = 0
        while block.num_rows - start + rows >= batch_size:
            taken = batch_size - rows
            waiting.append(block if start == 0 and taken == block.num_rows else block.slice(start, taken))
            start += taken
            yield concat_tables(waiting)
            waiting, rows = [], 0
        if start < block.num_rows:
            waiting.append(block.slice(start) if start else block)
            rows += block.num_rows - start
    if rows:
        yield concat_tables(waiting)


class RowFunctions(Stage):
    """Calls functions row by row: a chain of ("map" | "flat_map" | "filter", function)."""

    NAMES = {"map": "Map", "flat_map": "FlatMap", "filter": "Filter"}

    def __init__(self, steps: Sequence[tuple[str, UserFunction]]) -> None:
        self.steps = list(steps)
        self.name = "->".join(f"{self.NAMES[kind]}({function.name})" for kind, function in self.steps)
        self.keeps_row_count = all(kind == "map" for kind, _ in self.steps)

    def joined(self, other: RowFunctions) -> RowFunctions:
        """Both chains as one stage: rows pass between them without becoming a block."""
        return RowFunctions([*self.steps, *other.steps])

    def open(self) -> None:
        for _, function in self.steps:
            function.open()

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        position = Position()
        try:
            if all(kind == "filter" for kind, _ in self.steps):
                yield from self._filtered(blocks, position)
            else:
                yield from self._mapped(blocks, position)
        except Exception as error:
            if position.busy:
                run.explain(error, self.name, position.first, position.count)
            raise

    def _filtered(self, blocks: Blocks, position: Position) -> Blocks:
        """Keeps the blocks' own columns: only the rows' verdicts come from Python."""
        for block in blocks:
            mask = np.zeros(block.num_rows, bool)
            for i, row in enumerate(table_to_rows(block)):
                position.enter(1)
                mask[i] = all(function(row) for _, function in self.steps)
            position.busy = False
            yield block if mask.all() else block.take(pa.array(np.flatnonzero(mask)))

    def _mapped(self, blocks: Blocks, position: Position) -> Blocks:
        rows: Iterator[Any] = self._rows(blocks, position)
        for kind, function in self.steps:
            rows = _ROW_STEPS[kind](rows, function)
        gathered: list[Any] = []
        size = 0
        for row in rows:
            if not isinstance(row, Mapping):
                _refuse_row(row, self.name)
            if len(gathered) % SAMPLE_EVERY == 0:
                size += row_bytes(row) * SAMPLE_EVERY
            gathered.append(row)
            if size >= ROW_BYTES_FLUSH or len(gathered) >= ROWS_FLUSH:
                yield table_from_rows(gathered)
                gathered, size = [], 0
        if gathered:
            yield table_from_rows(gathered)

    def _rows(self, blocks: Blocks, position: Position) -> Iterator[dict[str, Any]]:
        for block in blocks:
            for row in table_to_rows(block):
                position.enter(1)
                yield row
            position.busy = False


def _map_rows(rows: Iterator[Any], function: UserFunction) -> Iterator[Any]:
    if function.is_async:
        return (answer for _, answer in function.results(rows))
    return map(function, rows)


def _flat_map_rows(rows: Iterator[Any], function: UserFunction) -> Iterator[Any]:
    for _, answer in function.results(rows):
        if isinstance(answer, (Mapping, str, bytes)) or not hasattr(answer, "__iter__"):
            raise TypeError(
                f"the function of flat_map must return a list of rows or yield rows, got {type(answer)}"
            )
        yield from answer


def _filter_rows(rows: Iterator[Any], function: UserFunction) -> Iterator[Any]:
    return (row for row, verdict in function.results(rows) if verdict)


_ROW_STEPS = {"map": _map_rows, "flat_map": _flat_map_rows, "filter": _filter_rows}


def _refuse_row(row: Any, name: str) -> None:
    raise ValueError(
        f"{name} returned {type(row)}; a row is a dict of column names to values. Wrap a single value as "
        "{'item': value}"
    )


def row_bytes(row: Mapping[str, Any]) -> int:
    """About how much memory a row's values take."""
    total = 0
    for value in row.values():
        if isinstance(value, np.ndarray):
            total += value.nbytes
        elif isinstance(value, (bytes, str)):
            total += len(value)
        elif isinstance(value, (list, tuple)):
            total += 16 * len(value)
        else:
            total += 8
    return total


class TakeRows(Stage):
    """Ends each input after so many rows: what a limit leaves to be read at most."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.name = f"Limit({rows})"

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        left = self.rows
        for block in blocks:
            yield block if block.num_rows <= left else block.slice(0, left)
            left -= block.num_rows
            if left <= 0:
                return
