"""Whole runs on the embedded engine: results, order, limits, errors, lifetimes. Nothing may be left in the
store.
"""

import gc
import os
import time

import numpy as np
import pyarrow as pa
import pytest

import mobula
import mobula.data
from mobula import _core
from mobula.data import ActorPoolStrategy, DataContext


@pytest.fixture(scope="module", autouse=True)
def engine():
    mobula.init(num_cpus=3, num_gpus=1, ignore_reinit_error=True)
    yield
    mobula.shutdown()


@pytest.fixture(autouse=True)
def context():
    """Fresh settings for each test, and nothing left behind by it."""
    DataContext._set_current(DataContext())
    yield DataContext.get_current()
    DataContext._set_current(DataContext())
    assert_nothing_left()


def assert_nothing_left():
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        gc.collect()
        now = _core.stats()
        if now["objects"] == 0 and now["arena_used_bytes"] == 0 and now["actors"] == 0 and now["tasks"] == 0:
            return
        time.sleep(0.02)
    raise AssertionError(f"left behind: {now}")


def ids(dataset):
    return [row["id"] for row in dataset.take_all()]


class Scale:
    def __init__(self, factor=1):
        self.factor = factor

    def __call__(self, batch):
        return {"id": batch["id"] * self.factor, "pid": np.full(len(batch["id"]), os.getpid())}


def test_rows_come_in_the_order_of_the_input_even_if_nobody_asked():
    dataset = mobula.data.range(300, override_num_blocks=30).map_batches(
        lambda b: time.sleep(0.002 * (b["id"][0] % 3)) or b
    )
    assert ids(dataset) == list(range(300))
    assert ids(dataset.materialize()) == list(range(300))
    assert [row["id"] for row in dataset.take(5)] == list(range(5))


def test_streams_keep_the_order_when_asked(context):
    context.execution_options.preserve_order = True
    dataset = mobula.data.range(100, override_num_blocks=20).map_batches(
        lambda b: time.sleep(0.01 * (b["id"][0] % 2)) or b
    )
    assert [row["id"] for row in dataset.iter_rows()] == list(range(100))


def test_actors_are_made_once_and_end_with_the_run():
    dataset = mobula.data.range(200, override_num_blocks=20).map_batches(
        Scale, fn_constructor_args=(3,), concurrency=2
    )
    rows = dataset.take_all()
    assert [row["id"] for row in rows] == [3 * i for i in range(200)]
    assert 1 <= len({row["pid"] for row in rows}) <= 2
    assert_nothing_left()


def test_a_pool_that_wants_all_cpus_leaves_one_for_its_input():
    source = mobula.data.range(20, override_num_blocks=5).map(lambda row: row)
    assert len(source.map_batches(Scale, compute=ActorPoolStrategy(size=3)).take_all()) == 20


def test_gpus_are_held_by_actors():
    dataset = mobula.data.range(10, override_num_blocks=2).map_batches(Scale, num_gpus=1, concurrency=1)
    assert dataset.map_batches(lambda b: {"id": b["id"]}).count() == 10


def test_more_than_the_cluster_has_is_refused_at_once():
    with pytest.raises(ValueError, match="needs GPU: 2, but the cluster has 1"):
        mobula.data.range(10).map_batches(Scale, num_gpus=2, concurrency=1).take_all()
    with pytest.raises(ValueError, match="needs CPU: 100"):
        mobula.data.range(10).map(lambda row: row, num_cpus=100).take_all()


def test_a_limit_runs_only_what_it_needs(tmp_path):
    def note(batch):
        (tmp_path / str(batch["id"][0])).write_text("x")
        time.sleep(0.005)
        return batch

    dataset = mobula.data.range(10_000, override_num_blocks=200).map_batches(note)
    assert ids(dataset.limit(7)) == list(range(7))
    assert len(os.listdir(tmp_path)) < 40


def test_limits_cut_blocks_in_the_middle_of_a_plan():
    dataset = (
        mobula.data.range(100, override_num_blocks=7).limit(33).map_batches(lambda b: {"id": b["id"] + 1})
    )
    assert ids(dataset) == list(range(1, 34))
    assert mobula.data.range(50).limit(0).take_all() == []
    assert ids(mobula.data.range(50, override_num_blocks=3).materialize().limit(20)) == list(range(20))


