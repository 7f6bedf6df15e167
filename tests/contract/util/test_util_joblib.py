"""joblib's back end "ray": results, errors, sizes, nesting."""

from __future__ import annotations

import os

import numpy as np
import pytest

import mobula as ray
from mobula.util.joblib import register_ray

joblib = pytest.importorskip("joblib")
register_ray()


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=3, log_to_driver=False)
    yield
    ray.shutdown()


def square(x):
    return x * x


def test_calls_run_in_workers_in_order():
    with joblib.parallel_backend("ray", n_jobs=-1):
        assert joblib.effective_n_jobs(-1) == 3
        assert joblib.effective_n_jobs(-2) == 2
        assert joblib.Parallel()(joblib.delayed(square)(i) for i in range(200)) == [i * i for i in range(200)]
        pids = set(joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(20)))
    assert os.getpid() not in pids


def test_arrays_and_generators():
    with joblib.parallel_backend("ray", n_jobs=2):
        sums = joblib.Parallel(return_as="generator")(
            joblib.delayed(np.sum)(np.full(10_000, i)) for i in range(10)
        )
        assert [int(one) for one in sums] == [10_000 * i for i in range(10)]


def test_an_error_keeps_its_class():
    def fail(i):
        if i == 7:
            raise KeyError("seven")
        return i

    with joblib.parallel_backend("ray", n_jobs=2), pytest.raises(KeyError, match="seven"):
        joblib.Parallel()(joblib.delayed(fail)(i) for i in range(50))


def test_parallel_calls_nest_without_standing_still():
    def inner(i, j, k):
        return 100 * i + 10 * j + k

    def middle(i, j):
        return joblib.Parallel(n_jobs=2)(joblib.delayed(inner)(i, j, k) for k in range(3))

    def outer(i):
        return joblib.Parallel(n_jobs=2)(joblib.delayed(middle)(i, j) for j in range(3))

    with joblib.parallel_backend("ray", n_jobs=3):
        got = joblib.Parallel()(joblib.delayed(outer)(i) for i in range(6))
    assert got == [[[100 * i + 10 * j + k for k in range(3)] for j in range(3)] for i in range(6)]


def test_nested_calls_are_tasks_too():
    def outer():
        return os.getpid(), joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(4))

    with joblib.parallel_backend("ray", n_jobs=2):
        for pid, inside in joblib.Parallel()(joblib.delayed(outer)() for _ in range(2)):
            assert pid not in inside


def test_options_of_the_tasks():
    def resources():
        return ray.get_runtime_context().get_assigned_resources()

    with joblib.parallel_backend("ray", n_jobs=2, ray_remote_args={"num_cpus": 0.5}):
        got = joblib.Parallel()(joblib.delayed(resources)() for _ in range(4))
    assert all(one["CPU"] == 0.5 for one in got)


def test_one_job_runs_here():
    with joblib.parallel_backend("ray", n_jobs=1):
        assert joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(2)) == [os.getpid()] * 2
    with joblib.parallel_backend("ray", n_jobs=2), pytest.raises(ValueError, match="n_jobs == 0"):
        joblib.Parallel(n_jobs=0)(joblib.delayed(square)(i) for i in range(2))
