"""Fragments: what one task of an operator runs. A serialised chain of stages that turns each input into a
stream of blocks, and after each block says what it was.

A task gets a header and its inputs, in groups: each group is one stream of blocks through the stages. It
yields pairs: a block (or None) and its record (bytes), as src/data/exec/record.h reads them. Tests:
tests/python/test_data_fragment.py.
"""

from __future__ import annotations

import resource
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from mobula.data.block import concat_tables
from mobula.data.op.stage import Run, Stage
from mobula.data.wire import block_for_wire, failure_record

RECORD = struct.Struct(
    "<BBHIqqqqq"
)  # kind, last, stages, group, rows, bytes, ns at work, ns held up, peak RSS
STAGE = struct.Struct("<qq")  # ns, rows
BLOCK, ROWS_ONLY, FAILURE = 0, 1, 2

FLUSH_SOON_NS = 50_000_000  # a block of at least `bytes_min` leaves after this time
FLUSH_LATE_NS = 200_000_000  # any block leaves after this time
CHUNK_BYTES_MIN = 64 * 1024  # smaller chunks of a block are copied into one


class Fragment:
    """A chain of stages with its output's size limits.

    `emits` is "blocks", or "rows" where only the number of rows is wanted.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        bytes_max: int | None,
        bytes_min: int,
        emits: str = "blocks",
        tolerant: bool = False,
    ) -> None:
        self.stages = list(stages)
        self.bytes_max, self.bytes_min = bytes_max, bytes_min
        self.emits, self.tolerant = emits, tolerant
        self._opened = False

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": False}

    @property
    def name(self) -> str:
        """The stages' names, joined as Ray joins them."""
        return "->".join(stage.name for stage in self.stages)

    def open(self) -> None:
        """Makes the instances of users' classes."""
        if not self._opened:
            for stage in self.stages:
                stage.open()
            self._opened = True

    def __call__(self, header: bytes, *inputs: Any) -> Iterator[Any]:
        """One task: yields block, record, block, record, …"""
        self.open()
        place = 0
        pace = Pace()
        for number, group in enumerate(parse_header(header)):
            members = inputs[place : place + len(group.slices)]
            place += len(group.slices)
            yield from _Run(self, number, group, members, pace).items()


class Group:
    """The header's part about one group of inputs."""

    __slots__ = ("literal", "skip_rows", "slices")

    def __init__(self, literal: bool, skip_rows: int, slices: list[tuple[int, int]]) -> None:
        self.literal, self.skip_rows, self.slices = literal, skip_rows, slices


def parse_header(header: bytes) -> list[Group]:
    """A task's header, as src/data/exec/record.cc writes it."""
    (count,) = struct.unpack_from("<I", header, 0)
    place = 4
    groups = []
    for _ in range(count):
        members, flags, skip = struct.unpack_from("<IIq", header, place)
        place += 16
        slices = [struct.unpack_from("<qq", header, place + 16 * i) for i in range(members)]
        place += 16 * members
        groups.append(Group(bool(flags & 1), skip, slices))
    return groups


class Pace:
    """When a task began to work on its next block, and how long it was held up handing over the last one."""

    def __init__(self) -> None:
        self.started = time.perf_counter_ns()
        self.held_up = 0

    def worked(self) -> tuple[int, int]:
        """(ns at work, ns held up before) until now."""
        now = time.perf_counter_ns()
        busy, self.started = now - self.started, now
        return busy, self.held_up

    def handed_over(self) -> None:
        """The block has left."""
        now = time.perf_counter_ns()
        self.held_up, self.started = now - self.started, now


class _Run:
    """One group of inputs on its way through the stages."""

    def __init__(
        self, fragment: Fragment, number: int, group: Group, inputs: Sequence[Any], pace: Pace
    ) -> None:
        self.fragment, self.number, self.group, self.inputs = fragment, number, group, inputs
        self.clocks = [_Clock() for _ in fragment.stages]
        self.failures: list[BaseException] = []
        self.skip_rows = group.skip_rows
        self.pace = pace

    def items(self) -> Iterator[Any]:
        """Blocks and records of the group; its last record says so."""
        builder = BlockBuilder(self.fragment.bytes_max, self.fragment.bytes_min)
        chain = self._chain()
        try:
            for table in chain:
                for failure in self._reported():
                    yield from self._pair(None, 0, failure)
                builder.add(self._unskipped(table))
                for block, size in builder.ready():
                    yield from self._pair(block, size)
        except Exception as error:
            yield from self._pair(None, 0, failure_record(error), last=True)
            return
        for failure in self._reported():
            yield from self._pair(None, 0, failure)
        rest = builder.finish() or [(None, 0)]
        for i, (block, size) in enumerate(rest):
            yield from self._pair(block, size, last=i + 1 == len(rest))

    def _reported(self) -> list[bytes]:
        found = [failure_record(error) for error in self.failures]
        self.failures.clear()
        return found

    def _unskipped(self, table: pa.Table) -> pa.Table:
        """Leaves out what an earlier attempt has delivered."""
        if self.skip_rows == 0:
            return table
        skipped = min(self.skip_rows, table.num_rows)
        self.skip_rows -= skipped
        return table.slice(skipped)

    def _chain(self) -> Iterator[pa.Table]:
        run = Run(self.fragment.tolerant, self.failures.append, self.number)
        blocks: Iterator[Any] = (
            iter(self.inputs) if self.group.literal else _sliced(self.inputs, self.group.slices)
        )
        for stage, clock in zip(self.fragment.stages, self.clocks, strict=False):
            blocks = clock.watch(stage.run(blocks, run))
        return blocks

    def _pair(
        self, block: pa.Table | None, size: int, failure: bytes = b"", last: bool = False
    ) -> Iterator[Any]:
        rows = 0 if block is None else block.num_rows
        wanted = block is not None and self.fragment.emits == "blocks"
        kind = FAILURE if failure else BLOCK if wanted else ROWS_ONLY
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 if last else 0
        busy, held_up = self.pace.worked()
        head = RECORD.pack(kind, last, len(self.clocks), self.number, rows, size, busy, held_up, peak)
        yield block_for_wire(block, size) if wanted and block is not None else None
        yield head + self._stage_times() + failure
        self.pace.handed_over()

    def _stage_times(self) -> bytes:
        """Each stage's own time and output rows since the last record."""
        parts, before = [], 0
        for clock in self.clocks:
            total, rows = clock.take()
            parts.append(STAGE.pack(max(0, total - before), rows))
            before = total
        return b"".join(parts)