def test_unions_give_all_rows():
    first = mobula.data.range(10, override_num_blocks=2)
    second = mobula.data.from_items([{"id": i} for i in range(100, 105)])
    assert ids(first.union(second, first.map(lambda row: {"id": -row["id"]}))) == [
        *range(10), *range(100, 105), *(-i for i in range(10))]  # fmt: skip


def test_the_error_of_a_function_is_of_its_own_class_and_says_where():
    def picky(row):
        if row["id"] == 37:
            raise ValueError("row 37 is wrong")
        return row

    dataset = mobula.data.range(100, override_num_blocks=10)
    for failing in (dataset.map(picky), dataset.filter(picky), dataset.flat_map(lambda row: [picky(row)])):
        with pytest.raises(ValueError, match="row 37 is wrong") as caught:
            failing.take_all()
        assert isinstance(caught.value, mobula.exceptions.RayTaskError)
        assert "row 7 of range(30, 40)" in str(caught.value)
        assert "picky" in str(caught.value) or "<lambda>" in str(caught.value)


def test_the_error_of_a_constructor_ends_the_run():
    class CannotLoad:
        def __init__(self):
            raise FileNotFoundError("weights.bin")

        def __call__(self, batch):
            return batch

    with pytest.raises(Exception, match=r"weights\.bin"):
        mobula.data.range(10).map_batches(CannotLoad, concurrency=1).take_all()


