"""Blocks: Arrow tables, and their conversion from and to what users' functions see.

A block is a `pyarrow.Table`. Functions see it as rows (dicts), as batches of NumPy arrays, pandas frames or
Arrow tables; numbers and tensors pass without a copy. Tests: tests/python/test_data_block.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mobula.data.accessor import BlockAccessor, BlockMetadata
from mobula.data.optional import optional
from mobula.data.tensor import (
    ObjectType,
    RaggedTensorType,
    is_tensor,
    objects_to_arrow,
    objects_to_python,
    ragged_to_arrow,
    tensor_to_arrow,
    tensor_to_numpy,
)

if TYPE_CHECKING:
    import pandas

Block = pa.Table  # with BlockAccessor and BlockMetadata what programs import from `ray.data.block`
__all__ = ["Block", "BlockAccessor", "BlockMetadata"]

BATCH_FORMATS = ("default", "numpy", "pandas", "pyarrow", None)

_NESTED = "biufmMOUS"  # NumPy kinds that Arrow reads by itself, one-dimensional


def checked_batch_format(batch_format: str | None) -> str:
    """The format's canonical name: "numpy", "pandas" or "pyarrow", which is also what blocks are (None)."""
    if batch_format not in BATCH_FORMATS:
        known = ", ".join(repr(name) for name in BATCH_FORMATS)
        raise ValueError(f"batch_format={batch_format!r} is not known; choose one of {known}")
    if batch_format is None:
        return "pyarrow"
    return "numpy" if batch_format == "default" else batch_format


# -- columns -----------------------------------------------------------------------------------------


def column_from_values(values: Any) -> pa.Array | pa.ChunkedArray:
    """A column made of an array or a sequence of Python values; what Arrow cannot express is pickled."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if isinstance(values, np.ndarray):
        return _column_from_ndarray(values)
    if not isinstance(values, (list, tuple)) and hasattr(values, "__array__"):
        if _is_pandas(values):
            return _column_from_series(values)
        return _column_from_ndarray(np.asarray(values))
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(
            f"a column must be an array or a list with one value for each row, got {type(values)}"
        )
    return _column_from_list(list(values))


def _column_from_ndarray(values: np.ndarray) -> pa.Array:
    if values.ndim == 0:
        raise TypeError("a column must have one value for each row, got an array of no dimensions")
    if values.ndim > 1:
        if values.dtype.kind in "biuf":
            return tensor_to_arrow(values)
        return _column_from_list(values.tolist())
    if values.dtype.kind == "O":
        return _column_from_list(list(values))
    if values.dtype.kind not in _NESTED:
        return _column_from_list(values.tolist())
    return pa.array(values)


def _column_from_list(values: list[Any]) -> pa.Array:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, np.ndarray) or (hasattr(first, "__array__") and not isinstance(first, np.generic)):
        column = _column_of_arrays(values)
        if column is not None:
            return column
    try:
        return pa.array(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return objects_to_arrow(values)


def _column_of_arrays(values: list[Any]) -> pa.Array | None:
    """Rows that are arrays: a tensor column, or lists where the elements are strings or objects."""
    rows = [None if value is None else np.asarray(value) for value in values]
    present = [row for row in rows if row is not None]
    if any(row.dtype.kind not in "biuf" for row in present):
        try:
            return pa.array([None if row is None else row.tolist() for row in rows])
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            return None
    dimensions = {row.ndim for row in present}
    if dimensions == {0}:
        return pa.array([None if row is None else row.item() for row in rows])
    if len(dimensions) > 1:
        return None
    alike = len({(row.shape, row.dtype) for row in present}) == 1
    if alike and len(present) == len(rows):
        return tensor_to_arrow(np.stack(present))
    return ragged_to_arrow(rows)


def _is_pandas(value: Any) -> bool:
    """Is it of pandas? Said without importing it."""
    return type(value).__module__.partition(".")[0] == "pandas"


def _column_from_series(series: Any) -> pa.Array | pa.ChunkedArray:
    if series.dtype == object:
        first = next((value for value in series if value is not None), None)
        if isinstance(first, np.ndarray):
            return _column_from_list(list(series))
    try:
        column = pa.Array.from_pandas(series)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return _column_from_list(list(series))
    if pa.types.is_large_string(column.type) and column.nbytes < 2**31:
        column = column.cast(pa.string())
    return column


def column_to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    """A column as one array; a view of the block's memory where type and chunks allow."""
    kind = column.type
    if is_tensor(kind):
        return tensor_to_numpy(column)
    if isinstance(kind, ObjectType):
        return _objects(objects_to_python(column))
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    values: np.ndarray = (
        column.chunk(0).to_numpy(zero_copy_only=False) if column.num_chunks == 1 else column.to_numpy()
    )
    return values


def column_to_python(column: pa.ChunkedArray) -> list[Any]:
    """A column's values as rows show them: Python values, tensors as arrays."""
    if is_tensor(column.type):
        return list(tensor_to_numpy(column))
    if isinstance(column.type, ObjectType):
        return objects_to_python(column)
    values: list[Any] = column.to_pylist()
    return values


def _objects(values: list[Any]) -> np.ndarray:
    out = np.empty(len(values), object)
    for i, value in enumerate(values):
        out[i] = value
    return out


# -- rows --------------------------------------------------------------------------------------------


def table_to_rows(table: pa.Table) -> list[dict[str, Any]]:
    """The rows of a block, as dicts of Python values."""
    names = table.column_names
    if len(names) == 1:
        name = names[0]
        return [{name: value} for value in column_to_python(table.column(0))]
    columns = [column_to_python(column) for column in table.columns]
    if not columns:
        return [{} for _ in range(table.num_rows)]
    return [dict(zip(names, values, strict=False)) for values in zip(*columns, strict=False)]


