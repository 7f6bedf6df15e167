"""Avro container files, block by block. The codecs null, deflate, snappy, bzip2, xz and zstandard are read.

Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from mobula.data.block import table_from_rows
from mobula.data.source.avro_values import Cursor, Decoder, decoder_of
from mobula.data.source.files import FileOptions, FileReader, open_file

MAGIC = b"Obj\x01"
ROWS_PER_BLOCK = 65536
BLOCK_BYTES = 4 * 1024 * 1024
BLOCK_BYTES_MAX = 1 << 31


class AvroReader(FileReader):
    """Rows are records; a file of other values gives column `item`."""

    def __init__(self, options: FileOptions) -> None:
        self.options = options

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with open_file(path, self.options) as file:
            stream = _Stream(file)
            if stream.take(4) != MAGIC:
                raise ValueError("byte 0: this is no Avro container file (it does not begin with 'Obj')")
            header = _metadata(stream)
            schema = json.loads(header["avro.schema"])
            unpack = _codec(header.get("avro.codec", b"null").decode())
            decode, marker = decoder_of(schema), stream.take(16)
            rows: list[dict[str, Any]] = []
            size = 0
            for place, content, count in _data_blocks(stream, marker, unpack):
                try:
                    rows += _rows(content, count, decode)
                except (ValueError, LookupError, ArithmeticError, TypeError) as error:
                    raise ValueError(f"in the block at byte {place}: {error}") from None
                size += len(content)
                if size >= BLOCK_BYTES or len(rows) >= ROWS_PER_BLOCK:
                    yield table_from_rows(rows)
                    rows, size = [], 0
            if rows:
                yield table_from_rows(rows)


class _Stream:
    """The file, with its position and whole reads."""

    def __init__(self, file: Any) -> None:
        self.file, self.place = file, 0

    def take(self, size: int) -> bytes:
        data: bytes = self.file.read(size)
        if len(data) < size:
            raise ValueError(f"byte {self.place + len(data)}: the file ends inside a block; it was cut off")
        self.place += size
        return data

    def number(self, first: bytes = b"") -> int:
        """A number of variable length."""
        value = shift = 0
        while True:
            byte = (first or self.take(1))[0]
            first = b""
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
            shift += 7

    def next_number(self) -> int | None:
        """The same, or None at the end of the file."""
        first = self.file.read(1)
        if not first:
            return None
        self.place += 1
        return self.number(first)


def _metadata(stream: _Stream) -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    while count := stream.number():
        if count < 0:
            stream.number()
        for _ in range(abs(count)):
            name = stream.take(stream.number()).decode()
            out[name] = stream.take(stream.number())
    if "avro.schema" not in out:
        raise ValueError("the header has no schema")
    return out


def _data_blocks(
    stream: _Stream, marker: bytes, unpack: Callable[[bytes], bytes]
) -> Iterator[tuple[int, bytes, int]]:
    while (count := stream.next_number()) is not None:
        start, size = stream.place, stream.number()
        if not 0 <= size <= BLOCK_BYTES_MAX or not 0 <= count <= BLOCK_BYTES_MAX:
            raise ValueError(f"byte {start}: a block of {size} bytes with {count} rows; the file is damaged")
        packed = stream.take(size)
        if stream.take(16) != marker:
            raise ValueError(f"byte {start}: the block does not end with the file's marker; it is damaged")
        try:
            content = unpack(packed)
        except Exception as error:
            raise ValueError(f"byte {start}: the block cannot be unpacked: {error}") from None
        yield start, content, count


def _rows(content: bytes, count: int, decode: Decoder) -> list[dict[str, Any]]:
    cursor = Cursor(content)
    values = [decode(cursor) for _ in range(count)]
    return [value if isinstance(value, dict) else {"item": value} for value in values]


def _codec(name: str) -> Callable[[bytes], bytes]:
    if name == "null":
        return lambda data: data
    if name == "deflate":
        return lambda data: zlib.decompress(data, -15)
    if name == "snappy":
        return _unpack_snappy
    if name == "zstandard":
        return _unpack_zstandard
    if name == "bzip2":
        import bz2

        return bz2.decompress
    if name == "xz":
        import lzma

        return lzma.decompress
    raise NotImplementedError(f"Avro codec {name!r}: write it with null, deflate, snappy or zstandard")


def _unpack_snappy(data: bytes) -> bytes:
    body = data[:-4]  # then a CRC-32 of the content
    size = shift = place = 0
    while True:
        byte = body[place]
        size |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            break
    out: bytes = pa.decompress(body, decompressed_size=size, codec="snappy", asbytes=True)
    if zlib.crc32(out) != int.from_bytes(data[-4:], "big"):
        raise ValueError("wrong checksum")
    return out


def _unpack_zstandard(data: bytes) -> bytes:
    with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
        out: bytes = stream.read()
        return out
