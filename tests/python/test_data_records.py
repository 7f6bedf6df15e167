"""Formats read and written by hand: checksums and examples of TFRecords, Avro's codecs. No engine."""

import io
import os
import zlib

import pyarrow as pa
import pytest

from mobula.data.source.avro import _codec
from mobula.data.source.crc32c import TABLE, crc32c, crc32c_of_many
from mobula.data.source.tf_example import decode_example, encode_example
from mobula.data.source.tfrecord import framed, read_records


def by_table(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def test_checksums_are_those_of_the_standard():
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_lanes_give_what_single_bytes_give():
    records = [os.urandom(size) for size in (0, 1, 3, 4, 5, 255, 256, 257, 1000, 4095, 4096, 4097, 100_001)]
    assert [crc32c(record) for record in records] == [by_table(record) for record in records]
    assert crc32c_of_many(records) == [by_table(record) for record in records]


def test_an_example_has_the_bytes_that_protobuf_gives_it():
    assert encode_example({"x": ("int", [1])}) == bytes.fromhex("0a0c0a0a0a01781205" + "1a030a0101")
    row = {
        "b": ("bytes", [b"\0", b"two"]),
        "f": ("float", [0.5, -1.0]),
        "i": ("int", [2**63 - 1, -(2**63), 0]),
        "none": (None, []),
    }
    assert decode_example(encode_example(row)) == row
    with pytest.raises(ValueError, match="longer than the record"):
        decode_example(b"\x0a\x7f")


def test_records_are_framed_and_damage_is_told_with_its_place():
    records = [os.urandom(size) for size in (0, 10, 5000)]
    whole = framed(records)
    assert [one for run in read_records(io.BytesIO(whole)) for one in run] == records
    for damaged, text in (
        (whole[:-1], "cut off"),
        (whole[:20], "cut off"),
        (whole[:30] + b"\0" + whole[31:], "byte 16"),
        (b"nonsense" + whole, "byte 0: no TFRecord"),
    ):
        with pytest.raises(ValueError, match=text):
            list(read_records(io.BytesIO(damaged)))


def test_avro_blocks_are_unpacked():
    content = b"some content " * 100
    snappy = pa.compress(content, codec="snappy", asbytes=True) + zlib.crc32(content).to_bytes(4, "big")
    assert _codec("snappy")(snappy) == content
    with pytest.raises(ValueError, match="checksum"):
        _codec("snappy")(snappy[:-1] + bytes([snappy[-1] ^ 1]))
    assert _codec("zstandard")(pa.compress(content, codec="zstd", asbytes=True)) == content
    with pytest.raises(NotImplementedError, match="lzo"):
        _codec("lzo")
