"""What a program leaves behind: forgotten tasks, workers' output, the timeline, places in the program."""

from __future__ import annotations

import json
import os
import time

import pytest

import mobula as ray
from mobula.util import state
from mobula.util.state.exception import RayStateApiException


@pytest.fixture(autouse=True)
def engine():
    ray.init(num_cpus=2, object_store_memory=64 << 20, log_to_driver=False)
    yield
    ray.shutdown()


def eventually(question, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@ray.remote
def same(value):
    return value


@ray.remote(max_retries=0)
def fail(text):
    raise ValueError(text)


@ray.remote
class Counter:
    def __init__(self):
        self.value = 0

    def add(self, amount=1):
        self.value += amount
        return self.value


def test_what_is_forgotten_is_counted():
    ray.get([same.remote(i) for i in range(10_050)])
    with pytest.raises(RayStateApiException, match="10000 of 10050"):
        state.list_tasks()
    with pytest.warns(UserWarning, match="10000 of 10050"):
        found = state.list_tasks(limit=10_000, raise_on_missing_output=False)
    assert len(found) == 10_000


def test_what_workers_print_is_kept():
    @ray.remote
    class Speaker:
        def say(self, text):
            print(text, flush=True)
            return os.getpid()

    speaker = Speaker.remote()
    pid = ray.get(speaker.say.remote("first"))
    call = speaker.say.remote("\x1b[31msecond\x1b[0m")
    ray.get(call)
    node = ray.nodes()[0]["NodeID"]
    name = f"*{pid}.out"
    eventually(lambda: "second" in "".join(state.get_log(pid=pid, node_id=node)))
    ((file,),) = state.list_logs(node_id=node, glob_filter=name).values()
    assert "".join(state.get_log(filename=file, node_id=node, tail=1)) == "\x1b[31msecond\x1b[0m\n"
    actor = state.list_actors()[0].actor_id
    text = "".join(state.get_log(actor_id=actor, filter_ansi_code=True))
    assert text == "first\nsecond\n"
    assert b"first" in b"".join(state.get_log(task_id=call.task_id().hex(), encoding=None))
    ray.kill(speaker)
    eventually(lambda: not state.list_workers(filters=[("pid", "=", pid)])[0].is_alive)
    assert "".join(state.get_log(pid=pid, node_id=node)).startswith("first")
    with pytest.raises(RayStateApiException, match="nothing is kept"):
        state.get_log(pid=1)


def test_the_timeline_is_a_trace(tmp_path):
    @ray.remote(max_concurrency=4)
    class Threaded:
        def rest(self):
            time.sleep(0.05)

    actor = Threaded.remote()
    ray.get([same.remote(i) for i in range(20)] + [actor.rest.remote() for _ in range(4)])
    with pytest.raises(ValueError):
        ray.get(fail.remote("x"))
    events = ray.timeline()
    assert len([event for event in events if event["name"] == "same"]) == 20
    assert all(event["ph"] == "X" and event["dur"] >= 0 and event["ts"] > 0 for event in events)
    assert all({"task_id", "state", "attempt", "pid"} <= event["args"].keys() for event in events)
    (failed,) = [event for event in events if event["args"]["state"] == "FAILED"]
    assert failed["name"] == "fail" and failed["args"]["error_type"] == "TASK_EXECUTION_EXCEPTION"
    rows = {}
    for event in sorted(events, key=lambda event: event["ts"]):  # what shares a row never overlaps
        assert rows.get(event["tid"], 0) <= event["ts"] + 1e-3
        rows[event["tid"]] = event["ts"] + event["dur"]
    assert len({event["tid"] for event in events if event["name"].endswith("rest")}) >= 2
    path = tmp_path / "trace.json"
    assert ray.timeline(filename=str(path)) is None
    assert len(json.loads(path.read_text())) == len(events)


def test_places_are_recorded_when_asked_for(monkeypatch):
    ray.get(same.remote(1))
    kept = ray.put("x")
    assert state.get_objects(kept.hex())[0].call_site == "disabled"
    assert state.list_tasks(detail=True)[0].call_site is None
    ray.shutdown()
    monkeypatch.setenv("RAY_record_ref_creation_sites", "1")
    ray.init(num_cpus=2, object_store_memory=64 << 20, log_to_driver=False)

    @ray.remote
    def make():
        return [ray.put("inner")]

    kept = ray.put("x")
    (inner,) = ray.get(make.remote())
    actor = Counter.remote()
    ray.get(actor.add.remote())
    here = f"{__file__}:test_places_are_recorded_when_asked_for"
    assert state.get_objects(kept.hex())[0].call_site.startswith(f"(put object) | {here}:")
    assert f"{here}.<locals>.make:" in state.get_objects(inner.hex())[0].call_site
    by_type = {task.type: task.call_site for task in state.list_tasks(detail=True)}
    assert by_type["NORMAL_TASK"].startswith(f"(task call) | {here}:")
    assert by_type["ACTOR_TASK"].startswith(f"(actor call) | {here}:")
    assert state.list_actors(detail=True)[0].call_site.startswith(f"(actor creation) | {here}:")
    objects = state.summarize_objects()["cluster"]
    assert objects["callsite_enabled"] and any(here in site for site in objects["summary"])
