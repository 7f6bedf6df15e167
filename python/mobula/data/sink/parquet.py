"""Parquet, CSV and ORC files by Arrow's writers. Tests: tests/contract/test_data_writers.py."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from mobula.data.sink.table import TableSink
from mobula.data.source.csv import packed_options, unpacked_options
from mobula.data.tensor import ObjectType, is_tensor

ROWS_PER_GROUP = 1024 * 1024


class ParquetSink(TableSink):
    """Writes with pyarrow.parquet.ParquetWriter."""

    name = "WriteParquet"

    def open_writer(self, stream: Any, schema: pa.Schema) -> Any:
        from pyarrow import parquet

        arguments = self.writer_arguments()
        rows = arguments.pop("row_group_size", ROWS_PER_GROUP)
        return _Grouped(parquet.ParquetWriter(stream, schema, **arguments), rows)


class _Grouped:
    """A Parquet writer with the size of row groups."""

    def __init__(self, writer: Any, rows: int) -> None:
        self.writer, self.rows = writer, rows

    def write_table(self, block: pa.Table) -> None:
        self.writer.write_table(block, row_group_size=self.rows)

    def close(self) -> None:
        self.writer.close()


class CsvSink(TableSink):
    """Writes with pyarrow.csv.CSVWriter; each file has a header."""

    name = "WriteCSV"

    def open_writer(self, stream: Any, schema: pa.Schema) -> Any:
        from pyarrow import csv

        _check_flat(schema, "write_csv")
        return csv.CSVWriter(stream, schema, **self.writer_arguments())

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "arguments": packed_options(self.arguments)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({**state, "arguments": unpacked_options(state["arguments"])})


class OrcSink(TableSink):
    """Writes with pyarrow.orc.ORCWriter."""

    name = "WriteORC"

    def open_writer(self, stream: Any, schema: pa.Schema) -> Any:
        from pyarrow import orc

        for field in schema:
            if is_tensor(field.type) or isinstance(field.type, ObjectType):
                raise TypeError(_refusal("write_orc", field))
        writer = orc.ORCWriter(stream, **self.writer_arguments())
        return _OrcWriter(writer)


class _OrcWriter:
    """An ORC writer under the names of the others."""

    def __init__(self, writer: Any) -> None:
        self.write_table, self.close = writer.write, writer.close


def _check_flat(schema: pa.Schema, what: str) -> None:
    for field in schema:
        kind = field.type
        if isinstance(kind, pa.BaseExtensionType) or pa.types.is_nested(kind):
            raise TypeError(_refusal(what, field))


def _refusal(what: str, field: pa.Field) -> str:
    return (
        f"{what}: column {field.name!r} of type {field.type} has no place in such a file; leave it out with "
        "drop_columns, turn it into text or numbers, or use write_parquet"
    )
