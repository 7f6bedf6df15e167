"""What every engine has to keep, run again in odd worlds: little memory, one worker, nothing shared."""

from __future__ import annotations

import gc
import os
import time

import numpy as np
import pytest

import mobula as ray
from mobula import _core

WORLDS = {
    "plain": {"num_cpus": 3},
    "one worker": {"num_cpus": 1},
    "spills always": {"num_cpus": 2, "object_store_memory": 8 << 20},
    "an environment of its own": {"num_cpus": 2, "runtime_env": {"env_vars": {"WORLD": "own"}}},
}


@pytest.fixture(scope="module", autouse=True, params=list(WORLDS))
def engine(request):
    ray.init(log_to_driver=False, **WORLDS[request.param])
    yield request.param
    ray.shutdown()


@ray.remote
def make(number, size):
    return np.full(size, number % 256, np.uint8)


@ray.remote
def last(array):
    return int(array[-1])


@ray.remote(num_cpus=0)
class Log:
    def __init__(self):
        self.entries = []

    def add(self, entry):
        self.entries.append(entry)
        return len(self.entries)

    def read(self):
        return self.entries


def eventually(question, seconds=20):
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_values_pass_through_chains_of_tasks():
    assert ray.get([last.remote(make.remote(number, 1000)) for number in range(50)]) == list(range(50))


def test_a_working_set_larger_than_little_memory_comes_back():
    refs = [make.remote(number, 1 << 20) for number in range(20)]
    assert ray.get([last.remote(ref) for ref in refs]) == list(range(20))
    assert [int(ray.get(ref)[0]) for ref in reversed(refs)] == list(reversed(range(20)))


def test_nested_tasks_do_not_block_each_other():
    @ray.remote
    def tree(depth):
        return 1 if depth == 0 else sum(ray.get([tree.remote(depth - 1), tree.remote(depth - 1)]))

    assert ray.get(tree.remote(4)) == 16


def test_calls_of_one_caller_keep_their_order():
    log = Log.remote()
    ray.get([log.add.remote(number) for number in range(300)])
    assert ray.get(log.read.remote()) == list(range(300))


def test_errors_reach_those_who_depend_on_them():
    @ray.remote
    def fail():
        raise LookupError("as asked")

    with pytest.raises(LookupError, match="as asked"):
        ray.get(last.remote(fail.remote()))


def test_a_crash_is_repeated_and_spoils_nothing_else(tmp_path):
    @ray.remote(max_retries=2)
    def crash_once(path):
        if not os.path.exists(path):
            open(path, "w").close()
            os._exit(1)
        return "survived"

    others = [last.remote(make.remote(number, 100)) for number in range(10)]
    assert ray.get(crash_once.remote(str(tmp_path / "crashed"))) == "survived"
    assert ray.get(others) == list(range(10))


def test_a_crashed_actor_starts_anew():
    @ray.remote(num_cpus=0, max_restarts=1, max_task_retries=1)
    class Fragile:
        def __init__(self):
            self.calls = 0

        def call(self):
            self.calls += 1
            return self.calls, os.getpid()

        def crash(self, pid):
            if os.getpid() == pid:
                os._exit(1)

    actor = Fragile.remote()
    first = ray.get(actor.call.remote())
    ray.get(actor.crash.remote(first[1]))
    again = ray.get(actor.call.remote())
    assert again[0] == 1 and again[1] != first[1]


def test_streams_end():
    @ray.remote
    def count(n):
        for number in range(n):
            yield np.full(200_000, number)

    assert [int(ray.get(ref)[0]) for ref in count.remote(10)] == list(range(10))


def test_the_environment_is_that_of_the_world(engine):
    @ray.remote
    def read():
        return os.environ.get("WORLD"), os.environ.get("MINE")

    world = "own" if engine == "an environment of its own" else None
    assert ray.get(read.remote()) == (world, None)
    assert ray.get(read.options(runtime_env={"env_vars": {"MINE": "1"}}).remote()) == (world, "1")


def test_nothing_is_left_at_the_end():
    gc.collect()
    eventually(lambda: _core.stats()["arena_used_bytes"] == 0)
    eventually(lambda: _core.stats()["objects"] == 0)
    eventually(lambda: _core.stats()["tasks"] == 0)
    eventually(lambda: _core.stats()["actors"] == 0)
