"""The state API and the timeline over a running engine."""

from __future__ import annotations

import os
import time
import warnings

import pytest

import mobula as ray
from mobula.util import state
from mobula.util.state.common import (
    ListApiOptions,
    StateResource,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
)
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
def sleep(seconds):
    time.sleep(seconds)


@ray.remote(max_restarts=1)
class Counter:
    def __init__(self):
        self.value = 0

    def add(self, amount=1):
        self.value += amount
        return self.value

    def pid(self):
        return os.getpid()

    def end(self):
        os._exit(3)


def tasks_called(name, **more):
    return state.list_tasks(filters=[("name", "=", name)], limit=1000, **more)


def test_finished_tasks_are_listed_with_all_that_is_known_of_them():
    refs = [same.remote(i) for i in range(5)]
    assert ray.get(refs) == list(range(5))
    found = tasks_called("same", detail=True)
    assert len(found) == 5 and {task.state for task in found} == {"FINISHED"}
    assert [task.task_id for task in found] == [ref.task_id().hex() for ref in refs]
    task = found[0]
    assert task.type == "NORMAL_TASK" and task.attempt_number == 0 and task.actor_id is None
    assert task.required_resources == {"CPU": 1.0} and task.language == "PYTHON"
    assert task.creation_time_ms <= task.start_time_ms <= task.end_time_ms
    assert abs(task.end_time_ms - time.time() * 1000) < 60_000
    states = [event["state"] for event in task.events]
    assert states[0] == "PENDING_ARGS_AVAIL" and states[-2:] == ["RUNNING", "FINISHED"]
    worker = state.get_worker(task.worker_id)
    assert worker.pid == task.worker_pid and worker.is_alive
    assert task.node_id == ray.get_runtime_context().get_node_id()
    assert task["name"] == task.get("name") == task.asdict()["name"] == "same"


def test_columns_of_detail_are_empty_unless_asked_for():
    ray.get(same.remote(1))
    task = tasks_called("same")[0]
    assert task.events is None and task.required_resources is None
    assert state.get_task(task.task_id).events


def test_a_failed_task_tells_why():
    with pytest.raises(ValueError):
        ray.get(fail.remote("no such luck"))
    task = state.list_tasks(filters=[("state", "=", "FAILED")], detail=True)[0]
    assert task.name == "fail" and task.error_type == "TASK_EXECUTION_EXCEPTION"
    assert "ValueError: no such luck" in task.error_message and "Traceback" in task.error_message


def test_a_cancelled_task_has_failed():
    blockers = [sleep.remote(30) for _ in range(2)]
    waits = same.remote(1)
    ray.cancel(waits)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(waits)
    task = tasks_called("same", detail=True)[0]
    assert (task.state, task.error_type) == ("FAILED", "TASK_CANCELLED")
    assert task.start_time_ms is None and task.worker_id is None
    for ref in blockers:
        ray.cancel(ref, force=True)


def test_each_attempt_of_a_task_is_a_row(tmp_path):
    @ray.remote(max_retries=2, retry_exceptions=True)
    def stumble(path):
        with open(path, "a") as file:
            file.write("x")
        if os.path.getsize(path) < 3:
            raise KeyError("not yet")
        return "done"

    ref = stumble.remote(str(tmp_path / "tries"))
    assert ray.get(ref) == "done"
    attempts = state.get_task(ref.task_id().hex())
    assert [one.attempt_number for one in attempts] == [0, 1, 2]
    assert [one.state for one in attempts] == ["FAILED", "FAILED", "FINISHED"]


def test_a_crashed_attempt_names_the_crash(tmp_path):
    @ray.remote(max_retries=1)
    def crash(path):
        if not os.path.exists(path):
            open(path, "w").close()
            os._exit(7)
        return os.getpid()

    ref = crash.remote(str(tmp_path / "crashed"))
    pid = ray.get(ref)
    first, second = state.get_task(ref.task_id().hex())
    assert (first.state, first.error_type) == ("FAILED", "WORKER_DIED") and "code 7" in first.error_message
    assert second.state == "FINISHED" and second.worker_pid == pid
    dead = state.get_worker(first.worker_id)
    assert not dead.is_alive and dead.exit_type == "SYSTEM_ERROR" and "code 7" in dead.exit_detail
    assert any(str(dead.pid) in event.message for event in state.list_cluster_events())


def test_running_and_pending_tasks_are_told_apart():
    running = [sleep.remote(30) for _ in range(2)]
    waits_for_cpu = same.remote(1)
    waits_for_argument = same.remote(running[0])
    eventually(lambda: {task.state for task in tasks_called("sleep")} == {"RUNNING"})
    by_id = {task.task_id: task for task in state.list_tasks(detail=True)}
    assert by_id[waits_for_cpu.task_id().hex()].state in ("PENDING_NODE_ASSIGNMENT", "SUBMITTED_TO_WORKER")
    assert by_id[waits_for_argument.task_id().hex()].state == "PENDING_ARGS_AVAIL"
    task = by_id[running[0].task_id().hex()]
    assert task.start_time_ms and task.end_time_ms is None and task.worker_pid
    for ref in running:
        ray.cancel(ref, force=True)


