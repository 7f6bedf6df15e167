"""Plans, expressions, options and settings: all that happens before anything runs. No engine."""

import numpy as np
import pyarrow as pa
import pytest

from mobula.data.block import table_from_batch
from mobula.data.compute import ActorPoolStrategy, TaskPoolStrategy, compute_strategy
from mobula.data.context import DataContext
from mobula.data.dataset import Dataset
from mobula.data.expressions import col, lit, parse_expression
from mobula.data.plan.logical import Apply, Blocks, Limit, Read, Tables, explain, optimized
from mobula.data.plan.options import remote_options
from mobula.data.plan.physical import lower
from mobula.data.source.generated import RangeSource
from mobula.data.source.partition import Partitioning, PathPartitionFilter


class Model:
    def __call__(self, batch):
        return batch


def source(n=100, blocks=4):
    return Dataset(Read((), RangeSource(n, cpus=2), blocks), DataContext())


def names(dataset):
    return [op.name for op in lower(dataset._node, dataset.context)]


def same(batch):
    return batch


def test_functions_fuse_with_what_they_follow():
    chain = source().map_batches(same).map(lambda row: row).filter(lambda row: True)
    assert names(chain) == ["ReadRange", "ReadRange->MapBatches(same)->Map(<lambda>)->Filter(<lambda>)"]


def test_unlike_resources_keep_operators_apart():
    chain = source().map_batches(same, num_cpus=1).map_batches(same, num_cpus=0.5)
    assert names(chain) == ["ReadRange", "ReadRange->MapBatches(same)", "MapBatches(same)"]


def test_actors_run_beside_what_feeds_them_unless_that_only_generates_rows():
    assert names(source().map_batches(Model, concurrency=1))[1:] == ["ReadRange->MapBatches(Model)"]
    chain = (
        source().map_batches(same).map_batches(Model, concurrency=2).select_columns(["id"]).map_batches(same)
    )
    assert names(chain)[1:] == [
        "ReadRange->MapBatches(same)",
        "MapBatches(Model)->Project",
        "MapBatches(same)",
    ]


def test_row_functions_in_a_row_are_one_stage():
    node = optimized(source().map(lambda row: row).filter(lambda row: True)._node)
    assert isinstance(node, Apply)
    assert isinstance(node.inputs[0], Read)


def test_a_limit_reaches_the_reader_through_what_keeps_rows():
    ops = lower(source().map(lambda row: row).limit(5)._node, DataContext())
    assert [stage.name for stage in ops[1].stages] == ["ReadRange", "Limit(5)", "Map(<lambda>)"]
    ops = lower(source().filter(lambda row: True).limit(5)._node, DataContext())
    assert [stage.name for stage in ops[1].stages] == ["ReadRange", "Filter(<lambda>)", "Limit(5)"]


def test_the_number_of_rows_is_known_where_nothing_changes_it():
    assert source().map(lambda row: row).select_columns(["id"])._node.row_count() == 100
    assert source().limit(7)._node.row_count() == 7
    assert source().union(source(5))._node.row_count() == 105
    assert source().filter(lambda row: True)._node.row_count() is None
    assert source().map_batches(same)._node.row_count() is None


def test_nothing_runs_when_a_plan_is_printed():
    dataset = source().map(lambda row: 1 / 0)
    assert repr(dataset) == "Dataset(num_rows=100, schema=Unknown schema)"
    assert explain(dataset._node).splitlines() == ["Map(<lambda>)", "+- ReadRange"]


def test_reads_are_split_as_asked_and_never_into_nothing():
    context = DataContext()
    for wanted, rows, tasks in ((1, 100, 1), (4, 100, 4), (10, 3, 3), (5, 0, 1), (-1, 8, 8)):
        found = RangeSource(rows, cpus=2).tasks(wanted, context)
        assert len(found) == tasks, (wanted, rows)
        assert sum(task.rows for task in found) == rows


@pytest.mark.parametrize(
    ("fn", "concurrency", "expected"),
    [
        (same, None, TaskPoolStrategy()),
        (same, 3, TaskPoolStrategy(3)),
        (Model, None, ActorPoolStrategy(min_size=1)),
        (Model, 2, ActorPoolStrategy(size=2)),
        (Model, (1, 4), ActorPoolStrategy(min_size=1, max_size=4)),
        (Model, (1, 4, 2), ActorPoolStrategy(min_size=1, max_size=4, initial_size=2)),
    ],
)
def test_concurrency_means_tasks_for_functions_and_actors_for_classes(fn, concurrency, expected):
    assert compute_strategy(fn, None, concurrency) == expected


@pytest.mark.parametrize(
    ("fn", "compute", "concurrency"),
    [
        (same, None, 0),
        (same, None, (1, 2)),
        (same, None, "2"),
        (Model, None, (3, 1)),
        (Model, None, (1, 2, 3)),
        (Model, TaskPoolStrategy(), None),
        (same, 5, None),
        (same, TaskPoolStrategy(), 2),
    ],
)
def test_wrong_concurrency_is_refused(fn, compute, concurrency):
    with pytest.raises(ValueError, match=r".+"):
        compute_strategy(fn, compute, concurrency)