class _Clock:
    """Time spent in a stage and those before it, and the rows that it gave."""

    def __init__(self) -> None:
        self.total = self.rows = 0

    def watch(self, blocks: Iterator[pa.Table]) -> Iterator[pa.Table]:
        while True:
            begin = time.perf_counter_ns()
            try:
                block = next(blocks, None)
            finally:
                self.total += time.perf_counter_ns() - begin
            if block is None:
                return
            self.rows += block.num_rows
            yield block

    def take(self) -> tuple[int, int]:
        out = self.total, self.rows
        self.total = self.rows = 0
        return out


def _sliced(tables: Sequence[pa.Table], slices: Sequence[tuple[int, int]]) -> Iterator[pa.Table]:
    for table, (offset, rows) in zip(tables, slices, strict=False):
        yield table if offset == 0 and rows < 0 else table.slice(offset, None if rows < 0 else rows)


class BlockBuilder:
    """Gathers a stage's output into blocks that are neither tiny nor huge, and lets none wait long."""

    def __init__(
        self, bytes_max: int | None, bytes_min: int, clock: Callable[[], int] = time.perf_counter_ns
    ) -> None:
        self.bytes_max, self.bytes_min, self.clock = bytes_max, bytes_min, clock
        self.waiting: list[pa.Table] = []
        self.bytes = 0
        self.empty: pa.Table | None = None
        self.given = False
        self.last = clock()

    def add(self, table: pa.Table) -> None:
        """Takes output of the last stage."""
        if table.num_rows == 0:
            if self.empty is None or table.num_columns:
                self.empty = table
            return
        self.waiting.append(table)
        self.bytes += table.nbytes

    def ready(self) -> list[tuple[pa.Table, int]]:
        """The blocks that need not wait for more, with their bytes."""
        if not self.waiting:
            return []
        waited = self.clock() - self.last
        full = self.bytes_max is not None and self.bytes >= self.bytes_max
        due = waited >= FLUSH_LATE_NS or (waited >= FLUSH_SOON_NS and self.bytes >= self.bytes_min)
        return self._cut() if full or due else []

    def finish(self) -> list[tuple[pa.Table, int]]:
        """The rest; an empty block only if there was no other, as its columns are known from it."""
        if self.waiting:
            return self._cut()
        return [] if self.given or self.empty is None else [(self.empty, 0)]

    def _cut(self) -> list[tuple[pa.Table, int]]:
        table = _compact(concat_tables(self.waiting), self.bytes)
        size, self.waiting, self.bytes = self.bytes, [], 0
        self.last, self.given = self.clock(), True
        if self.bytes_max is None or size <= self.bytes_max * 3 // 2:
            return [(table, size)]
        pieces = min(table.num_rows, -(-size // self.bytes_max))
        step = -(-table.num_rows // pieces)
        slices = [table.slice(start, step) for start in range(0, table.num_rows, step)]
        return [(piece, piece.nbytes) for piece in slices]


def _compact(table: pa.Table, size: int) -> pa.Table:
    """Many small chunks become one; few large ones stay, as they cost readers little."""
    chunks = table.column(0).num_chunks if table.num_columns else 1
    return table.combine_chunks() if chunks > 1 and size < chunks * CHUNK_BYTES_MIN else table


class FragmentActor:
    """What an actor of an operator is: the fragment, with its users' classes made once."""

    def __init__(self, fragment: Fragment) -> None:
        self.fragment = fragment
        fragment.open()

    def ready(self) -> bool:
        """Answers once the actor stands."""
        return True

    def run(self, header: bytes, *inputs: Any) -> Iterator[Any]:
        """One task."""
        return self.fragment(header, *inputs)