def test_a_task_that_waits_in_get_says_so():
    @ray.remote
    def outer():
        return ray.get(sleep.remote(2))

    ref = outer.remote()
    eventually(
        lambda: "RUNNING_IN_RAY_GET" in {t.state for t in state.list_tasks() if t.name.endswith("outer")}
    )
    ray.get(ref)
    inner = tasks_called("sleep", detail=True)[0]
    assert inner.parent_task_id == ref.task_id().hex()


def test_actors_live_restart_and_die():
    actor = Counter.options(name="watched", num_cpus=0.5).remote()
    pid = ray.get(actor.pid.remote())
    (row,) = state.list_actors(detail=True)
    assert (row.state, row.class_name, row.name, row.pid) == ("ALIVE", "Counter", "watched", pid)
    assert row.required_resources == {"CPU": 0.5} and not row.is_detached and row.num_restarts == 0
    actor.end.remote()
    eventually(lambda: (one := state.get_actor(row.actor_id)).state == "ALIVE" and one.num_restarts == 1)
    assert state.get_actor(row.actor_id).pid not in (0, pid)
    ray.kill(actor)
    dead = eventually(lambda: state.list_actors(filters=[("state", "=", "dead")], detail=True))[0]
    assert "kill" in dead.death_cause["actor_died_error_context"]["error_message"] and dead.pid
    killed = eventually(
        lambda: [one for one in state.list_workers() if one.pid == dead.pid and not one.is_alive]
    )
    assert killed[0].exit_type == "INTENDED_SYSTEM_EXIT"


def test_an_actor_that_is_made_again_is_restarting(tmp_path):
    gate = tmp_path / "gate"

    @ray.remote(max_restarts=1)
    class Slow:
        def __init__(self, path):
            if os.path.exists(path):
                time.sleep(30)

        def end(self, path):
            open(path, "w").close()
            os._exit(1)

    actor = Slow.remote(str(gate))
    actor.end.remote(str(gate))
    eventually(lambda: [one.state for one in state.list_actors()] == ["RESTARTING"])
    ray.kill(actor)


def test_an_actor_waits_for_its_arguments_or_for_room():
    blockers = [sleep.remote(30) for _ in range(2)]
    waits = Counter.options(num_cpus=2).remote()
    Waiting = ray.remote(type("Waiting", (), {"__init__": lambda self, value: None}))
    needs = Waiting.remote(blockers[0])
    by_class = {one.class_name: one for one in state.list_actors()}
    assert by_class["Counter"].state == "PENDING_CREATION" and by_class["Counter"].pid == 0
    assert by_class["Waiting"].state == "DEPENDENCIES_UNREADY"
    for ref in blockers:
        ray.cancel(ref, force=True)
    del waits, needs


def test_calls_are_rows_of_their_own():
    actor = Counter.remote()
    assert ray.get([actor.add.remote() for _ in range(3)]) == [1, 2, 3]
    calls = tasks_called("Counter.add")
    (creation,) = tasks_called("Counter.__init__")
    assert len(calls) == 3 and {call.type for call in calls} == {"ACTOR_TASK"}
    assert creation.type == "ACTOR_CREATION_TASK" and creation.actor_id == calls[0].actor_id
    assert len({call.worker_pid for call in calls}) == 1


def test_objects_are_listed_by_size():
    small, large = ray.put("x"), ray.put(bytes(1 << 20))
    rows = state.list_objects()
    assert rows[0].object_id == large.hex() and rows[0].object_size >= 1 << 20
    assert rows[0].type == "DRIVER" and rows[0].pid == os.getpid()
    assert state.get_objects(small.hex())[0].reference_type == "LOCAL_REFERENCE"
    inside = ray.put([small])
    key = small.hex()
    del small
    assert eventually(
        lambda: (found := state.get_objects(key)) and found[0].reference_type == "CAPTURED_IN_OBJECT"
    )
    del inside
    eventually(lambda: state.get_objects(key) is None)


def test_filters_compare_texts_numbers_and_truths():
    ray.get([same.remote(i) for i in range(3)])
    with pytest.raises(ValueError):
        ray.get(fail.remote("x"))
    assert len(state.list_tasks(filters=[("state", "=", "finished"), ("name", "!=", "fail")])) == 3
    assert [one.name for one in state.list_tasks(filters=[("state", "!=", "FINISHED")])] == ["fail"]
    assert len(state.list_tasks(filters=[("attempt_number", "=", "0")])) == 4
    pid = state.list_tasks()[0].worker_pid
    assert state.list_tasks(filters=[("worker_pid", "=", pid)])
    assert all(one.is_alive for one in state.list_workers(filters=[("is_alive", "=", "true")]))
    assert state.list_workers(filters=[("worker_type", "=", "DRIVER")])[0].pid == os.getpid()


