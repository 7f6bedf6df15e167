"""Avro's values: a schema becomes a function that decodes one value. Logical types become Python's own.

Tests: tests/contract/test_data_readers.py.
"""

from __future__ import annotations

import datetime
import decimal
import struct
import uuid
from collections.abc import Callable
from typing import Any


class Cursor:
    """The bytes of a block and the place in them."""

    __slots__ = ("data", "place")

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self.place + size
        if size < 0 or end > len(self.data):
            raise ValueError("a value is longer than its block; the file is damaged")
        out = self.data[self.place : end]
        self.place = end
        return out


Decoder = Callable[[Cursor], Any]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def read_long(cursor: Cursor) -> int:
    """A number of variable length, zigzag coded."""
    value = shift = 0
    data, place = cursor.data, cursor.place
    while True:
        if place >= len(data):
            raise ValueError("a number does not end in its block; the file is damaged")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    cursor.place = place
    return (value >> 1) ^ -(value & 1)


def _bytes(cursor: Cursor) -> bytes:
    return cursor.take(read_long(cursor))


_PRIMITIVES: dict[str, Decoder] = {
    "null": lambda cursor: None,
    "boolean": lambda cursor: cursor.take(1) != b"\0",
    "int": read_long,
    "long": read_long,
    "float": lambda cursor: struct.unpack("<f", cursor.take(4))[0],
    "double": lambda cursor: struct.unpack("<d", cursor.take(8))[0],
    "bytes": _bytes,
    "string": lambda cursor: _bytes(cursor).decode(),
}


def decoder_of(schema: Any) -> Decoder:
    """The function that decodes a value of the schema (JSON, as the file's header has it)."""
    return _decoder(schema, {}, "")


def _decoder(schema: Any, named: dict[str, Decoder], space: str) -> Decoder:
    if isinstance(schema, list):
        return _union([_decoder(one, named, space) for one in schema])
    if isinstance(schema, str):
        if schema in _PRIMITIVES:
            return _PRIMITIVES[schema]
        full = schema if "." in schema or not space else f"{space}.{schema}"
        if full not in named and schema not in named:
            raise ValueError(f"the schema uses the type {schema!r} without saying what it is")
        return _later(named, full if full in named else schema)
    kind = schema["type"]
    if isinstance(kind, (list, dict)):
        return _decoder(kind, named, space)
    if kind in ("record", "error", "enum", "fixed"):
        return _named(kind, schema, named, space)
    if kind == "array":
        return _array(_decoder(schema["items"], named, space))
    if kind == "map":
        return _map(_decoder(schema["values"], named, space))
    return _logical(schema, _decoder(kind, named, space))


def _later(named: dict[str, Decoder], name: str) -> Decoder:
    """A type that may hold itself is looked up when it is met."""
    return lambda cursor: named[name](cursor)


def _named(kind: str, schema: dict[str, Any], named: dict[str, Decoder], space: str) -> Decoder:
    name = schema["name"]
    space = schema.get("namespace", name.rpartition(".")[0] or space)
    full = name if "." in name or not space else f"{space}.{name}"
    named[full] = _PRIMITIVES["null"]  # known from here on: a record may hold itself
    if kind == "enum":
        named[full] = _enum(schema["symbols"])
    elif kind == "fixed":
        named[full] = _logical(schema, _fixed(schema["size"]))
    else:
        fields = [(field["name"], _decoder(field["type"], named, space)) for field in schema["fields"]]
        named[full] = lambda cursor: {name: decode(cursor) for name, decode in fields}
    return named[full]


def _enum(symbols: list[str]) -> Decoder:
    return lambda cursor: symbols[read_long(cursor)]


def _fixed(size: int) -> Decoder:
    return lambda cursor: cursor.take(size)


def _union(branches: list[Decoder]) -> Decoder:
    def decode(cursor: Cursor) -> Any:
        place = read_long(cursor)
        if not 0 <= place < len(branches):
            raise ValueError(f"a union has no branch {place}; the file is damaged")
        return branches[place](cursor)

    return decode


def _array(item: Decoder) -> Decoder:
    def decode(cursor: Cursor) -> list[Any]:
        out: list[Any] = []
        while count := read_long(cursor):
            if count < 0:
                count = -count
                read_long(cursor)
            out += [item(cursor) for _ in range(count)]
        return out

    return decode


def _map(item: Decoder) -> Decoder:
    pairs = _array(lambda cursor: (_bytes(cursor).decode(), item(cursor)))
    return lambda cursor: dict(pairs(cursor))


def _logical(schema: dict[str, Any], decode: Decoder) -> Decoder:
    kind = schema.get("logicalType")
    if kind == "decimal":
        scale = schema.get("scale", 0)
        return lambda cursor: _decimal(decode(cursor), scale)
    convert = _LOGICAL.get(kind or "")
    return decode if convert is None else lambda cursor: convert(decode(cursor))


def _decimal(data: bytes, scale: int) -> decimal.Decimal:
    digits = int.from_bytes(data, "big", signed=True)
    return decimal.Decimal(digits).scaleb(-scale, decimal.Context(prec=80))


def _time(microseconds: int) -> datetime.time:
    return (EPOCH + datetime.timedelta(microseconds=microseconds)).time()


def _moment(microseconds: int, local: bool = False) -> datetime.datetime:
    moment = EPOCH + datetime.timedelta(microseconds=microseconds)
    return moment.replace(tzinfo=None) if local else moment


_LOGICAL: dict[str, Callable[[Any], Any]] = {
    "date": lambda days: (EPOCH + datetime.timedelta(days=days)).date(),
    "time-millis": lambda value: _time(value * 1000),
    "time-micros": _time,
    "timestamp-millis": lambda value: _moment(value * 1000),
    "timestamp-micros": _moment,
    "local-timestamp-millis": lambda value: _moment(value * 1000, local=True),
    "local-timestamp-micros": lambda value: _moment(value, local=True),
    "uuid": lambda value: str(uuid.UUID(value)) if isinstance(value, str) else str(uuid.UUID(bytes=value)),
}
