"""CSV files, block by block with Arrow's streaming reader. Tests: tests/contract/test_data_readers.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from mobula.data.source.files import FileOptions, FileReader, open_file


class CsvReader(FileReader):
    """Arrow's CSV reader, block by block."""

    def __init__(self, options: FileOptions, arguments: dict[str, Any]) -> None:
        self.options, self.arguments = options, arguments

    def blocks(self, path: str) -> Iterator[pa.Table]:
        from pyarrow import csv

        rows = 0
        with open_file(path, self.options, decompress=True) as file:
            try:
                reader = csv.open_csv(file, **self.arguments)
                schema = reader.schema
                for batch in reader:
                    rows += batch.num_rows
                    yield pa.Table.from_batches([batch])
            except pa.ArrowInvalid as error:
                if "Empty CSV file" in str(error):
                    return
                raise _advised(error, rows) from None
        if not rows:
            yield schema.empty_table()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "arguments": packed_options(self.arguments)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "arguments": unpacked_options(state["arguments"])})


_OPTION_FIELDS = {
    "ReadOptions": "use_threads block_size skip_rows skip_rows_after_names column_names "
    "autogenerate_column_names encoding",
    "ParseOptions": "delimiter quote_char double_quote escape_char newlines_in_values ignore_empty_lines "
    "invalid_row_handler",
    "WriteOptions": "include_header batch_size delimiter eol quoting_header quoting_style null_string",
    "ConvertOptions": "check_utf8 column_types null_values true_values false_values decimal_point "
    "strings_can_be_null quoted_strings_can_be_null include_columns include_missing_columns auto_dict_encode "
    "auto_dict_max_cardinality timestamp_parsers",
}


def packed_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same with Arrow's CSV options in a form that pickles; those of older versions do not."""
    return {name: _packed(value) for name, value in arguments.items()}


def unpacked_options(arguments: dict[str, Any]) -> dict[str, Any]:
    """What was given to `packed_options`."""
    return {name: _unpacked(value) for name, value in arguments.items()}


def _packed(value: Any) -> Any:
    fields = _OPTION_FIELDS.get(type(value).__name__)
    if fields is None or not type(value).__module__.startswith("pyarrow"):
        return value
    given = {name: getattr(value, name) for name in fields.split() if hasattr(value, name)}
    return ("pyarrow.csv", type(value).__name__, given)


def _unpacked(value: Any) -> Any:
    if isinstance(value, tuple) and len(value) == 3 and value[0] == "pyarrow.csv":
        from pyarrow import csv

        return getattr(csv, value[1])(**value[2])
    return value


def _advised(error: Exception, rows: int) -> Exception:
    """The error with its place and the option that helps."""
    text = str(error)
    advice = ""
    if "conversion error" in text:
        advice = "types are taken from the start of the file: name the column's type with convert_options=" \
                 "pyarrow.csv.ConvertOptions(column_types={…})"  # fmt: skip
    elif "Expected" in text and "columns" in text:
        advice = "pass parse_options=pyarrow.csv.ParseOptions(invalid_row_handler=lambda row: 'skip') to " \
                 "leave such rows out"  # fmt: skip
    elif "UTF8" in text:
        advice = "name the file's encoding with read_options=pyarrow.csv.ReadOptions(encoding=…)"
    elif "straddling" in text:
        advice = "pass read_options=pyarrow.csv.ReadOptions(block_size=…) larger than the longest row"
    return ValueError(f"after row {rows}: {text}" + (f" ({advice})" if advice else ""))