def test_filters_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="predicate"):
        state.list_tasks(filters=[("name", "<", "x")])
    with pytest.raises(ValueError, match="tuple"):
        state.list_tasks(filters=["name"])
    with pytest.raises(RayStateApiException, match="columns for filters"):
        state.list_tasks(filters=[("events", "=", "x")])
    with pytest.raises(RayStateApiException, match="not a number"):
        ray.get(same.remote(1))
        state.list_tasks(filters=[("attempt_number", "=", "one")])


def test_limits_are_kept_and_told():
    ray.get([same.remote(i) for i in range(12)])
    with pytest.warns(UserWarning, match="5 of 12"):
        assert len(state.list_tasks(limit=5)) == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(state.list_tasks(limit=12)) == 12
    with pytest.raises(RayStateApiException, match="10000"):
        state.list_tasks(limit=20_000)


def test_summaries_count_by_name_and_state():
    actor = Counter.remote()
    ray.get([same.remote(1), same.remote(2), actor.add.remote()])
    with pytest.raises(ValueError):
        ray.get(fail.remote("x"))
    tasks = state.summarize_tasks()["cluster"]
    assert tasks["summary"]["same"] == {
        "func_or_class_name": "same", "type": "NORMAL_TASK", "state_counts": {"FINISHED": 2}
    }  # fmt: skip
    assert tasks["summary"]["fail"]["state_counts"] == {"FAILED": 1}
    assert (tasks["total_tasks"], tasks["total_actor_tasks"], tasks["total_actor_scheduled"]) == (3, 1, 1)
    assert state.summarize_actors()["cluster"]["summary"]["Counter"]["state_counts"] == {"ALIVE": 1}
    kept = ray.put(bytes(2 << 20))
    objects = state.summarize_objects()["cluster"]
    assert objects["total_size_mb"] >= 2 and objects["total_objects"] >= 2
    del kept


def test_a_summary_by_lineage_is_a_tree():
    @ray.remote
    def parent():
        return ray.get([same.remote(i) for i in range(3)])

    actor = Counter.remote()
    ray.get([parent.options(name="parent").remote(), actor.add.remote()])
    client = state.StateApiClient()
    options = SummaryApiOptions(summary_by="lineage")
    tree = client.summary(SummaryResource.TASKS, options=options)["cluster"]["summary"]
    by_name = {one["name"]: one for one in tree}
    (group,) = by_name["parent"]["children"]
    assert (group["type"], group["name"], group["state_counts"]) == ("GROUP", "same", {"FINISHED": 3})
    assert by_name["parent"]["state_counts"] == {"FINISHED": 4}
    assert {one["name"] for one in by_name["Counter"]["children"]} == {"Counter.__init__", "Counter.add"}


def test_nodes_jobs_groups_and_environments():
    (node,) = state.list_nodes(detail=True)
    assert node.state == "ALIVE" and node.is_head_node and node.resources_total["CPU"] == 2
    assert node.node_id == ray.nodes()[0]["NodeID"] and state.get_node(node.node_id).start_time_ms
    (job,) = state.list_jobs()
    assert job.status == "RUNNING" and job.driver_info.pid == str(os.getpid())
    assert state.get_job(job.job_id).driver_node_id == node.node_id
    assert state.list_placement_groups() == [] and state.list_runtime_envs() == []
    group = ray.util.placement_group([{"CPU": 1}, {"CPU": 0.5}], name="pair")
    assert group.wait(10)
    (row,) = state.list_placement_groups(detail=True)
    assert (row.name, row.state, row.placement_group_id) == ("pair", "CREATED", group.id.hex())
    assert [bundle["unit_resources"] for bundle in row.bundles] == [{"CPU": 1.0}, {"CPU": 0.5}]
    ray.util.remove_placement_group(group)
    assert state.get_placement_group(group.id.hex()).state == "REMOVED"
    ray.get(same.options(runtime_env={"env_vars": {"STATE_TEST": "1"}}).remote(1))
    (environment,) = state.list_runtime_envs(detail=True)
    assert environment.runtime_env == {"env_vars": {"STATE_TEST": "1"}} and environment.ref_cnt == 1


def test_the_client_lists_and_gets():
    ray.get(same.remote(1))
    client = state.StateApiClient()
    (task,) = client.list(StateResource.TASKS, ListApiOptions(filters=[("name", "=", "same")]))
    assert isinstance(task, TaskState) and client.get(StateResource.TASKS, task.task_id).name == "same"
    assert client.get(StateResource.ACTORS, "0" * 16) is None
    with pytest.raises(ValueError, match="RUNTIME_ENVS"):
        client.get(StateResource.RUNTIME_ENVS, "x")
    with pytest.raises(ConnectionError):
        state.list_tasks(address="10.0.0.1:6379")


def test_a_worker_may_ask_too():
    @ray.remote
    def look():
        return [(task.name, task.state) for task in state.list_tasks()]

    assert ("look", "RUNNING") in ray.get(look.options(name="look").remote())


def test_without_an_engine_there_is_nobody_to_ask():
    ray.shutdown()
    with pytest.raises(ConnectionError, match="init"):
        state.list_tasks()
