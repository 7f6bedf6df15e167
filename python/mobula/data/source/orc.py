"""ORC files, stripe by stripe. Tests: tests/contract/test_data_readers.py."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from mobula.data.source.files import FileOptions, FileReader, open_seekable


class OrcReader(FileReader):
    """One stripe of the file is in memory at a time."""

    def __init__(self, options: FileOptions) -> None:
        self.options = options

    def blocks(self, path: str) -> Iterator[pa.Table]:
        from pyarrow import orc

        with open_seekable(path, self.options) as stream:
            file = orc.ORCFile(stream)
            for number in range(file.nstripes):
                yield pa.Table.from_batches([file.read_stripe(number)])
            if not file.nstripes:
                yield file.schema.empty_table()
