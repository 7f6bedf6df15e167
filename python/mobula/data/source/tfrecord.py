"""TFRecord files of `tf.train.Example`, record by record, with their checksums checked.

Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mobula.data.source.crc32c import crc32c, crc32c_of_many, masked
from mobula.data.source.files import FileOptions, FileReader, open_file
from mobula.data.source.tf_example import BYTES, FLOAT, INT, decode_example

BLOCK_BYTES = 4 * 1024 * 1024
RECORD_BYTES_MAX = 1 << 31
TYPES = {BYTES: pa.binary(), FLOAT: pa.float32(), INT: pa.int64(), None: pa.null()}
_OF_SCHEMA = {1: BYTES, 2: INT, 3: FLOAT}  # tensorflow_metadata's FeatureType

Example = dict[str, tuple[str | None, list[Any]]]


class TfRecordReader(FileReader):
    """Features with one value in all records of a block are scalars, others lists.

    With a schema (tensorflow_metadata's) all are lists of its types.
    """

    def __init__(self, options: FileOptions, tf_schema: Any) -> None:
        self.options = options
        self.kinds: dict[str, str] | None = None
        if tf_schema is not None:
            self.kinds = schema_kinds(tf_schema)

    def blocks(self, path: str) -> Iterator[pa.Table]:
        number = 0
        with open_file(path, self.options, decompress=True) as file:
            for records in read_records(file):
                examples = []
                for record in records:
                    try:
                        examples.append(decode_example(record))
                        self._check(examples[-1])
                    except ValueError as error:
                        raise ValueError(f"record {number}: {error}") from None
                    number += 1
                yield self._table(examples)

    def _check(self, example: Example) -> None:
        if self.kinds is None:
            return
        for name, (kind, _) in example.items():
            if name not in self.kinds:
                raise ValueError(f"feature {name!r} is not in tf_schema, which has {list(self.kinds)}")
            if kind is not None and kind != self.kinds[name]:
                raise ValueError(f"feature {name!r} is of type {kind}, tf_schema says {self.kinds[name]}")

    def _table(self, examples: list[Example]) -> pa.Table:
        names = list(dict.fromkeys(name for example in examples for name in example))
        if self.kinds is not None:
            names = list(self.kinds)
        return pa.table({name: self._column(name, examples) for name in names})

    def _column(self, name: str, examples: list[Example]) -> pa.Array:
        found = [example.get(name, (None, [])) for example in examples]
        kinds = {kind for kind, _ in found if kind is not None}
        if self.kinds is not None:
            kinds = {self.kinds[name]}
        if len(kinds) > 1:
            raise ValueError(f"feature {name!r} is {' and '.join(sorted(kinds))} in records of one file")
        kind = TYPES[next(iter(kinds), None)]
        if self.kinds is None and all(len(values) <= 1 for _, values in found):
            return pa.array([values[0] if values else None for _, values in found], kind)
        return pa.array([values for _, values in found], pa.list_(kind))


def schema_kinds(tf_schema: Any) -> dict[str, str]:
    """The kind of each feature of a schema of tensorflow_metadata."""
    return {feature.name: _OF_SCHEMA[int(feature.type)] for feature in tf_schema.feature}


def read_records(file: Any) -> Iterator[list[bytes]]:
    """The records of a TFRecord file, some MiB at a time; ValueError where it is damaged."""
    place = size = 0
    records: list[bytes] = []
    checks: list[tuple[int, int]] = []  # the place of each record and its checksum
    while head := file.read(12):
        if len(head) < 12:
            raise ValueError(f"byte {place}: the file ends inside a record's head; it was cut off")
        length, check = struct.unpack("<QI", head)
        if masked(crc32c(head[:8])) != check or length > RECORD_BYTES_MAX:
            raise ValueError(f"byte {place}: no TFRecord begins here (wrong checksum of its length)")
        body = file.read(length + 4)
        if len(body) < length + 4:
            raise ValueError(f"byte {place}: the file ends inside a record of {length} bytes; it was cut off")
        records.append(body[:length])
        checks.append((place, struct.unpack_from("<I", body, length)[0]))
        place += length + 16
        size += length + 16
        if size >= BLOCK_BYTES:
            yield _sound(records, checks)
            records, checks, size = [], [], 0
    if records:
        yield _sound(records, checks)


def _sound(records: list[bytes], checks: list[tuple[int, int]]) -> list[bytes]:
    for crc, (place, check) in zip(crc32c_of_many(records), checks, strict=True):
        if masked(crc) != check:
            raise ValueError(f"byte {place}: the record's checksum is wrong; its content was changed")
    return records


def framed(records: list[bytes]) -> bytes:
    """Records as they stand in a file."""
    out = bytearray()
    for record, crc in zip(records, crc32c_of_many(records), strict=True):
        head = struct.pack("<Q", len(record))
        out += head + struct.pack("<I", masked(crc32c(head))) + record + struct.pack("<I", masked(crc))
    return bytes(out)