def test_unknown_options_are_refused_by_name():
    with pytest.raises(TypeError, match="num_cpu'"):
        source().map(same, num_cpu=2)
    with pytest.raises(ValueError, match="num_gpus=-1"):
        source().map(same, num_gpus=-1)
    with pytest.raises(NotImplementedError, match="ray_remote_args_fn"):
        source().map(same, ray_remote_args_fn=dict)
    assert remote_options("map", num_gpus=1).amounts() == {"GPU": 1}
    assert remote_options("map").amounts() == {"CPU": 1}


def test_wrong_functions_and_arguments_are_refused():
    with pytest.raises(ValueError, match="expected a function"):
        source().map(5)
    with pytest.raises(ValueError, match="classes"):
        source().map(same, fn_constructor_args=(1,))
    with pytest.raises(ValueError, match="batch_size=0"):
        source().map_batches(same, batch_size=0)
    with pytest.raises(ValueError, match="nonsense"):
        source().map_batches(same, batch_format="nonsense")
    with pytest.raises(ValueError, match="either"):
        source().filter()
    with pytest.raises(ValueError, match="limit"):
        source().limit(-1)
    with pytest.raises(ValueError, match="twice"):
        source().select_columns(["a", "a"])
    with pytest.raises(AttributeError):
        source().no_such_method


def test_settings_are_copied_into_a_dataset_and_unknown_ones_refused():
    context = DataContext()
    context.max_errored_blocks = 3
    context.use_push_based_shuffle = True
    copy = context.copy()
    context.execution_options.preserve_order = True
    assert copy.max_errored_blocks == 3
    assert not copy.execution_options.preserve_order
    with pytest.raises(AttributeError, match="max_errored_blocks"):
        context.max_errored_block = 1
    with pytest.raises(ValueError, match="target_max_block_size"):
        context.target_max_block_size = 0


# -- expressions ----


TABLE = table_from_batch({"a": np.arange(6), "s": ["x", "y", None, "x", "z", "y"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a >= 2 and a < 4", [2, 3]),
        ("a == 1 or s == 'z'", [1, 4]),
        ("s in ['x']", [0, 3]),
        ("s not in ['x', 'y'] and a > 0", [2, 4]),
        ("not (a > 1)", [0, 1]),
        ("1 <= a <= 2", [1, 2]),
        ("a % 3 == 2", [2, 5]),
        ("a // 2 == 1", [2, 3]),
        ("a > -1 and -a > -2", [0, 1]),
    ],
)
def test_filters_may_be_text(text, expected):
    from mobula.data.op.columns import rows_where

    assert rows_where(TABLE, parse_expression(text))["a"].to_pylist() == expected


@pytest.mark.parametrize("text", ["import os", "f(a)", "a ==", "a.b", "lambda: 1"])
def test_text_that_is_no_expression_is_refused(text):
    with pytest.raises(ValueError, match="expression"):
        parse_expression(text)


def test_expressions_compute_as_python_does():
    assert ((col("a") + 1) / 2).evaluate(TABLE).to_pylist() == [(i + 1) / 2 for i in range(6)]
    assert (10 - col("a") * 2).evaluate(TABLE).to_pylist() == [10 - 2 * i for i in range(6)]
    assert col("s").is_null().evaluate(TABLE).to_pylist() == [v is None for v in TABLE["s"].to_pylist()]
    assert lit(3).evaluate(TABLE).as_py() == 3
    assert col("a").cast(pa.float32()).evaluate(TABLE).type == pa.float32()


def test_expressions_print_travel_and_have_no_truth():
    import pickle

    expression = (col("a") > 1) & ~col("s").is_in(["x"])
    assert repr(pickle.loads(pickle.dumps(expression))) == repr(expression)
    assert expression.columns() == {"a", "s"}
    with pytest.raises(TypeError, match="truth"):
        bool(expression)
    with pytest.raises(KeyError, match="nope"):
        col("nope").evaluate(TABLE)


# -- partitions ----


def test_partitions_are_read_from_paths():
    hive = Partitioning("hive", base_dir="/d")
    assert hive.parse("/d/year=2024/region=eu/a.parquet") == {"year": "2024", "region": "eu"}
    folders = Partitioning("dir", base_dir="/d", field_names=["year", "region"])
    assert folders.parse("/d/2024/eu/a.parquet") == {"year": "2024", "region": "eu"}
    chosen = PathPartitionFilter.of(lambda parts: parts["year"] == "2024")
    assert chosen(["/d/year=2024/a", "/d/year=2023/b"]) == ["/d/year=2024/a"]
    with pytest.raises(ValueError, match="style"):
        Partitioning("nonsense")


def test_tables_and_blocks_know_their_schema():
    table = pa.table({"a": [1]})
    assert Tables((), (table,)).schema() == table.schema
    assert Blocks((), (), table.schema).schema() == table.schema
    assert Limit((Tables((), (table,)),), 3).schema() == table.schema
