"""Blocks: columns of every kind to rows, batches and back; joining blocks of unlike schemas. No engine."""

import datetime
import sys

import numpy as np
import pyarrow as pa
import pytest

from mobula.data.block import (
    checked_batch_format,
    concat_tables,
    table_from_batch,
    table_from_pandas,
    table_from_rows,
    table_to_batch,
    table_to_pandas,
    table_to_rows,
)
from mobula.data.tensor import is_tensor, ragged_to_arrow, tensor_to_arrow, tensor_to_numpy


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64, np.bool_])
def test_tensors_of_one_shape_keep_type_and_values(kind):
    array = (np.arange(24) % 2 if kind is np.bool_ else np.arange(24)).astype(kind).reshape(4, 2, 3)
    table = table_from_batch({"t": array})
    assert is_tensor(table.schema.field("t").type)
    back = table_to_batch(table, "numpy")["t"]
    assert back.dtype == kind
    assert np.array_equal(back, array)
    assert np.array_equal(table_to_batch(table.slice(1, 2), "numpy")["t"], array[1:3])


def test_tensors_are_not_copied():
    array = np.arange(60, dtype=np.float32).reshape(5, 4, 3)
    back = table_to_batch(table_from_batch({"t": array}), "numpy")["t"]
    assert np.shares_memory(back, array)
    numbers = np.arange(5)
    assert np.shares_memory(table_to_batch(table_from_batch({"n": numbers}), "numpy")["n"], numbers)


def test_strided_and_fortran_arrays_come_through():
    array = np.arange(48).reshape(4, 4, 3)
    for odd in (array[::2], array[:, ::-1], np.asfortranarray(array), array.transpose(0, 2, 1)):
        assert np.array_equal(tensor_to_numpy(tensor_to_arrow(odd)), odd)


def test_ragged_tensors_keep_each_shape():
    items = [np.full((i + 1, 2 * i), i, np.uint8) for i in range(5)]
    table = table_from_batch({"t": items})
    rows = [row["t"] for row in table_to_rows(table.slice(1, 3))]
    assert [row.shape for row in rows] == [(2, 2), (3, 4), (4, 6)]
    assert all((row == i + 1).all() and row.dtype == np.uint8 for i, row in enumerate(rows))


def test_ragged_tensors_may_be_null():
    column = ragged_to_arrow([np.ones((2, 2)), None, np.ones((1, 3))])
    back = tensor_to_numpy(column)
    assert back[1] is None
    assert back[2].shape == (1, 3)


def test_empty_tensors():
    for array in (np.empty((0, 2, 2), np.uint8), np.empty((3, 0), np.float32)):
        back = table_to_batch(table_from_batch({"t": array}), "numpy")["t"]
        assert back.shape == array.shape


def test_values_that_arrow_cannot_express_are_pickled():
    values = [{1, 2}, None, object, 3]
    table = table_from_rows([{"o": value} for value in values])
    assert [row["o"] for row in table_to_rows(table)] == values
    assert table_to_batch(table, "numpy")["o"].dtype == object


def test_numpy_batches_have_native_types():
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 4)
    table = pa.table({"i": pa.array([1, 2], pa.int8()), "s": ["a", None], "b": [b"x", b"y"],
                      "when": pa.array([moment, moment], pa.timestamp("us")), "flag": [True, False],
                      "gap": pa.array([1, None], pa.int64())})  # fmt: skip
    batch = table_to_batch(table, "numpy")
    assert batch["i"].dtype == np.int8
    assert batch["when"].dtype == np.dtype("datetime64[us]")
    assert batch["flag"].dtype == np.bool_
    assert list(batch["s"]) == ["a", None]
    assert list(batch["b"]) == [b"x", b"y"]
    assert np.isnan(batch["gap"][1])


def test_rows_that_lack_a_column_have_null_there():
    table = table_from_rows([{"a": 1}, {"a": 2, "b": "two"}])
    assert table.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": "two"}]


def test_pandas_frames_come_and_go_with_tensors():
    table = table_from_batch({"id": np.arange(3), "t": np.ones((3, 2, 2)), "s": ["a", "b", "c"]})
    frame = table_to_pandas(table)
    assert list(frame.columns) == ["id", "t", "s"]
    assert frame["t"].iloc[0].shape == (2, 2)
    back = table_from_pandas(frame)
    assert back.schema.field("t").type == table.schema.field("t").type
    assert back.schema.field("s").type == pa.string()


def test_columns_of_unlike_lengths_are_refused():
    with pytest.raises(ValueError, match="'a': 2, 'b': 3"):
        table_from_batch({"a": np.ones(2), "b": np.ones(3)})


@pytest.mark.parametrize("wrong", [5, "text", [1, 2], None])
def test_what_is_no_batch_is_refused(wrong):
    with pytest.raises(TypeError, match="batch"):
        table_from_batch(wrong)


def test_blocks_of_unlike_types_are_brought_together():
    left = table_from_batch({"n": np.arange(2), "t": np.ones((2, 2, 2)), "x": [None, None]})
    right = table_from_batch({"n": np.array([0.5]), "t": np.ones((1, 3, 3)), "y": ["new"]})
    rows = table_to_rows(concat_tables([left, right]))
    assert [row["n"] for row in rows] == [0, 1, 0.5]
    assert [row["t"].shape for row in rows] == [(2, 2), (2, 2), (3, 3)]
    assert rows[0]["y"] is None
    assert rows[2]["y"] == "new"


def test_types_without_anything_in_common_become_objects():
    rows = table_to_rows(concat_tables([table_from_batch({"v": [1]}), table_from_batch({"v": ["a"]})]))
    assert [row["v"] for row in rows] == [1, "a"]


def test_unknown_batch_formats_are_refused():
    assert checked_batch_format("default") == "numpy"
    assert checked_batch_format(None) == "pyarrow"
    with pytest.raises(ValueError, match="nonsense"):
        checked_batch_format("nonsense")


def test_a_package_that_is_missing_is_named_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)  # as if it were not installed
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'mobula\[pandas\]'"):
        table_to_pandas(pa.table({"a": [1]}))
