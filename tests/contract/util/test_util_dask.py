"""Dask's graphs and collections on tasks: values, callbacks, persisted parts, options."""

from __future__ import annotations

import operator
import os
import time

import numpy as np
import pytest

import mobula as ray

dask = pytest.importorskip("dask")

from mobula.util.dask import (  # noqa: E402
    ProgressBarCallback,
    RayDaskCallback,
    disable_dask_on_ray,
    enable_dask_on_ray,
    ray_dask_get,
    ray_dask_get_sync,
    ray_dask_persist,
)


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=3, log_to_driver=False)
    yield
    ray.shutdown()


@dask.delayed
def increment(x):
    return x + 1


@dask.delayed
def where():
    return os.getpid()


@pytest.mark.parametrize("get", [ray_dask_get, ray_dask_get_sync])
def test_graphs_by_hand_are_computed(get):
    graph = {"x": 1, "y": (operator.add, "x", 10), "z": (sum, ["x", "y", "y"]), "alias": "z"}
    assert get(graph, "z") == 23
    assert get(graph, ["x", ["y", "z"], "alias"]) == (1, (11, 23), 23) or list(get(graph, ["x", "y"])) == [
        1,
        11,
    ]


def test_delayed_calls_run_in_workers():
    assert dask.compute(where(), scheduler=ray_dask_get)[0] != os.getpid()
    total = dask.delayed(sum)([increment(i) for i in range(50)])
    assert total.compute(scheduler=ray_dask_get) == sum(range(1, 51))


def test_tasks_that_do_not_depend_run_at_once():
    @dask.delayed
    def slow(i):
        time.sleep(0.3)
        return i

    dask.compute(*[slow(i) for i in range(3)], scheduler=ray_dask_get)  # workers are there
    began = time.monotonic()
    assert dask.compute(*[slow(i) for i in range(3)], scheduler=ray_dask_get) == (0, 1, 2)
    assert time.monotonic() - began < 0.85


def test_arrays():
    array = pytest.importorskip("dask.array")
    ones = array.ones((400, 300), chunks=(100, 100))
    with enable_dask_on_ray():
        assert float((ones + ones.T.mean()).sum().compute()) == 240_000
        assert np.array_equal((ones * 2)[:10, :10].compute(), np.full((10, 10), 2.0))


def test_dataframes_are_shuffled_by_tasks():
    pandas = pytest.importorskip("pandas")
    dataframe = pytest.importorskip("dask.dataframe")
    table = pandas.DataFrame({"key": np.arange(1000) % 7, "value": np.arange(1000.0)})
    with enable_dask_on_ray():
        got = dataframe.from_pandas(table, npartitions=5).groupby("key").value.sum().compute()
        shuffled = dataframe.from_pandas(table, npartitions=5).set_index("key", npartitions=3).compute()
    assert got.sort_index().tolist() == table.groupby("key").value.sum().tolist()
    assert sorted(shuffled.value) == table.value.tolist()


def test_enabling_and_disabling():
    enable_dask_on_ray()
    assert dask.config.get("scheduler") is ray_dask_get
    assert where().compute() != os.getpid()
    disable_dask_on_ray()
    assert where().compute() == os.getpid()


def test_an_error_keeps_its_class():
    @dask.delayed
    def fail():
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        increment(fail()).compute(scheduler=ray_dask_get)


def test_persisted_parts_stay_in_the_store_and_are_used():
    array = pytest.importorskip("dask.array")
    with enable_dask_on_ray():
        kept = array.arange(1000, chunks=100).persist()
        assert any(isinstance(part, ray.ObjectRef) for part in _parts(kept))
        assert int((kept + 1).sum().compute()) == 500_500
        (delayed,) = ray_dask_persist(increment(1))
        assert increment(delayed).compute() == 3
    (plain,) = dask.persist(increment(1), scheduler="sync")
    assert plain.compute(scheduler="sync") == 2


def _parts(collection):
    return [getattr(node, "value", node) for node in dict(collection.__dask_graph__()).values()]


def test_callbacks_are_called_where_they_say():
    @ray.remote(num_cpus=0)
    class Log:
        def __init__(self):
            self.entries = []

        def add(self, *entry):
            self.entries.append(entry)

        def read(self):
            return self.entries

    log, seen = Log.remote(), []

    class Watch(RayDaskCallback):
        def _ray_presubmit(self, task, key, deps):
            seen.append(("presubmit", key))
            return 100 if key == "skipped" else None

        def _ray_postsubmit(self, task, key, deps, object_ref):
            seen.append(("postsubmit", key, isinstance(object_ref, ray.ObjectRef)))

        def _ray_pretask(self, key, object_refs):
            ray.get(log.add.remote("pretask", key, os.getpid()))
            return f"before {key}"

        def _ray_posttask(self, key, result, pre_state):
            ray.get(log.add.remote("posttask", key, result, pre_state))

        def _ray_postsubmit_all(self, object_refs, dsk):
            seen.append(("all",))

        def _ray_finish(self, result):
            seen.append(("finish", result))

    graph = {"a": (operator.add, 1, 2), "skipped": (operator.neg, "a"), "b": (operator.add, "a", "skipped")}
    with Watch():
        assert ray_dask_get(graph, "b") == 103
    assert [one for one in seen if one[0] == "presubmit"] == [
        ("presubmit", key) for key in ("a", "skipped", "b")
    ]
    assert [one for one in seen if one[0] == "postsubmit"] == [
        ("postsubmit", "a", True),
        ("postsubmit", "b", True),
    ]
    assert seen[-2:] == [("all",), ("finish", 103)]
    entries = ray.get(log.read.remote())
    assert ("posttask", "b", 103, "before b") in entries
    assert all(entry[2] != os.getpid() for entry in entries if entry[0] == "pretask")
    seen.clear()
    ray_dask_get(graph, "b")
    assert not seen, "only inside of the block"


def test_dasks_own_callbacks_and_the_progress_bar(capfd):
    from dask.callbacks import Callback

    keys = []
    with Callback(pretask=lambda key, dsk, state: keys.append(key)), ProgressBarCallback():
        assert dask.delayed(sum)([increment(i) for i in range(5)]).compute(scheduler=ray_dask_get) == 15
    assert len(keys) >= 6
    assert "6/6 tasks" in capfd.readouterr().err


def test_options_of_the_tasks():
    @dask.delayed
    def resources():
        return ray.get_runtime_context().get_assigned_resources()["CPU"]

    assert resources().compute(scheduler=ray_dask_get, ray_remote_args={"num_cpus": 2}) == 2
    with dask.annotate(ray_remote_args={"num_cpus": 0.5}):
        few = resources()
    assert few.compute(scheduler=ray_dask_get, optimize_graph=False) == 0.5
    with pytest.raises(ValueError, match="Use ray_remote_args"):
        few.compute(scheduler=ray_dask_get, resources={"CPU": 1})


def test_intermediate_values_are_freed():
    @dask.delayed
    def big(before):
        return np.zeros(20 << 20, np.uint8)

    chain = None
    for _ in range(20):
        chain = big(chain)
    ray.get(ray.put(0))
    assert chain.compute(scheduler=ray_dask_get).nbytes == 20 << 20
    from mobula import _core

    assert _core.stats()["arena_peak_bytes"] < 400 << 20
