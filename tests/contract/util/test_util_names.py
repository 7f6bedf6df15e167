"""The small names of ray.util: as_completed, map_unordered, log_once, addresses, connect."""

from __future__ import annotations

import time

import pytest

import mobula as ray
from mobula import util
from mobula.util import debug


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=4, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote
def after(seconds):
    time.sleep(seconds)
    return seconds


def test_as_completed_gives_what_is_ready_first():
    refs = [after.remote(seconds) for seconds in (0.6, 0.0, 0.3)]
    assert list(util.as_completed(refs, chunk_size=1)) == [0.0, 0.3, 0.6]
    assert set(util.as_completed(refs, yield_obj_refs=True)) == set(refs)
    with pytest.raises(ValueError, match="chunk_size"):
        next(util.as_completed(refs, chunk_size=0))
    with pytest.raises(ValueError, match="num_returns"):
        next(util.as_completed(refs, num_returns=2))


def test_map_unordered_keeps_few_under_way():
    started = []

    def items():
        for number in range(20):
            started.append(number)
            yield 0.0

    results = util.map_unordered(after, items(), backpressure_size=3, chunk_size=2)
    next(results)
    assert len(started) <= 4
    assert list(results) == [0.0] * 19
    with pytest.raises(ValueError, match="positive"):
        next(util.map_unordered(after, [1], backpressure_size=0))


def test_log_once():
    try:
        assert util.log_once("a") and not util.log_once("a") and util.log_once("b")
        debug.reset_log_once("a")
        assert util.log_once("a")
        util.disable_log_once_globally()
        assert not util.log_once("c")
    finally:
        debug._Switches.disabled = False


def test_addresses(monkeypatch):
    assert util.get_node_ip_address("8.8.8.8:53") == "127.0.0.1"
    monkeypatch.setenv("RAY_CLOUD_INSTANCE_ID", "i-1")
    assert util.get_node_instance_id() == "i-1"


def test_ids_and_errors_travel_as_bytes():
    job = ray.JobID.from_int(7)
    assert job.int() == 7 and ray.JobID.from_hex(hex_id=job.hex()) == job
    assert ray.ActorID.from_random() != ray.ActorID.from_random()
    assert (
        ray.NodeID.nil().redis_shard_hash() == ray.NodeID.from_binary(id_bytes=bytes(28)).redis_shard_hash()
    )
    error = ray.exceptions.TaskCancelledError("some task")
    back = ray.exceptions.RayError.from_bytes(error.to_bytes())
    assert type(back) is type(error) and str(back) == str(error)
    from mobula import actor, runtime_context

    assert actor.ObjectRefGenerator is ray.ObjectRefGenerator
    assert actor.ActorAlreadyExistsError is ray.exceptions.ActorAlreadyExistsError
    assert runtime_context.RuntimeEnv(env_vars={"A": "1"})["env_vars"] == {"A": "1"}


def test_connect_is_init():
    with pytest.raises(ConnectionError, match="ray://somewhere"):
        util.connect("ray://somewhere:10001")
