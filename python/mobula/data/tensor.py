"""Tensor and object columns of blocks: NumPy arrays to Arrow arrays and back, without a copy where shapes
agree.

Rows of one shape are Arrow's canonical `arrow.fixed_shape_tensor`; rows of unlike shapes its canonical
`arrow.variable_shape_tensor` (pyarrow has no class for it yet, so it is here); values that Arrow has no
type for are pickled one by one (`mobula.pickle`). Tests: tests/python/test_data_block.py.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from typing import Any

import cloudpickle
import numpy as np
import pyarrow as pa

__all__ = [
    "ObjectType",
    "RaggedTensorType",
    "is_tensor",
    "objects_to_arrow",
    "objects_to_python",
    "ragged_to_arrow",
    "tensor_to_arrow",
    "tensor_to_numpy",
]


class RaggedTensorType(pa.ExtensionType):  # type: ignore[misc]
    """Tensors of one element type and one number of dimensions, each row with a shape of its own."""

    def __init__(self, value_type: pa.DataType, dimensions: int) -> None:
        self.value_type = value_type
        self.dimensions = dimensions
        shape = pa.list_(pa.field("item", pa.int32()), dimensions)
        storage = pa.struct([("data", pa.list_(value_type)), ("shape", shape)])
        super().__init__(storage, "arrow.variable_shape_tensor")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"{}"

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> RaggedTensorType:
        json.loads(serialized or b"{}")
        return cls(storage_type.field("data").type.value_type, storage_type.field("shape").type.list_size)

    def to_pandas_dtype(self) -> Any:
        """Rows are Python objects (ndarrays) in pandas."""
        return np.dtype(object)


class ObjectType(pa.ExtensionType):  # type: ignore[misc]
    """Any Python value, pickled."""

    def __init__(self) -> None:
        super().__init__(pa.large_binary(), "mobula.pickle")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> ObjectType:
        return cls()


def _register(example: pa.ExtensionType) -> None:
    """Makes a type known to Arrow; a second import of this module finds it there already."""
    try:
        pa.register_extension_type(example)
    except pa.ArrowKeyError:
        pa.unregister_extension_type(example.extension_name)
        pa.register_extension_type(example)


_register(RaggedTensorType(pa.uint8(), 1))
_register(ObjectType())


def is_tensor(kind: pa.DataType) -> bool:
    """Is this the type of a tensor column, of one shape or ragged?"""
    return isinstance(kind, (pa.FixedShapeTensorType, RaggedTensorType))


def tensor_to_arrow(array: np.ndarray) -> pa.Array:
    """An array of n rows and at least two dimensions as a column of n tensors; shares the memory if
    contiguous.
    """
    shape = array.shape[1:]
    size = int(np.prod(shape))
    if size == 0 or len(array) == 0:
        if size == 0:
            return ragged_to_arrow(list(array), array.dtype, len(shape))
        values = pa.array(np.empty(0, array.dtype))
    else:
        values = pa.array(np.ascontiguousarray(array).reshape(-1))
    storage = pa.FixedSizeListArray.from_arrays(values, size)
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(values.type, list(shape)), storage)


def ragged_to_arrow(
    items: Sequence[np.ndarray | None], dtype: np.dtype | None = None, dimensions: int | None = None
) -> pa.Array:
    """Arrays of one number of dimensions and any shapes (or None) as a column of tensors."""
    present = [item for item in items if item is not None]
    dimensions = present[0].ndim if dimensions is None else dimensions
    if dtype is None:
        dtype = np.result_type(*{item.dtype for item in present}) if present else np.dtype(np.float64)
    flat = [
        np.empty(0, dtype) if item is None else np.ascontiguousarray(item, dtype).reshape(-1)
        for item in items
    ]
    offsets = np.zeros(len(items) + 1, np.int64)
    np.cumsum([len(part) for part in flat], out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(
            f"a batch of {len(items)} tensors has {offsets[-1]} elements; at most 2**31 - 1 fit in one "
            "column: return or yield fewer rows at once"
        )
    values = pa.array(np.concatenate(flat) if flat else np.empty(0, dtype))
    data = pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
    shapes = np.array(
        [(0,) * dimensions if item is None else item.shape for item in items], np.int32
    ).reshape(-1)
    kind = RaggedTensorType(values.type, dimensions)
    shape = pa.FixedSizeListArray.from_arrays(pa.array(shapes), type=kind.storage_type.field("shape").type)
    missing = pa.array([item is None for item in items]) if len(present) < len(items) else None
    storage = pa.StructArray.from_arrays([data, shape], fields=list(kind.storage_type), mask=missing)
    return pa.ExtensionArray.from_storage(kind, storage)


def tensor_to_numpy(array: pa.Array | pa.ChunkedArray) -> np.ndarray:
    """The tensors of a column: one array if all have one shape, else an array of arrays (None for nulls)."""
    if isinstance(array, pa.ChunkedArray):
        if array.num_chunks == 1:
            array = array.chunk(0)
        elif array.num_chunks == 0:
            array = pa.array([], array.type.storage_type).cast(array.type)
        else:
            parts = [tensor_to_numpy(chunk) for chunk in array.chunks]
            if all(part.dtype != object and part.shape[1:] == parts[0].shape[1:] for part in parts):
                return np.concatenate(parts)
            return _object_array([row for part in parts for row in part])
    if isinstance(array.type, pa.FixedShapeTensorType):
        return _fixed_to_numpy(array)
    return _ragged_to_numpy(array)


def _fixed_to_numpy(array: pa.ExtensionArray) -> np.ndarray:
    shape = tuple(array.type.shape)
    if array.null_count:
        return _object_array([None if not item.is_valid else item.to_numpy() for item in array])
    rows: np.ndarray = array.storage.flatten().to_numpy(zero_copy_only=False).reshape((len(array), *shape))
    order = array.type.permutation
    if order is not None and list(order) != sorted(order):
        rows = rows.transpose((0, *(place + 1 for place in order)))
    return rows


def _ragged_to_numpy(array: pa.ExtensionArray) -> np.ndarray:
    storage = array.storage
    data, shapes = storage.field("data"), storage.field("shape")
    values: np.ndarray = data.values.to_numpy(zero_copy_only=False)
    offsets = data.offsets.to_numpy(zero_copy_only=False)
    dimensions = array.type.dimensions
    extents = shapes.flatten().to_numpy(zero_copy_only=False).reshape(-1, dimensions)
    valid = storage.is_valid().to_numpy(zero_copy_only=False) if storage.null_count else None
    rows: list[np.ndarray | None] = []
    for i in range(len(array)):
        if valid is not None and not valid[i]:
            rows.append(None)
        else:
            rows.append(values[offsets[i] : offsets[i + 1]].reshape(extents[i]))
    if rows and valid is None and (extents == extents[0]).all():
        start, end = offsets[0], offsets[len(array)]
        return values[start:end].reshape((len(rows), *extents[0]))
    return _object_array(rows)


def objects_to_arrow(values: Sequence[Any]) -> pa.Array:
    """Any Python values, pickled one by one; None is a null."""
    pickled = [None if value is None else cloudpickle.dumps(value, protocol=5) for value in values]
    return pa.ExtensionArray.from_storage(ObjectType(), pa.array(pickled, pa.large_binary()))


def objects_to_python(array: pa.Array | pa.ChunkedArray) -> list[Any]:
    """The values of a column made by `objects_to_arrow`."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return [
        None if item is None else pickle.loads(item) for chunk in chunks for item in chunk.storage.to_pylist()
    ]


def _object_array(rows: list[Any]) -> np.ndarray:
    """Rows as an array of objects: np.array would try to stack them."""
    out = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        out[i] = row
    return out
