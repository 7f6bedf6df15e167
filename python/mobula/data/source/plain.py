"""Simple files: whole files as bytes, and NumPy arrays. Tests: tests/contract/test_data_files.py."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch
from mobula.data.source.files import FileOptions, FileReader, open_file


class BinaryReader(FileReader):
    """Each file is a row: column `bytes`."""

    def __init__(self, options: FileOptions) -> None:
        self.options = options

    def gathers(self) -> bool:
        return True

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with open_file(path, self.options) as file:
            content = file.read()
        kind = pa.binary() if len(content) < 2**31 else pa.large_binary()
        yield pa.Table.from_arrays([pa.array([content], kind)], names=["bytes"])


class NumpyReader(FileReader):
    """The first dimension's parts are rows: column `data`. Files are mapped, not loaded whole."""

    def __init__(self, options: FileOptions, allow_pickle: bool, load_args: dict[str, Any]) -> None:
        self.options, self.allow_pickle, self.load_args = options, allow_pickle, load_args

    def blocks(self, path: str) -> Iterator[pa.Table]:
        if self.options.filesystem is None and "://" not in path and not self.load_args:
            array = np.load(
                path, mmap_mode=None if self.allow_pickle else "r", allow_pickle=self.allow_pickle
            )
        else:
            with open_file(path, self.options) as file:
                content = io.BytesIO(file.read())
            array = np.load(content, allow_pickle=self.allow_pickle, **self.load_args)
        array = np.atleast_1d(array)
        step = max(1, 64 * 1024 * 1024 * max(len(array), 1) // max(array.nbytes, 1))
        for start in range(0, max(len(array), 1), step):
            yield table_from_batch({"data": np.asarray(array[start : start + step])})
