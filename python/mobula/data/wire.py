"""How blocks and failures travel between processes.

A block that is a part of a larger one, or that consists of pieces, is written as an Arrow IPC stream; a whole one
travels as its buffers, without a copy of its own. Either way a reader gets a `pyarrow.Table` over the arena's memory.
"""

from __future__ import annotations

import io
import pickle
import struct
import traceback
from typing import Any

import cloudpickle
import pyarrow as pa

WHOLE_BYTES_MIN = 1024 * 1024  # smaller blocks are cheaper to write as IPC
SCRATCH_BYTES_MAX = 256 * 1024 * 1024


def read_block(data: Any) -> pa.Table:
    """A table over the bytes of an Arrow IPC stream."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


class _Wired:
    """A table that pickles itself well; it is read back as the table."""

    __slots__ = ("table",)

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __reduce_ex__(self, protocol: int) -> Any:
        return read_block, (pickle.PickleBuffer(_ipc(self.table)),)


def _ipc(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def block_for_wire(table: pa.Table) -> Any:
    """What to yield or to put so that readers get `table`."""
    size = table.nbytes
    if size >= WHOLE_BYTES_MIN and table.get_total_buffer_size() <= size + size // 8:
        return table
    return _Wired(table)


def failure_record(error: BaseException) -> bytes:
    """An exception with its traceback, for a record's end."""
    text = "".join(traceback.format_exception(error)).rstrip()
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
