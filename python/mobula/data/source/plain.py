"""Simple files: whole files as bytes, lines of text, NumPy arrays, CSV and JSON."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from mobula.data.block import table_from_batch, table_from_rows
from mobula.data.source.files import FileOptions, FileReader, open_file

LINES_PER_BLOCK = 65536


class BinaryReader(FileReader):
    """Each file is a row: column `bytes`."""

    def __init__(self, options: FileOptions) -> None:
        self.options = options

    def gathers(self) -> bool:
        return True

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with open_file(path, self.options) as file:
            content = file.read()
        kind = pa.binary() if len(content) < 2**31 else pa.large_binary()
        yield pa.Table.from_arrays([pa.array([content], kind)], names=["bytes"])


class TextReader(FileReader):
    """Each line is a row: column `text`."""

    def __init__(self, options: FileOptions, encoding: str, drop_empty_lines: bool) -> None:
        self.options, self.encoding, self.drop_empty_lines = options, encoding, drop_empty_lines

    def blocks(self, path: str) -> Iterator[pa.Table]:
        with open_file(path, self.options) as file, io.TextIOWrapper(file, self.encoding) as lines:
            gathered: list[str] = []
            for line in lines:
                text = line.rstrip("\r\n")
                if self.drop_empty_lines and not text.strip():
                    continue
                gathered.append(text)
                if len(gathered) >= LINES_PER_BLOCK:
                    yield pa.table({"text": pa.array(gathered, pa.string())})
                    gathered = []
        yield pa.table({"text": pa.array(gathered, pa.string())})


class NumpyReader(FileReader):
    """The first dimension's parts are rows: column `data`. Files are mapped, not loaded whole."""

    def __init__(self, options: FileOptions, allow_pickle: bool, load_args: dict[str, Any]) -> None:
        self.options, self.allow_pickle, self.load_args = options, allow_pickle, load_args

    def blocks(self, path: str) -> Iterator[pa.Table]:
        if self.options.filesystem is None and "://" not in path and not self.load_args:
            array = np.load(
                path, mmap_mode=None if self.allow_pickle else "r", allow_pickle=self.allow_pickle
            )
        else:
            with open_file(path, self.options) as file:
                content = io.BytesIO(file.read())
            array = np.load(content, allow_pickle=self.allow_pickle, **self.load_args)
        array = np.atleast_1d(array)
        step = max(1, 64 * 1024 * 1024 * max(len(array), 1) // max(array.nbytes, 1))
        for start in range(0, max(len(array), 1), step):
            yield table_from_batch({"data": np.asarray(array[start : start + step])})


class CsvReader(FileReader):
    """Arrow's CSV reader, block by block."""

    def __init__(self, options: FileOptions, arguments: dict[str, Any]) -> None:
        self.options, self.arguments = options, arguments

    def blocks(self, path: str) -> Iterator[pa.Table]:
        from pyarrow import csv

        with open_file(path, self.options) as file:
            try:
                reader = csv.open_csv(file, **self.arguments)
            except pa.ArrowInvalid as error:
                if "Empty CSV file" in str(error):
                    return
                raise
            schema = reader.schema
            empty = True
            for batch in reader:
                empty = False
                yield pa.Table.from_batches([batch])
            if empty:
                yield schema.empty_table()

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "arguments": {name: _packed(value) for name, value in self.arguments.items()},
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["arguments"] = {name: _unpacked(value) for name, value in state["arguments"].items()}
        self.__dict__.update(state)


_OPTION_FIELDS = {
    "ReadOptions": "use_threads block_size skip_rows skip_rows_after_names column_names "
    "autogenerate_column_names encoding",
    "ParseOptions": "delimiter quote_char double_quote escape_char newlines_in_values ignore_empty_lines",
    "ConvertOptions": "check_utf8 column_types null_values true_values false_values decimal_point "
    "strings_can_be_null quoted_strings_can_be_null include_columns include_missing_columns auto_dict_encode "
    "auto_dict_max_cardinality timestamp_parsers",
}


def _packed(value: Any) -> Any:
    """Arrow's CSV options do not pickle in all versions."""
    fields = _OPTION_FIELDS.get(type(value).__name__)
    if fields is None or not type(value).__module__.startswith("pyarrow"):
        return value
    return ("pyarrow.csv", type(value).__name__, {name: getattr(value, name) for name in fields.split()})


def _unpacked(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) == 3 and value[0] == "pyarrow.csv":
        from pyarrow import csv

        return getattr(csv, value[1])(**value[2])
    return value


class JsonReader(FileReader):
    """JSON objects, one a line, or an array of them."""

    def __init__(self, options: FileOptions, lines: bool, arguments: dict[str, Any]) -> None:
        self.options, self.lines, self.arguments = options, lines, arguments

    def blocks(self, path: str) -> Iterator[pa.Table]:
        import json

        from pyarrow import json as arrow_json

        with open_file(path, self.options) as file:
            content = file.read()
        if not content.strip():
            return
        if not self.lines and content.lstrip()[:1] == b"[":
            yield table_from_rows(json.loads(content))
            return
        try:
            yield arrow_json.read_json(io.BytesIO(content), **self.arguments)
        except pa.ArrowInvalid:
            if self.lines or b"\n{" in content.strip():
                yield table_from_rows([json.loads(line) for line in content.splitlines() if line.strip()])
            else:
                yield table_from_rows([json.loads(content)])
