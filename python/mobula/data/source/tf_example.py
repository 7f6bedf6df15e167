"""The wire format of `tf.train.Example`, read and written without TensorFlow.

An example is a map from names to lists of bytes, floats or integers. Tests:
tests/python/test_data_records.py.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

BYTES, FLOAT, INT = "bytes", "float", "int"
_KINDS = {1: BYTES, 2: FLOAT, 3: INT}
_ONE_BYTE = [bytes([value]) for value in range(0x80)]
_NUMBERS = {kind: number for number, kind in _KINDS.items()}


def decode_example(data: bytes) -> dict[str, tuple[str | None, list[Any]]]:
    """Name to (kind, values); the kind is None where the feature says none. ValueError for other bytes."""
    try:
        return _example(data)
    except (TypeError, AttributeError, struct.error):  # a field is of another wire type than in an example
        raise ValueError("the record is no tf.train.Example") from None


def _example(data: bytes) -> dict[str, tuple[str | None, list[Any]]]:
    out: dict[str, tuple[str | None, list[Any]]] = {}
    for number, _, features in _fields(data):
        if number != 1:
            continue
        for _, _, entry in _fields(features):
            name, feature = "", b""
            for part, _, value in _fields(entry):
                if part == 1:
                    name = value.decode()
                elif part == 2:
                    feature = value
            out[name] = _feature(feature)
    return out


def _feature(data: bytes) -> tuple[str | None, list[Any]]:
    for number, _, content in _fields(data):
        kind = _KINDS.get(number)
        if kind is None:
            continue
        values: list[Any] = []
        for part, wire, value in _fields(content):
            if part == 1:
                values += _values(kind, wire, value)
        return kind, values
    return None, []


def _values(kind: str, wire: int, value: Any) -> list[Any]:
    if kind == BYTES:
        return [value]
    if kind == FLOAT:
        return list(struct.unpack(f"<{len(value) // 4}f", value))
    numbers = [value] if wire == 0 else _varints(value)
    return [number - (1 << 64) if number >> 63 else number for number in numbers]


def _varints(data: bytes) -> list[int]:
    if data.isascii():  # each is below 128, and one byte
        return list(data)
    out, place = [], 0
    while place < len(data):
        value, place = _varint(data, place)
        out.append(value)
    return out


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(data) or shift > 63:
            raise ValueError("the record is no tf.train.Example: a number in it does not end")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def _fields(data: bytes) -> list[tuple[int, int, Any]]:
    """(number, wire type, value) of each field of a message."""
    out: list[tuple[int, int, Any]] = []
    place, end = 0, len(data)
    while place < end:
        tag, place = (data[place], place + 1) if data[place] < 0x80 else _varint(data, place)
        wire = tag & 7
        if wire == 0:
            value, place = _varint(data, place)
            out.append((tag >> 3, 0, value))
            continue
        if wire == 2:
            size, place = _varint(data, place)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"the record is no tf.train.Example: wire type {wire}")
        if place + size > end:
            raise ValueError("the record is no tf.train.Example: a field is longer than the record")
        out.append((tag >> 3, wire, data[place : place + size]))
        place += size
    return out


# -- writing -----------------------------------------------------------------------------------------


def encode_example(row: Mapping[str, tuple[str | None, list[Any]]]) -> bytes:
    """The bytes of an example from names to (kind, values).

    >>> decode_example(encode_example({"x": ("int", [1, -2])}))
    {'x': ('int', [1, -2])}
    """
    entries = []
    for name, (kind, values) in row.items():
        feature = b"" if kind is None else _message(_NUMBERS[kind], _list(kind, values))
        entries.append(_message(1, _message(1, name.encode()) + _message(2, feature)))
    return _message(1, b"".join(entries))


def _list(kind: str, values: list[Any]) -> bytes:
    if kind == BYTES:
        return b"".join(_message(1, value) for value in values)
    if not values:
        return b""
    if kind == FLOAT:
        return _message(1, struct.pack(f"<{len(values)}f", *values))
    return _message(1, b"".join(_number(int(value) & 0xFFFFFFFFFFFFFFFF) for value in values))


def _message(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


def _number(value: int) -> bytes:
    if value < 0x80:
        return _ONE_BYTE[value]
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
