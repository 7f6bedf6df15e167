"""Tasks, objects and streams on a running engine."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import threading
import time

import numpy as np
import pytest

import mobula as ray
from mobula import _core
from mobula.exceptions import (
    GetTimeoutError,
    ObjectStoreFullError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)

ARENA = 64 << 20


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=2, object_store_memory=ARENA, resources={"thing": 1}, log_to_driver=False)
    yield
    ray.shutdown()


def eventually(question, seconds=10):
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


@ray.remote
def same(value):
    return value


@ray.remote
def add(left, right=10):
    return left + right


@ray.remote
def fail(kind, *args):
    raise kind(*args)


def test_keyword_and_default_arguments():
    assert ray.get([add.remote(1), add.remote(1, 2), add.remote(right=1, left=5)]) == [11, 3, 6]


def test_references_at_the_top_arrive_as_values_and_inside_as_references():
    ref = ray.put(5)
    assert ray.get(same.remote(ref)) == 5
    inner = ray.get(same.remote([ref]))[0]
    assert inner == ref and hash(inner) == hash(ref)


@pytest.mark.parametrize("size", [10, 100_000, 150_000, 5_000_000])
def test_values_of_every_size_travel(size):
    array = np.arange(size, dtype=np.uint8)
    for back in (
        ray.get(same.remote(array)),
        ray.get(ray.put(array)),
        ray.get(same.remote({"a": array}))["a"],
    ):
        assert np.array_equal(back, array) and not back.flags.writeable
    data = bytes(array)
    assert ray.get(same.remote(data)) == data
    text = "x" * size
    assert ray.get(ray.put(text)) == text


def test_many_middling_arguments_travel():
    @ray.remote
    def total(*arrays):
        return sum(int(array.sum()) for array in arrays)

    assert ray.get(total.remote(*[np.full(60_000, 1, np.uint8) for _ in range(20)])) == 20 * 60_000


def test_a_value_larger_than_the_store_is_refused_where_it_is_made():
    with pytest.raises(ObjectStoreFullError):
        ray.put(np.zeros(2 * ARENA, np.uint8))

    @ray.remote
    def make():
        return np.zeros(2 * ARENA, np.uint8)

    with pytest.raises(ObjectStoreFullError):
        ray.get(make.remote())


def test_the_store_is_empty_once_nothing_is_referenced():
    array = np.zeros(1 << 20, np.uint8)
    refs = [ray.put(array) for _ in range(5)] + [same.remote(array) for _ in range(5)]
    views = ray.get(refs)
    assert _core.stats()["arena_used_bytes"] > 5 << 20
    del refs, views
    gc.collect()
    eventually(lambda: _core.stats()["arena_used_bytes"] == 0)
    eventually(lambda: _core.stats()["objects"] == 0)


def test_a_view_outlives_its_reference():
    view = ray.get(ray.put(np.full(1 << 20, 7, np.uint8)))
    for number in range(70):
        ray.put(np.full(1 << 20, number, np.uint8))
    assert int(view.sum(dtype=np.int64)) == 7 << 20


def test_a_reference_made_while_pickling_lives_on():
    class Heavy:
        def __reduce__(self):
            return list, ([ray.put(np.full(200_000, 3, np.uint8))],)

    stored = ray.put(Heavy())
    passed = same.remote({"heavy": Heavy()})
    for ref in (ray.get(stored)[0], ray.get(passed)["heavy"][0]):
        assert int(ray.get(ref)[-1]) == 3


def test_a_reference_pickled_elsewhere_is_kept_for_ever():
    data = pickle.dumps(ray.put("kept"))
    gc.collect()
    assert ray.get(pickle.loads(data)) == "kept"


def test_a_function_keeps_what_its_closure_refers_to():
    inner = ray.put(np.full(200_000, 5, np.uint8))
    read = ray.remote(lambda: int(ray.get(inner)[0]))
    first = read.remote()  # here the definition is made, with the reference in it
    inner = None
    gc.collect()
    assert ray.get([first, *[read.remote() for _ in range(3)]]) == [5] * 4


def test_recursion_exports_a_function_once():
    @ray.remote
    def depth(n):
        return 0 if n == 0 else 1 + ray.get(depth.remote(n - 1))

    assert ray.get(depth.remote(5)) == 5


def test_errors_keep_their_class_traceback_and_function():
    with pytest.raises(ZeroDivisionError) as caught:
        ray.get(ray.remote(lambda: 1 / 0).remote())
    assert isinstance(caught.value, RayTaskError) and "test_core_tasks.py" in str(caught.value)
    with pytest.raises(KeyError):
        ray.get(same.remote(same.remote(fail.remote(KeyError, "k"))))


def test_get_of_a_list_raises_without_waiting_for_the_rest():
    @ray.remote
    def sleep():
        time.sleep(20)

    slow = sleep.remote()
    started = time.monotonic()
    with pytest.raises(ValueError):
        ray.get([slow, fail.remote(ValueError, "now")])
    assert time.monotonic() - started < 10
    ray.cancel(slow)
    with pytest.raises(TaskCancelledError):
        ray.get(slow)


@pytest.mark.parametrize("wrong", [5, "x", None, [1], {"a": 1}, lambda: 1])
def test_get_of_no_reference_names_it(wrong):
    with pytest.raises(ValueError, match="ObjectRef"):
        ray.get(wrong)


def test_timeouts():
    never = same.options(resources={"thing": 2}).remote(1)
    for timeout in (0, 0.05):
        with pytest.raises(GetTimeoutError):
            ray.get(never, timeout=timeout)
    assert ray.wait([never], timeout=0.05) == ([], [never])
    with pytest.raises(ValueError, match="timeout"):
        ray.get(never, timeout=-1)
    ray.cancel(never)


def test_a_task_that_ends_its_process_is_reported():
    with pytest.raises(WorkerCrashedError):
        ray.get(ray.remote(max_retries=0)(lambda: os._exit(1)).remote())
    with pytest.raises(WorkerCrashedError, match="exit"):
        ray.get(ray.remote(max_retries=0)(lambda: exec("raise SystemExit(3)")).remote())
    assert ray.get(same.remote(1)) == 1


def test_returns_are_counted():
    three = ray.remote(num_returns=3)(lambda n: list(range(n)))
    assert ray.get(three.remote(3)) == [0, 1, 2]
    for wrong in (2, 4):
        with pytest.raises(ValueError, match="num_returns"):
            ray.get(three.remote(wrong))
    with pytest.raises(ValueError, match="num_returns"):
        ray.get(ray.remote(num_returns=2)(lambda: 5).remote())


def test_a_result_that_cannot_be_pickled_is_an_error_of_the_task():
    with pytest.raises(TypeError, match="return value of"):
        ray.get(ray.remote(lambda: threading.Lock()).remote())


def test_a_stream_gives_values_before_its_end():
    @ray.remote
    def count():
        yield from range(3)
        raise LookupError("end")

    stream = count.remote()
    assert [ray.get(next(stream)) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError):
        ray.get(next(stream))
    with pytest.raises(StopIteration):
        next(stream)
    assert stream.is_finished()
    with pytest.raises(TypeError):
        pickle.dumps(stream)


def test_a_stream_waits_for_its_reader():
    @ray.remote(_generator_backpressure_num_objects=2)
    def produce():
        for number in range(100):
            yield number, time.monotonic()

    stream = produce.remote()
    first = ray.get(next(stream))
    time.sleep(0.2)
    later = [ray.get(ref) for ref in stream]
    assert len(later) == 99
    assert later[10][1] - first[1] > 0.15


def test_streams_that_wait_for_their_readers_do_not_keep_others_from_running():
    @ray.remote(_generator_backpressure_num_objects=1)
    def produce():
        yield from range(3)

    streams = [produce.remote() for _ in range(2)]  # as many as there are CPUs
    assert [ray.get(next(stream)) for stream in streams] == [0, 0]
    assert ray.get(same.remote("it ran")) == "it ran"
    assert [[ray.get(item) for item in stream] for stream in streams] == [[1, 2], [1, 2]]


def test_a_dropped_stream_ends_its_producer():
    @ray.remote
    def forever():
        while True:
            time.sleep(0.001)
            yield np.zeros(1000)

    stream = forever.remote()
    next(stream)
    del stream
    eventually(lambda: ray.available_resources().get("CPU") == 2)


def test_references_can_be_awaited():
    async def gather():
        values = await asyncio.gather(*[same.remote(i) for i in range(50)])
        with pytest.raises(ValueError):
            await fail.remote(ValueError, "v")
        stream = [await ref async for ref in ray.remote(lambda: (yield 1)).remote()]
        return values, stream, await asyncio.wait_for(same.remote(1).as_future(), 10)

    assert asyncio.run(gather()) == (list(range(50)), [1], 1)
    assert asyncio.run(gather())[2] == 1, "another loop"


def test_references_are_futures_too():
    done = threading.Event()
    future = add.remote(1).future()
    future.add_done_callback(lambda _: done.set())
    assert future.result(10) == 11 and done.wait(10)
    assert isinstance(fail.remote(ValueError, "v").future().exception(10), ValueError)


def test_threads_of_the_driver_share_the_engine():
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda i=i: answers.append(ray.get(add.remote(i, 0)))) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers) == list(range(8))


def test_a_forked_child_of_the_driver_leaves_the_engine_alone():
    ref = ray.put(1)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not ray.is_initialized() else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert ray.get(ref) == 1


def test_the_context_of_a_task():
    context = ray.get_runtime_context()
    seen = ray.get(ray.remote(lambda: ray.get_runtime_context().get()).options(name="n").remote())
    assert seen["job_id"].hex() == context.get_job_id() and "task_id" in seen
    assert context.get_task_id() is None and context.get_actor_id() is None
