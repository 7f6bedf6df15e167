"""TFRecord files and WebDataset archives, written as blocks come. Tests:
tests/contract/test_data_writers.py.
"""

from __future__ import annotations

import io
import tarfile
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_to_rows
from mobula.data.op.stage import Run
from mobula.data.sink.folder import FolderSink
from mobula.data.source.tf_example import BYTES, FLOAT, INT, encode_example
from mobula.data.source.tfrecord import framed, schema_kinds
from mobula.data.source.webdataset import apply_all, encode_sample

TAR_END = b"\0" * 1024


class RecordSink(FolderSink):
    """A file for each task to which each block is appended; a kind of file is a subclass with `encode`."""

    end = b""

    def encode(self, block: pa.Table) -> bytes:
        """The block as it stands in the file."""
        raise NotImplementedError

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        full = (block for block in blocks if block.num_rows)
        first = next(full, None)
        if first is None:
            return []
        file = self.create(self.block_name(first, run, 0))
        try:
            file.stream.write(self.encode(first))
            for block in full:
                file.stream.write(self.encode(block))
            file.stream.write(self.end)
            return [file.close()]
        except BaseException:
            file.discard()
            raise


class TfRecordSink(RecordSink):
    """Each row is a `tf.train.Example`."""

    name = "WriteTFRecords"

    def __init__(self, path: Any, tf_schema: Any, **options: Any) -> None:
        super().__init__(path, "write_tfrecords", "tfrecords", **options)
        self.kinds = None if tf_schema is None else schema_kinds(tf_schema)

    def encode(self, block: pa.Table) -> bytes:
        if self.kinds is not None and set(block.column_names) - set(self.kinds):
            extra = sorted(set(block.column_names) - set(self.kinds))
            raise ValueError(f"write_tfrecords: column {extra[0]!r} is not in tf_schema")
        features = {
            name: _features(name, block.column(name), None if self.kinds is None else self.kinds[name])
            for name in block.column_names
        }
        records = zip(*features.values(), strict=True)
        return framed([encode_example(dict(zip(features, record, strict=True))) for record in records])


def _features(name: str, column: pa.ChunkedArray, kind: str | None) -> list[tuple[str | None, list[Any]]]:
    """(kind, values) of each row."""
    rows = [row["value"] for row in table_to_rows(pa.table({"value": column}))]
    lists = [_flat(value) for value in rows]
    first = next((value for values in lists for value in values), None)
    found = _kind(first, name)
    kind = kind or found
    if kind == BYTES:
        lists = [
            [value.encode() if isinstance(value, str) else value for value in values] for values in lists
        ]
    return [(kind if values or kind else None, values) for values in lists]


def _flat(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, np.ndarray):
        return list(value.ravel().tolist())
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _kind(value: Any, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, (bytes, str)):
        return BYTES
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return INT
    if isinstance(value, (float, np.floating)):
        return FLOAT
    raise TypeError(
        f"write_tfrecords: column {name!r} has values of {type(value)}; an example holds bytes, text, "
        "integers, floats and flat lists of them"
    )


class WebDatasetSink(RecordSink):
    """Each column of a row is a file `key.column` of the archive."""

    name = "WriteWebDataset"
    end = TAR_END

    def __init__(self, path: Any, encoder: bool | str | Callable[..., Any] | list[Any] | None,
                 **options: Any) -> None:  # fmt: skip
        super().__init__(path, "write_webdataset", "tar", **options)
        self.encoder = encoder

    def encode(self, block: pa.Table) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for row in table_to_rows(block):
                for name, content in self._files(row):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
            size = archive.offset
        return out.getvalue()[:size]

    def _files(self, row: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
        sample = apply_all(self.encoder, dict(row), encode_sample)
        key = sample.get("__key__") or uuid.uuid4().hex
        for name, content in sample.items():
            if name.startswith("__") or content is None:
                continue
            if isinstance(content, str):
                content = content.encode()
            if not isinstance(content, (bytes, bytearray, memoryview)):
                raise TypeError(
                    f"write_webdataset: column {name!r} has a value of {type(content)}, and its ending does "
                    "not say how to write that; end the column's name in txt, cls, json, npy, png …, or pass "
                    "an encoder that gives bytes"
                )
            yield f"{key}.{name}", bytes(content)
