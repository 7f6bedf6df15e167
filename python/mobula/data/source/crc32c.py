"""CRC-32C (Castagnoli), as TFRecord files have it.

Short inputs go through a table byte by byte. Long ones are cut into lanes of equal length that NumPy takes
forward side by side; the lanes are joined by the linear map that appends a lane's worth of zeros. Tests:
tests/python/test_data_records.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78
LANE_BYTES_MAX = 4096  # of inputs that are lanes themselves
LANES_FROM = 256  # bytes, from which on lanes pay


def _table() -> list[int]:
    out = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        out.append(value)
    return out


TABLE = _table()
_ARRAY = np.array(TABLE, np.uint32)


def crc32c(data: bytes | memoryview) -> int:
    """The checksum of the bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    if len(data) >= LANES_FROM:
        return _long(data)
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as TFRecord files store it: rotated, with a constant added."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c_of_many(records: Sequence[bytes]) -> list[int]:
    """The checksums of many inputs: those of about the same length are lanes of one computation."""
    out = [0] * len(records)
    alike: dict[int, list[int]] = {}
    for place, record in enumerate(records):
        if len(record) < 4 or len(record) > LANE_BYTES_MAX:
            out[place] = crc32c(record)
        else:
            alike.setdefault(len(record).bit_length(), []).append(place)
    for places in alike.values():
        for place, crc in zip(places, _side_by_side([records[place] for place in places]), strict=True):
            out[place] = crc
    return out


def _side_by_side(records: Sequence[bytes]) -> list[int]:
    length = max(len(record) for record in records)
    columns = np.zeros((len(records), length), np.uint8)
    for lane, record in enumerate(records):
        start = length - len(record)
        columns[lane, start:] = np.frombuffer(record, np.uint8)
        columns[lane, start : start + 4] ^= 0xFF
    crcs = np.zeros(len(records), np.uint32)
    for values in np.ascontiguousarray(columns.T):
        crcs = _ARRAY[(crcs ^ values) & 0xFF] ^ (crcs >> 8)
    return [int(crc) for crc in (crcs ^ 0xFFFFFFFF)]


def _long(data: bytes | memoryview) -> int:
    length = 1 << max(4, (len(data).bit_length() - 1) // 2)
    lanes = -(-len(data) // length)
    whole = np.zeros(lanes * length, np.uint8)
    whole[lanes * length - len(data) :] = np.frombuffer(data, np.uint8)  # zeros in front change nothing
    start = lanes * length - len(data)
    whole[start : start + 4] ^= 0xFF  # the same as beginning with all ones
    columns = whole.reshape(lanes, length)
    crcs = np.zeros(lanes, np.uint32)
    for place in range(length):
        crcs = _ARRAY[(crcs ^ columns[:, place]) & 0xFF] ^ (crcs >> 8)
    shift = _shift(length)
    total = 0
    for crc in crcs.tolist():
        total = (
            shift[0][total & 0xFF]
            ^ shift[1][(total >> 8) & 0xFF]
            ^ shift[2][(total >> 16) & 0xFF]
            ^ shift[3][total >> 24]
            ^ crc
        )
    return total ^ 0xFFFFFFFF


@cache
def _shift(length: int) -> list[list[int]]:
    """What `length` zero bytes make of a checksum: a table for each of its four bytes."""
    values = np.array([[byte << (8 * part) for byte in range(256)] for part in range(4)], np.uint32).ravel()
    for _ in range(length):
        values = _ARRAY[values & 0xFF] ^ (values >> 8)
    return [[int(one) for one in part] for part in values.reshape(4, 256)]
