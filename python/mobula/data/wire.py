"""How blocks and failures travel between processes.

A block travels as its schema (serialised once for each that a process sees) and one buffer: an Arrow IPC
record batch, or, if it consists of several pieces, an IPC stream. A large block that shares its memory with
nothing else travels as its buffers, without a copy of its own. A reader gets a `pyarrow.Table` over the
arena's memory either way.
"""

from __future__ import annotations

import io
import pickle
import struct
import traceback
from typing import Any

import cloudpickle
import pyarrow as pa

from mobula.data import tensor  # noqa: F401  (its types must be known before a block that has them is read)

WHOLE_BYTES_MIN = 1024 * 1024  # smaller blocks are cheaper to copy into one buffer
SCHEMAS_MAX = 256
_WRITE = pa.ipc.IpcWriteOptions()  # made once: the defaults are looked up in the environment each time
_READ = pa.ipc.IpcReadOptions(use_threads=False)
_read_schemas: dict[bytes, pa.Schema] = {}
_written_schemas: list[tuple[pa.Schema, bytes]] = []  # the last few, most recent first


def read_batch(schema: bytes, data: Any) -> pa.Table:
    """A table over the bytes of a serialised schema and a record batch."""
    found = _read_schemas.get(schema)
    if found is None:
        if len(_read_schemas) >= SCHEMAS_MAX:
            _read_schemas.clear()
        found = _read_schemas[schema] = pa.ipc.read_schema(pa.py_buffer(schema))
    return pa.Table.from_batches([pa.ipc.read_record_batch(pa.py_buffer(data), found)], found)


def read_block(data: Any) -> pa.Table:
    """A table over the bytes of an Arrow IPC stream."""
    return pa.ipc.open_stream(pa.py_buffer(data), options=_READ).read_all()


def _schema_bytes(schema: pa.Schema) -> bytes:
    for known, data in _written_schemas:
        if known is schema or known.equals(schema, check_metadata=True):
            return data
    fresh: bytes = schema.serialize().to_pybytes()
    _written_schemas.insert(0, (schema, fresh))
    del _written_schemas[8:]
    return fresh


class _Wired:
    """A table that pickles itself well; it is read back as the table."""

    __slots__ = ("table",)

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __reduce_ex__(self, protocol: Any) -> Any:
        batches = self.table.to_batches()
        if len(batches) == 1:
            data = pickle.PickleBuffer(batches[0].serialize())
            return read_batch, (_schema_bytes(self.table.schema), data)
        return read_block, (pickle.PickleBuffer(_stream(self.table)),)


def _stream(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    writer = pa.ipc.new_stream(sink, table.schema, options=_WRITE)
    writer.write_table(table)
    writer.close()
    return sink.getvalue()


def block_for_wire(table: pa.Table, size: int) -> Any:
    """What to yield or to put so that readers get `table`, which has `size` bytes."""
    if size >= WHOLE_BYTES_MIN and table.get_total_buffer_size() <= size + size // 8:
        return table
    return _Wired(table)


def failure_record(error: BaseException) -> bytes:
    """An exception with its traceback, for a record's end."""
    text = "".join(traceback.format_exception(error)).rstrip()
    error.__dict__.pop("__notes__", None)  # they are in the text, and would be shown twice
    try:
        pickled = cloudpickle.dumps(error, protocol=5)
    except Exception:
        pickled = b""
    out = io.BytesIO()
    for part in (text.encode(), pickled):
        out.write(struct.pack("<I", len(part)))
        out.write(part)
    return out.getvalue()


def read_failure(data: bytes) -> tuple[str, BaseException | None]:
    """The traceback's text, and the exception where it could be pickled."""
    parts, place = [], 0
    for _ in range(2):
        (size,) = struct.unpack_from("<I", data, place)
        parts.append(data[place + 4 : place + 4 + size])
        place += 4 + size
    error = None
    if parts[1]:
        try:
            error = pickle.loads(parts[1])
        except Exception:
            error = None
    return parts[0].decode(errors="replace"), error