def test_errors_that_are_tolerated_are_counted_and_listed(context):
    context.max_errored_blocks = 2

    def picky(row):
        if row["id"] in (37, 71):
            raise ValueError(f"row {row['id']} is wrong")
        return row

    dataset = mobula.data.range(100, override_num_blocks=10).map(picky)
    assert ids(dataset) == [i for i in range(100) if i // 10 not in (3, 7)]
    assert "Skipped after errors: 2 blocks" in dataset.stats()
    assert "row 37 is wrong" in dataset.stats()
    context.max_errored_blocks = 1
    with pytest.raises(ValueError, match="is wrong"):
        mobula.data.range(100, override_num_blocks=10).map(picky).take_all()


def test_damaged_files_are_skipped_and_named(context, tmp_path):
    for i in range(6):
        (tmp_path / f"{i}.npy").write_bytes(b"damaged")
        if i != 4:
            np.save(tmp_path / f"{i}.npy", np.arange(3))
    with pytest.raises(ValueError, match=r"4\.npy"):
        mobula.data.read_numpy(str(tmp_path)).take_all()
    context.max_errored_blocks = 1
    dataset = mobula.data.read_numpy(str(tmp_path), override_num_blocks=1)
    assert len(dataset.take_all()) == 15
    assert "4.npy" in dataset.stats()


def test_a_worker_that_dies_is_replaced_and_no_row_is_lost_or_repeated(tmp_path):
    flag = tmp_path / "died"

    def die_once(batch):
        if batch["id"][0] == 50 and not flag.exists():
            flag.write_text("x")
            os._exit(1)
        return batch

    dataset = mobula.data.range(100, override_num_blocks=4).map_batches(die_once, batch_size=5)
    assert ids(dataset) == list(range(100))
    assert "tried again after losing a worker: 1" in dataset.stats()


def test_an_actor_that_dies_is_replaced(tmp_path):
    flag = tmp_path / "died"

    class DieOnce:
        def __call__(self, batch):
            if batch["id"][0] == 50 and not flag.exists():
                flag.write_text("x")
                os._exit(1)
            return batch

    dataset = mobula.data.range(100, override_num_blocks=10).map_batches(DieOnce, concurrency=1)
    assert ids(dataset) == list(range(100))


def test_an_input_that_kills_every_worker_ends_the_run():
    with pytest.raises(mobula.exceptions.WorkerCrashedError):
        mobula.data.range(10, override_num_blocks=1).map_batches(lambda b: os._exit(1)).take_all()


def test_leaving_an_iteration_early_ends_the_run():
    dataset = mobula.data.range(1000, override_num_blocks=100).map_batches(lambda b: time.sleep(0.01) or b)
    for number, _ in enumerate(dataset.iter_rows()):
        if number == 15:
            break
    assert_nothing_left()
    iterator = iter(dataset.iter_batches(batch_size=10))
    next(iterator)
    del iterator
    assert_nothing_left()


def test_counting_moves_no_blocks():
    dataset = mobula.data.range(1000, override_num_blocks=10).filter(lambda row: row["id"] % 3 == 0)
    assert dataset.count() == 334
    assert "0 blocks, 334 rows" in dataset.stats()


def test_materialized_blocks_go_with_the_dataset():
    kept = mobula.data.range(100_000, override_num_blocks=4).materialize()
    assert _core.stats()["objects"] == 4
    assert kept.num_blocks() == 4
    assert kept.count() == 100_000
    assert kept.sum("id") == sum(range(100_000))
    del kept
    assert_nothing_left()


def test_batches_are_views_of_the_store():
    kept = mobula.data.range_tensor(64, shape=(1000,)).materialize()
    for batch in kept.iter_batches(batch_size=None):
        assert not batch["data"].flags.writeable
        assert not batch["data"].flags.owndata
    del batch, kept


def test_more_data_than_the_budget_streams_through(context):
    context.execution_options.resource_limits.object_store_memory = 16 << 20

    def make(batch):
        return {"id": batch["id"], "payload": np.ones((len(batch["id"]), 1 << 20), np.uint8)}

    dataset = (
        mobula.data.range(100, override_num_blocks=50).map_batches(make).map_batches(Slow, concurrency=1)
    )
    seen = sorted(int(i) for batch in dataset.iter_batches(batch_size=2) for i in batch["id"])
    assert seen == list(range(100))
    stats = dataset.stats()
    peak = float(stats.split("blocks in memory at most ")[1].split(" MiB")[0])
    assert peak < 24, stats


def test_datasets_that_hold_each_other_up_are_read_in_step(context):
    """Each alone could keep all CPUs with tasks that wait for their reader."""
    context.execution_options.resource_limits.object_store_memory = 8 << 20

    def parts(batch):
        for part in range(12):
            yield {"part": np.array([part]), "payload": np.ones((1, 1 << 19), np.uint8)}

    first, second = (
        mobula.data.range(4, override_num_blocks=4).map_batches(parts).iter_batches(batch_size=1)
        for _ in range(2)
    )
    read = [(int(a["part"][0]), int(b["part"][0])) for a, b in zip(first, second, strict=True)]
    for parts_read in zip(*read, strict=True):
        assert sorted(parts_read) == sorted(4 * list(range(12)))


class Slow:
    def __call__(self, batch):
        time.sleep(0.002)
        return batch


def test_a_generator_streams_its_output_while_it_runs():
    def slow_parts(batch):
        for part in range(6):
            time.sleep(0.25)
            yield {"part": np.array([part]), "made": np.array([time.time()])}

    arrivals = {}
    for row in mobula.data.range(1).map_batches(slow_parts).iter_rows():
        arrivals[row["part"]] = time.time()
    assert arrivals[0] < arrivals[5] - 0.5


def test_tables_of_this_process_are_put_once():
    dataset = mobula.data.from_items([{"x": i} for i in range(10)])
    assert dataset.map(lambda row: {"x": row["x"] + 1}).sum("x") == 55
    assert dataset.count() == 10
    table = mobula.data.from_arrow(pa.table({"a": [1, 2]}))
    assert table.take_all() == [{"a": 1}, {"a": 2}]


def test_datasets_run_inside_of_tasks():
    @mobula.remote(num_cpus=0)
    def nested():
        import mobula.data

        return mobula.data.range(20, override_num_blocks=2).map(lambda row: {"id": row["id"] * 2}).sum("id")

    assert mobula.get(nested.remote()) == 380


def test_stats_say_what_happened():
    dataset = mobula.data.range(100, override_num_blocks=4).map_batches(Scale, concurrency=1)
    dataset.materialize()
    text = dataset.stats()
    for part in (
        "MapBatches(Scale)",
        "100 rows",
        "at work",
        "Bottleneck" if "Bottleneck" in text else "Run:",
    ):
        assert part in text
    assert "num_rows=?" in repr(dataset)
