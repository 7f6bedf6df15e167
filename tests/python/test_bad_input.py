"""What is wrong with a program is said at once: the thing, the value, and the next step."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mobula as ray

MEGABYTE = 1 << 20


@pytest.fixture(autouse=True)
def session() -> Iterator[None]:
    ray.init(num_cpus=2, object_store_memory=64 * MEGABYTE, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote
def same(value: object) -> object:
    return value


def test_a_second_init_is_refused_unless_allowed() -> None:
    with pytest.raises(RuntimeError, match="ignore_reinit_error"):
        ray.init()
    ray.init(ignore_reinit_error=True)


def test_an_unknown_option_of_init_is_named() -> None:
    ray.shutdown()
    with pytest.raises(TypeError, match="colour"):
        ray.init(colour="blue")


def test_an_unknown_option_of_a_task_is_named() -> None:
    with pytest.raises(ValueError, match="flavour"):
        same.options(flavour="sweet")


def test_get_of_something_that_is_no_reference_names_it() -> None:
    with pytest.raises((TypeError, ValueError), match="5"):
        ray.get(5)


def test_a_function_that_captures_a_lock_is_refused_with_the_culprit() -> None:
    lock = threading.Lock()

    @ray.remote
    def locked() -> bool:
        return lock.acquire()

    with pytest.raises(TypeError, match="lock"):
        locked.remote()


def test_a_lock_as_an_argument_is_refused_with_the_culprit() -> None:
    with pytest.raises(TypeError, match="lock"):
        same.remote(threading.Lock())


def test_a_value_larger_than_the_arena_is_refused_at_once() -> None:
    with pytest.raises(ray.exceptions.ObjectStoreFullError, match="object_store_memory"):
        ray.put(np.zeros(100 * MEGABYTE, np.uint8))


def test_a_result_larger_than_the_arena_is_refused_at_once() -> None:
    @ray.remote
    def large() -> np.ndarray:
        return np.zeros(100 * MEGABYTE, np.uint8)

    with pytest.raises(ray.exceptions.RayError, match="object_store_memory"):
        ray.get(large.remote(), timeout=60)


def test_a_reference_of_an_earlier_session_is_refused() -> None:
    ref = ray.put(1)
    ray.shutdown()
    ray.init(num_cpus=1)
    with pytest.raises((ValueError, ray.exceptions.RayError), match="shut down"):
        ray.get(ref, timeout=10)


def test_too_little_and_too_much_memory_are_refused() -> None:
    ray.shutdown()
    with pytest.raises(ValueError, match="object_store_memory"):
        ray.init(object_store_memory=1000)
    with pytest.raises(ValueError, match="memory"):
        ray.init(object_store_memory=1 << 50)
    assert not ray.is_initialized()


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=str(tmp_path)):
        ray.data.read_binary_files(str(tmp_path)).take_all()


def test_a_corrupt_clip_is_named(tmp_path: Path) -> None:
    clip = tmp_path / "broken.mp4"
    clip.write_bytes(os.urandom(5000))
    with pytest.raises(Exception, match=r"broken\.mp4"):
        ray.data.read_videos(str(clip)).take_all()


def test_corrupt_files_are_skipped_counted_and_listed_when_allowed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.mp4").write_bytes(os.urandom(5000))
    context = ray.data.DataContext.get_current()
    before, context.max_errored_blocks = context.max_errored_blocks, 2
    try:
        clips = ray.data.read_videos(str(tmp_path)).materialize()
        assert clips.count() == 0
        stats = clips.stats()
        assert "a.mp4" in stats and "b.mp4" in stats and "2" in stats
    finally:
        context.max_errored_blocks = before


def test_an_actor_whose_name_is_taken_is_refused() -> None:
    @ray.remote
    class Register:
        def ping(self) -> str:
            return "pong"

    first = Register.options(name="till").remote()
    assert ray.get(first.ping.remote()) == "pong"
    with pytest.raises(ValueError, match="till"):
        Register.options(name="till").remote()