def table_from_rows(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A block of rows; a column that a row lacks is null there."""
    if not rows:
        return pa.table({})
    names = list(rows[0])
    if all(row.keys() == rows[0].keys() for row in rows):
        columns = {name: [row[name] for row in rows] for name in names}
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in names}
    if not names:
        return pa.table({"__empty__": pa.nulls(len(rows))}).select([])
    return _table({_checked_name(name): _column_from_list(values) for name, values in columns.items()})


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"column names are strings, got {name!r} of {type(name)}")
    return name


# -- batches -----------------------------------------------------------------------------------------


def table_to_batch(table: pa.Table, batch_format: str, zero_copy: bool = True) -> Any:
    """A block in the format that a user's function asked for."""
    if batch_format == "pyarrow":
        return table
    if batch_format == "pandas":
        return table_to_pandas(table)
    batch = {name: column_to_numpy(table.column(i)) for i, name in enumerate(table.column_names)}
    if not zero_copy:
        batch = {name: values.copy() for name, values in batch.items()}
    return batch


def table_to_pandas(table: pa.Table) -> pandas.DataFrame:
    """A block as a frame; tensors are columns of arrays."""
    pandas = optional("pandas", "a pandas.DataFrame")

    special = [f.name for f in table.schema if is_tensor(f.type) or isinstance(f.type, ObjectType)]
    if not special:
        return table.replace_schema_metadata().to_pandas()
    plain = table.drop_columns(special).replace_schema_metadata()
    frame = plain.to_pandas() if plain.num_columns else pandas.DataFrame(index=range(table.num_rows))
    columns = {}
    for name in table.column_names:
        if name in special:
            values = _objects(column_to_python(table.column(name)))
            columns[name] = pandas.Series(values, index=frame.index, dtype=object)
        else:
            columns[name] = frame[name]
    return pandas.DataFrame(columns, index=frame.index)


def table_from_pandas(frame: pandas.DataFrame) -> pa.Table:
    """A frame as a block; its index is left out."""
    return _table({str(name): _column_from_series(frame[name]) for name in frame.columns})


def table_from_batch(batch: Any) -> pa.Table:
    """What a function returned as a block: a dict of arrays, a frame or a table."""
    if isinstance(batch, pa.Table):
        return batch
    if isinstance(batch, Mapping):
        columns = {_checked_name(name): column_from_values(values) for name, values in batch.items()}
        return _table(columns)
    if isinstance(batch, pa.RecordBatch):
        return pa.Table.from_batches([batch])
    if _is_pandas(batch) and hasattr(batch, "columns"):
        return table_from_pandas(batch)
    raise TypeError(
        f"the function returned {type(batch)}; a batch is a dict of arrays or lists, a pandas.DataFrame or a "
        "pyarrow.Table (a generator yields such). Wrap a single array as {'data': array}"
    )


def _table(columns: dict[str, pa.Array | pa.ChunkedArray]) -> pa.Table:
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name!r}: {len(column)}" for name, column in columns.items())
        raise ValueError(f"the columns of a batch must have equal lengths, got {lengths}")
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


# -- several blocks ----------------------------------------------------------------------------------


def concat_tables(tables: Sequence[pa.Table]) -> pa.Table:
    """One block of several; unlike schemas are brought together (wider numbers, nulls, ragged tensors)."""
    tables = [table for table in tables if table.num_rows] or list(tables[:1])
    if len(tables) == 1:
        return tables[0]
    if not tables:
        return pa.table({})
    first = tables[0].schema
    if all(table.schema.equals(first) for table in tables[1:]):
        return pa.concat_tables(tables)
    schema = unify_schemas([table.schema for table in tables])
    return pa.concat_tables([conform(table, schema) for table in tables])


def unify_schemas(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """A schema that all can be brought to; pickled objects where types have nothing in common."""
    kinds: dict[str, pa.DataType] = {}
    for schema in schemas:
        for field in schema:
            known = kinds.get(field.name)
            kinds[field.name] = field.type if known is None else _common_type(known, field.type)
    return pa.schema(list(kinds.items()))


def _common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType:
    if left.equals(right) or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if is_tensor(left) and is_tensor(right):
        sizes = [
            len(t.shape) if isinstance(t, pa.FixedShapeTensorType) else t.dimensions for t in (left, right)
        ]
        if sizes[0] == sizes[1]:
            dtype = np.result_type(left.value_type.to_pandas_dtype(), right.value_type.to_pandas_dtype())
            return RaggedTensorType(pa.from_numpy_dtype(dtype), sizes[0])
        return ObjectType()
    try:
        merged = pa.unify_schemas(
            [pa.schema([("c", left)]), pa.schema([("c", right)])], promote_options="permissive"
        )
        return merged.field("c").type
    except (pa.ArrowException, TypeError):
        return ObjectType()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns and types of `schema`."""
    columns = []
    for field in schema:
        place = table.schema.get_field_index(field.name)
        if place < 0:
            columns.append(_null_column(table.num_rows, field.type))
            continue
        column = table.column(place)
        columns.append(column if column.type.equals(field.type) else _converted(column, field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _null_column(rows: int, kind: pa.DataType) -> pa.Array:
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.nulls(rows, kind.storage_type))
    return pa.nulls(rows, kind)


def _converted(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if pa.types.is_null(column.type):
        return _null_column(len(column), kind)
    if isinstance(kind, RaggedTensorType):
        dtype = np.dtype(kind.value_type.to_pandas_dtype())
        return ragged_to_arrow(list(tensor_to_numpy(column)), dtype, kind.dimensions)
    if isinstance(kind, ObjectType):
        return objects_to_arrow(column_to_python(column))
    return column.cast(kind)
