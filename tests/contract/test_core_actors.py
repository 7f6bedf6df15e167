"""Actors on a running engine."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

import mobula as ray
from mobula.exceptions import ActorDiedError, RayActorError, TaskCancelledError
from mobula.util import ActorPool, list_named_actors


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=4, log_to_driver=False, namespace="tests")
    yield
    ray.shutdown()


@ray.remote
class Counter:
    limit = 7

    def __init__(self, start=0):
        self.value = start

    def add(self, by=1):
        self.value += by
        return self.value

    def me(self):
        return ray.get_runtime_context().current_actor

    def pid(self):
        return os.getpid()

    def fail(self):
        raise KeyError("x")

    @ray.method(num_returns=2)
    def two(self):
        return 1, 2

    @staticmethod
    def twice(x):
        return 2 * x

    def stream(self, n):
        yield from range(n)


def test_calls_of_one_caller_run_in_order():
    counter = Counter.remote(10)
    assert ray.get([counter.add.remote() for _ in range(100)]) == list(range(11, 111))
    assert ray.get(counter.two.remote()) == [1, 2]
    assert ray.get(counter.twice.remote(4)) == 8
    assert [ray.get(ref) for ref in counter.stream.remote(3)] == [0, 1, 2]
    assert ray.get(counter.two.options(num_returns=1).remote()) == (1, 2)


def test_an_error_in_a_method_leaves_the_actor_alive():
    counter = Counter.remote()
    with pytest.raises(KeyError):
        ray.get(counter.fail.remote())
    assert ray.get(counter.add.remote()) == 1


def test_wrong_uses_are_refused_by_name():
    counter = Counter.remote()
    for wrong in (
        lambda: Counter(),
        lambda: counter.add(),
        lambda: counter.add.remote(1, 2),
        lambda: Counter.remote(1, 2),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(AttributeError, match="nothing"):
        counter.nothing
    with pytest.raises(TypeError, match="inherit"):

        class Sub(Counter):
            pass

    with pytest.raises(ValueError, match="num_cpus"):
        counter.add.options(num_cpus=1)
    assert Counter.limit == 7


def test_handles_travel_and_are_equal():
    counter = Counter.remote()
    back = ray.get(ray.put([counter]))[0]
    assert back == counter and hash(back) == hash(counter)
    assert ray.get(ray.remote(lambda c: ray.get(c.add.remote(5))).remote(counter)) == 5
    assert ray.get(counter.me.remote()) == counter
    assert ray.get(ray.get(counter.me.remote()).add.remote(1)) == 6


def test_an_actor_ends_with_its_last_handle():
    before = ray.available_resources()["CPU"]
    counter = Counter.options(num_cpus=2).remote()
    pid = ray.get(counter.pid.remote())
    stored = ray.put({"inside": counter})
    del counter
    gc.collect()
    assert ray.get(ray.get(stored)["inside"].pid.remote()) == pid
    del stored
    deadline = time.monotonic() + 10
    while ray.available_resources()["CPU"] != before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_constructor_that_fails_says_why_to_every_call():
    class Broken:
        def __init__(self):
            raise RuntimeError("cannot start")

        def ping(self):
            pass

    broken = ray.remote(Broken).remote()
    for _ in range(2):
        with pytest.raises(ActorDiedError, match="cannot start"):
            ray.get(broken.ping.remote())


def test_names():
    first = Counter.options(name="c").remote(1)
    assert ray.get(ray.get_actor("c").add.remote()) == 2
    assert list_named_actors() == ["c"]
    with pytest.raises(ValueError):
        Counter.options(name="c").remote()
    assert ray.get(Counter.options(name="c", get_if_exists=True).remote(50).add.remote()) == 3
    with pytest.raises(ValueError):
        ray.get_actor("c", namespace="elsewhere")
    ray.kill(first)
    with pytest.raises(RayActorError):
        ray.get(first.add.remote())


def test_every_actor_has_hidden_methods():
    counter = Counter.remote(3)
    assert ray.get(counter.__ray_ready__.remote()) is True
    assert ray.get(counter.__ray_call__.remote(lambda self, by: self.value + by, 4)) == 7
    with pytest.raises(RayActorError):
        ray.get(counter.__ray_terminate__.remote())


@ray.remote
class Async:
    def __init__(self):
        asyncio.get_running_loop()
        self.event, self.cancelled = asyncio.Event(), 0

    async def wait(self):
        try:
            await self.event.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return "woken"

    async def wake(self):
        self.event.set()
        return self.cancelled

    async def stream(self, n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i

    async def context(self):
        await asyncio.sleep(0.001)
        return ray.get_runtime_context().get_task_id()

    async def fail(self):
        raise KeyError("a")

    def plain(self):
        return threading.current_thread().name


def test_async_calls_interleave():
    actor = Async.remote()
    waiting = [actor.wait.remote() for _ in range(50)]
    assert ray.get(actor.wake.remote()) == 0
    assert ray.get(waiting) == ["woken"] * 50
    assert [ray.get(ref) for ref in actor.stream.remote(4)] == [0, 1, 2, 3]
    refs = [actor.context.remote() for _ in range(5)]
    assert ray.get(refs) == [ref.task_id().hex() for ref in refs]
    with pytest.raises(KeyError):
        ray.get(actor.fail.remote())
    assert "loop" in ray.get(actor.plain.remote())


def test_an_async_call_is_cancelled_and_the_actor_lives_on():
    actor = Async.remote()
    call = actor.wait.remote()
    ray.get(actor.plain.remote())  # calls start in order: the first one waits by now
    ray.cancel(call)
    with pytest.raises(TaskCancelledError):
        ray.get(call)
    assert ray.get(actor.wake.remote()) == 1


@ray.remote(concurrency_groups={"io": 2})
class Grouped:
    def __init__(self):
        self.barrier, self.gate = threading.Barrier(2), threading.Event()

    @ray.method(concurrency_group="io")
    def meet(self):
        return self.barrier.wait(10) in (0, 1)

    def block(self):
        return self.gate.wait(10)

    @ray.method(concurrency_group="io")
    def open(self):
        self.gate.set()


def test_groups_have_threads_of_their_own():
    actor = Grouped.remote()
    blocked = actor.block.remote()
    assert ray.get([actor.meet.remote() for _ in range(4)]) == [True] * 4
    ray.get(actor.open.remote())
    assert ray.get(blocked)
    with pytest.raises(ValueError, match="nowhere"):

        @ray.remote
        class Wrong:
            @ray.method(concurrency_group="nowhere")
            def f(self):
                pass

        Wrong.remote()


def test_pending_calls_are_limited():
    actor = ray.remote(max_pending_calls=2)(type("Slow", (), {"f": lambda self: time.sleep(0.2)})).remote()
    refs = [actor.f.remote(), actor.f.remote()]
    with pytest.raises(ray.exceptions.PendingCallsLimitExceeded):
        actor.f.remote()
    ray.get(refs)
    ray.get(actor.f.remote())


def test_a_pool_of_actors():
    pool = ActorPool([Counter.remote() for _ in range(2)])
    assert list(pool.map(lambda actor, x: actor.twice.remote(x), range(6))) == [0, 2, 4, 6, 8, 10]
    assert sorted(pool.map_unordered(lambda actor, x: actor.twice.remote(x), range(6))) == [0, 2, 4, 6, 8, 10]
