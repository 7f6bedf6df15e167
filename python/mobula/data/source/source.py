"""What a source is: on the driver it says what there is to read, in workers its reader reads it.

Tests: tests/contract/test_data_files.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.op.stage import Run, Stage

if TYPE_CHECKING:
    from mobula.data.context import DataContext

BLOCK_BYTES_AIM = 4 * 1024 * 1024  # of a read task, where there is enough to read
TASKS_PER_CPU = 4


@dataclass(frozen=True)
class ReadTask:
    """A part of a source: what its reader gets, and what is known of it (-1: nothing)."""

    payload: Any
    rows: int = -1
    bytes: int = 0


class Reader:
    """The part of a source that is sent to workers."""

    def read(self, payload: Any, run: Run) -> Iterator[pa.Table]:
        """The blocks of one task; sets `run.source` to what it is reading."""
        raise NotImplementedError


class Source:
    """The driver's part of a source; immutable."""

    name = "Read"
    is_cheap = False  # reading costs less than passing a block on, so it may be fused into actors

    def tasks(self, parallelism: int, context: DataContext) -> list[ReadTask]:
        """The parts to read. `parallelism` is the number asked for, -1 to choose."""
        raise NotImplementedError

    def reader(self) -> Reader:
        """What reads a part."""
        raise NotImplementedError

    def row_count(self) -> int | None:
        """All rows, where that is known without reading."""
        return None

    def schema(self) -> pa.Schema | None:
        """The columns, where they are known without reading."""
        return None

    def input_files(self) -> list[str]:
        """The paths of the files that are read."""
        return []


class ReadStage(Stage):
    """The first stage of a fragment that reads; its input are the payloads of read tasks."""

    def __init__(self, name: str, reader: Reader) -> None:
        self.name, self.reader = name, reader

    def run(self, blocks: Iterator[Any], run: Run) -> Iterator[pa.Table]:
        for payload in blocks:
            yield from self.reader.read(payload, run)


def task_count(parallelism: int, cpus: int, total_bytes: int, most: int, context: DataContext) -> int:
    """How many tasks to read `total_bytes` in; at most one for each of the `most` smallest parts."""
    if parallelism > 0:
        return max(1, min(parallelism, most))
    by_size = math.ceil(total_bytes / BLOCK_BYTES_AIM)
    wanted: int = min(
        max(by_size, TASKS_PER_CPU * cpus), max(context.read_op_min_num_blocks, TASKS_PER_CPU * cpus)
    )
    if context.target_max_block_size:
        wanted = max(wanted, math.ceil(total_bytes / context.target_max_block_size))
    return max(1, min(wanted, most))


def split_evenly(items: Sequence[Any], parts: int) -> list[Sequence[Any]]:
    """The items in `parts` runs whose lengths differ by at most one; empty runs are left out."""
    size, longer = divmod(len(items), parts)
    out, start = [], 0
    for i in range(parts):
        end = start + size + (1 if i < longer else 0)
        if end > start:
            out.append(items[start:end])
        start = end
    return out
