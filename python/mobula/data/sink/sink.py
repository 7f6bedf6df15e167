"""What a sink is: it writes the blocks of one task, and the driver prepares and completes the whole.

Tests: tests/contract/test_data_writers.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cloudpickle
import pyarrow as pa

from mobula.data.op.stage import Run, Stage

__all__ = ["SaveMode"]


class SaveMode(Enum):
    """What to do with what is there already."""

    APPEND = "append"
    OVERWRITE = "overwrite"
    IGNORE = "ignore"
    ERROR = "error"
    UPSERT = "upsert"
    CREATE = "create"


@dataclass(frozen=True)
class Written:
    """What one task wrote: the sink's own answer, and how much it was."""

    answer: Any
    rows: int
    bytes: int


class Sink:
    """Writes blocks; sent to workers."""

    name = "Write"

    def prepare(self) -> bool:
        """On the driver, before anything runs; False if there is nothing to do."""
        return True

    def write(self, blocks: Iterator[pa.Table], run: Run) -> Any:
        """In a worker: writes one task's blocks; what the driver is to know of it."""
        raise NotImplementedError

    def finish(self, written: list[Written]) -> None:
        """On the driver, after all was written."""

    def abandon(self, error: BaseException) -> None:
        """On the driver, after a failure: removes what is incomplete."""


class WriteStage(Stage):
    """The last stage of a fragment that writes; its output says what was written."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.name = sink.name

    def run(self, blocks: Iterator[pa.Table], run: Run) -> Iterator[pa.Table]:
        counted = _Counted(blocks)
        answer = self.sink.write(iter(counted), run)
        for _ in counted.left:  # what the sink did not take is read all the same, for its errors
            pass
        yield pa.table(
            {"answer": [cloudpickle.dumps(answer)], "rows": [counted.rows], "bytes": [counted.bytes]}
        )


class _Counted:
    def __init__(self, blocks: Iterator[pa.Table]) -> None:
        self.left, self.rows, self.bytes = blocks, 0, 0

    def __iter__(self) -> Iterator[pa.Table]:
        for block in self.left:
            self.rows += block.num_rows
            self.bytes += block.nbytes
            yield block


def checked_mode(mode: Any, what: str) -> SaveMode:
    """A mode that files know."""
    try:
        found = mode if isinstance(mode, SaveMode) else SaveMode(str(mode).lower())
    except ValueError:
        raise ValueError(
            f"{what}: mode={mode!r} is not known; choose one of {[m.value for m in SaveMode]}"
        ) from None
    if found in (SaveMode.UPSERT, SaveMode.CREATE):
        raise ValueError(f"{what}: mode={found} is for tables, not for files")
    return found
