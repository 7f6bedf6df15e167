"""Files in a folder, on any Arrow file system.

Where a file system can rename, a file is written under a hidden name and renamed when it is complete, so
that nobody sees half a file; elsewhere it appears when it is closed. Tests:
tests/contract/test_data_writers.py.
"""

from __future__ import annotations

import posixpath
import uuid
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from mobula.data.op.stage import Run
from mobula.data.sink.sink import SaveMode, Sink, Written, checked_mode
from mobula.data.source.files import resolve

RENAMING = ("local", "subtree")
GROUPS_PER_TASK_MAX = 64


class FilenameProvider:
    """Names the files that are written; a subclass overrides what it wants to name.

    Names must be unlike for unlike `task_index` (of blocks and rows: also for unlike indices): two files of
    one name are one file.

    >>> FilenameProvider(file_format="csv").get_filename_for_task("run", 7)
    'run_000007.csv'
    """

    def __init__(self, dataset_uuid: str | None = None, file_format: str | None = None) -> None:
        self._dataset_uuid, self._file_format = dataset_uuid, file_format

    def _name(self, write_uuid: str, *numbers: int) -> str:
        parts = [self._dataset_uuid, write_uuid, *(f"{number:06}" for number in numbers)]
        stem = "_".join(part for part in parts if part)
        return f"{stem}.{self._file_format}" if self._file_format else stem

    def get_filename_for_task(self, write_uuid: str, task_index: int) -> str:
        """The name of a file with all that a task writes."""
        return self._name(write_uuid, task_index)

    def get_filename_for_block(self, block: Any, write_uuid: str, task_index: int, block_index: int) -> str:
        """The name of a file that begins with this block."""
        return self._name(write_uuid, task_index, block_index)

    def get_filename_for_row(
        self, row: dict[str, Any], write_uuid: str, task_index: int, block_index: int, row_index: int
    ) -> str:
        """The name of a file of one row."""
        return self._name(write_uuid, task_index, block_index, row_index)


class FolderSink(Sink):
    """Files in a folder. A kind of file is a subclass with `write`."""

    def __init__(
        self,
        path: Any,
        what: str,
        ending: str | None,
        mode: SaveMode | str = SaveMode.APPEND,
        filesystem: Any = None,
        try_create_dir: bool = True,
        arrow_open_stream_args: Mapping[str, Any] | None = None,
        filename_provider: FilenameProvider | None = None,
    ) -> None:
        self.filesystem, self.folder = resolve(str(path), filesystem)
        self.folder = self.folder.rstrip("/") or "/"
        self.mode, self.what, self.try_create_dir = checked_mode(mode, what), what, try_create_dir
        self.stream_args = dict(arrow_open_stream_args or {})
        self.provider = filename_provider or FilenameProvider(file_format=ending)
        self.run_id = uuid.uuid4().hex

    def _content(self, folder: str, recursive: bool = False) -> list[Any]:
        from pyarrow import fs

        selector = fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
        return list(self.filesystem.get_file_info(selector))

    def prepare(self) -> bool:
        if self.filesystem.get_file_info(self.folder).is_file:
            raise ValueError(f"{self.what}: {self.folder} is a file; give the folder to write files into")
        exists = bool(self._content(self.folder))
        if exists and self.mode is SaveMode.ERROR:
            raise ValueError(
                f"{self.what}: {self.folder} exists and mode is SaveMode.ERROR; remove it, or choose "
                "SaveMode.APPEND or SaveMode.OVERWRITE"
            )
        if exists and self.mode is SaveMode.IGNORE:
            return False
        if exists and self.mode is SaveMode.OVERWRITE:
            self.filesystem.delete_dir_contents(self.folder)
        if self.try_create_dir and self.filesystem.type_name != "s3":
            self.filesystem.create_dir(self.folder, recursive=True)
        return True

    def finish(self, written: list[Written]) -> None:
        """Removes what tasks wrote that were lost before they could tell: it was written again."""
        paths = [path for one in written for path in one.answer or ()]
        known = set(paths)
        if len(known) < len(paths):
            twice = next(path for path in known if paths.count(path) > 1)
            raise ValueError(
                f"{self.what}: two tasks wrote {twice}, so rows are lost; let filename_provider use its "
                "task_index and block_index"
            )
        for folder in {self.folder, *(posixpath.dirname(path) for path in paths)}:
            self._remove(self._content(folder), known)

    def abandon(self, error: BaseException) -> None:
        found = self._content(self.folder, recursive=True)
        self._remove(found, {info.path for info in found if not info.base_name.startswith(".")})

    def _remove(self, found: list[Any], kept: set[str]) -> None:
        """Removes files of this run but for those that are kept."""
        for info in found:
            ours = info.base_name.lstrip(".").startswith(self.run_id)
            if ours and info.is_file and info.path not in kept:
                self.filesystem.delete_file(info.path)

    def create(self, name: str, below: str = "") -> OutputFile:
        """A new file, open for writing."""
        folder = posixpath.join(self.folder, below) if below else self.folder
        if below and self.filesystem.type_name != "s3":
            self.filesystem.create_dir(folder, recursive=True)
        return OutputFile(self, folder, name)

    def block_name(self, block: pa.Table, run: Run, number: int) -> str:
        """The name of the task's next file, which begins with this block."""
        return self.provider.get_filename_for_block(block, self.run_id, task_number(run), number)


class OutputFile:
    """A file while it is being written."""

    def __init__(self, sink: FolderSink, folder: str, name: str) -> None:
        self.path = posixpath.join(folder, name)
        self._filesystem = sink.filesystem
        self._hidden = self.path
        if sink.filesystem.type_name in RENAMING:
            self._hidden = posixpath.join(folder, f".{sink.run_id}_{uuid.uuid4().hex[:12]}_{name}")
        self.stream = sink.filesystem.open_output_stream(self._hidden, **sink.stream_args)

    def close(self) -> str:
        """Completes the file; its path."""
        self.stream.close()
        if self._hidden != self.path:
            self._filesystem.move(self._hidden, self.path)
        return self.path

    def discard(self) -> None:
        """Removes what is there of it."""
        try:
            self.stream.close()
            self._filesystem.delete_file(self._hidden)
        except OSError:  # it is gone already
            return


def task_number(run: Run) -> int:
    """A number that no other task of this engine has, nor another group of inputs of the same task."""
    from mobula import _core, get_runtime_context

    if not _core.is_open():
        return run.group
    return int(get_runtime_context().get_task_id() or "0", 16) % (1 << 40) * GROUPS_PER_TASK_MAX + run.group
