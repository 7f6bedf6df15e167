"""What a sink is: it writes the blocks of one task, and the driver prepares and completes the whole.

Files are written under a temporary name and renamed when they are complete, so that nobody sees half a
file. Tests: tests/contract/test_data_files.py.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from enum import Enum
from typing import Any

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


class Sink:
    """Writes blocks; sent to workers."""

    name = "Write"

    def prepare(self) -> bool:
        """On the driver, before anything runs; False if there is nothing to do."""
        return True

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        """In a worker: writes one task's blocks; the names of what was written."""
        raise NotImplementedError

    def finish(self, written: list[str]) -> None:
        """On the driver, after all was written."""

    def abandon(self) -> None:
        """On the driver, after a failure: removes what is incomplete."""


class WriteStage(Stage):
    """The last stage of a fragment that writes; its output says what was written."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.name = sink.name

    def run(self, blocks: Iterator[pa.Table], run: Run) -> Iterator[pa.Table]:
        counted = _Counted(blocks)
        files = self.sink.write(iter(counted), run)
        yield pa.table({"files": pa.array([files], pa.list_(pa.string())), "rows": [counted.rows]})


class _Counted:
    def __init__(self, blocks: Iterator[pa.Table]) -> None:
        self.blocks, self.rows = blocks, 0

    def __iter__(self) -> Iterator[pa.Table]:
        for block in self.blocks:
            self.rows += block.num_rows
            yield block


class FolderSink(Sink):
    """Files in a folder. A kind of file is a subclass with `write`."""

    def __init__(
        self, path: Any, mode: Any, what: str, filesystem: Any = None, try_create_dir: bool = True
    ) -> None:
        if filesystem is not None or "://" in os.fspath(path):
            from mobula.data.source.files import resolve

            found, place = resolve(os.fspath(path), filesystem)
            if type(found).__name__ != "LocalFileSystem":
                raise NotImplementedError(f"{what} writes to local folders only; {path!r} is elsewhere")
            path = place
        self.folder = os.path.abspath(os.fspath(path))
        self.mode = _checked_mode(mode, what)
        self.what, self.try_create_dir = what, try_create_dir
        self.run_id = uuid.uuid4().hex

    def prepare(self) -> bool:
        exists = os.path.isdir(self.folder) and bool(os.listdir(self.folder))
        if exists and self.mode is SaveMode.ERROR:
            raise ValueError(
                f"{self.what}: {self.folder} exists and mode is SaveMode.ERROR; remove it, or choose "
                "SaveMode.APPEND or SaveMode.OVERWRITE"
            )
        if exists and self.mode is SaveMode.IGNORE:
            return False
        if exists and self.mode is SaveMode.OVERWRITE:
            shutil.rmtree(self.folder)
        if self.try_create_dir:
            os.makedirs(self.folder, exist_ok=True)
        return True

    def abandon(self) -> None:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                if name.startswith(f".{self.run_id}"):
                    os.unlink(os.path.join(folder, name))

    def new_name(self, ending: str, below: str = "") -> tuple[str, str]:
        """(temporary path, final path) of another file; both are unique."""
        name = f"{self.run_id}_{uuid.uuid4().hex[:12]}.{ending}"
        folder = os.path.join(self.folder, below)
        if below:
            os.makedirs(folder, exist_ok=True)
        return os.path.join(folder, f".{name}"), os.path.join(folder, name)


def _checked_mode(mode: Any, what: str) -> SaveMode:
    try:
        found = mode if isinstance(mode, SaveMode) else SaveMode(str(mode).lower())
    except ValueError:
        raise ValueError(
            f"{what}: mode={mode!r} is not known; choose one of {[m.value for m in SaveMode]}"
        ) from None
    if found in (SaveMode.UPSERT, SaveMode.CREATE):
        raise ValueError(f"{what}: mode={found} is for tables, not for files")
    return found
