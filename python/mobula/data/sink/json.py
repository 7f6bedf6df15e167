"""JSON files, one object a line. Tests: tests/contract/test_data_writers.py."""

from __future__ import annotations

import base64
import datetime
import decimal
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import concat_tables, table_to_pandas, table_to_rows
from mobula.data.op.stage import Run
from mobula.data.sink.folder import FolderSink


class JsonSink(FolderSink):
    """With `arguments`, files are what pandas' to_json makes of them; else lines, written as they come."""

    name = "WriteJSON"

    def __init__(
        self,
        path: Any,
        arguments: dict[str, Any],
        arguments_fn: Callable[[], dict[str, Any]] | None,
        **options: Any,
    ) -> None:
        super().__init__(path, "write_json", "json", **options)
        self.arguments, self.arguments_fn = arguments, arguments_fn

    def write(self, blocks: Iterator[pa.Table], run: Run) -> list[str]:
        full = (block for block in blocks if block.num_rows)
        first = next(full, None)
        if first is None:
            return []
        given = {**self.arguments, **(self.arguments_fn() if self.arguments_fn is not None else {})}
        file = self.create(self.block_name(first, run, 0))
        try:
            if given:
                file.stream.write(_by_pandas(concat_tables([first, *full]), given))
            else:
                file.stream.write(lines_of(first))
                for block in full:
                    file.stream.write(lines_of(block))
            return [file.close()]
        except BaseException:
            file.discard()
            raise


def _by_pandas(table: pa.Table, arguments: dict[str, Any]) -> bytes:
    chosen = {"orient": "records", **arguments}
    chosen.setdefault("lines", chosen["orient"] == "records")
    text: str = table_to_pandas(table).to_json(**chosen)
    return text.encode()


def lines_of(block: pa.Table) -> bytes:
    """The block's rows as lines of JSON."""
    encode = json.JSONEncoder(default=plain_value, ensure_ascii=False, allow_nan=False).encode
    lines = []
    for row in table_to_rows(block):
        try:
            lines.append(encode(row))
        except ValueError:
            lines.append(encode(_finite(row)))
    return ("\n".join(lines) + "\n").encode()


def plain_value(value: Any) -> Any:
    """A value that JSON does not know as one that it does."""
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode()
    raise TypeError(f"a value of {type(value)} has no form in JSON; turn it into text or numbers first")


def _finite(value: Any) -> Any:
    """Numbers that JSON does not know become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    if isinstance(value, np.ndarray):
        return _finite(value.tolist())
    return value
