"""NumPy arrays, one `.npy` file for each task, and pictures, one file for each row.

Tests: tests/contract/test_data_writers.py.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import column_to_numpy, table_to_rows
from mobula.data.op.stage import Run
from mobula.data.optional import optional
from mobula.data.sink.folder import FolderSink, task_number
from mobula.data.source.webdataset import encode_picture


class NumpySink(FolderSink):
    """One column's values as one array."""

    name = "WriteNumpy"

    def __init__(self, path: Any, column: str, **options: Any) -> None:
        super().__init__(path, "write_numpy", "npy", **options)
        self.column = column

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        arrays = []
        first = None
        for block in blocks:
            if block.num_rows:
                first = block if first is None else first
                arrays.append(column_to_numpy(checked_column(block, self.column)))
        if first is None:
            return []
        whole = np.concatenate(arrays) if len({one.shape[1:] for one in arrays}) == 1 else arrays[0]
        if len(whole) < sum(len(one) for one in arrays) or whole.dtype.kind == "O":
            raise ValueError(
                f"write_numpy: the values of column {self.column!r} are not of one shape and numeric type; "
                "bring them to one, or use write_parquet"
            )
        file = self.create(self.block_name(first, run, 0))
        try:
            content = io.BytesIO()
            np.save(content, whole, allow_pickle=False)
            file.stream.write(content.getbuffer())
            return [file.close()]
        except BaseException:
            file.discard()
            raise


class ImageSink(FolderSink):
    """Each row's picture as a file, by Pillow."""

    name = "WriteImages"

    def __init__(self, path: Any, column: str, file_format: str, **options: Any) -> None:
        super().__init__(path, "write_images", file_format, **options)
        optional("PIL.Image", "write_images")
        self.column, self.file_format = column, file_format

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        done = []
        task = task_number(run)
        for number, block in enumerate(blocks):
            checked_column(block, self.column)
            for place, row in enumerate(table_to_rows(block)):
                name = self.provider.get_filename_for_row(row, self.run_id, task, number, place)
                content = encode_picture(row[self.column], self.file_format)
                file = self.create(name)
                file.stream.write(content)
                done.append(file.close())
        return done


def checked_column(block: pa.Table, name: str) -> Any:
    """The column; KeyError with those that there are."""
    if name not in block.column_names:
        raise KeyError(f"no column is called {name!r}; there are {block.column_names}")
    return block.column(name)
