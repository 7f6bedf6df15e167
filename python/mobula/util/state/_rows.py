"""The rows of the state API, made of the engine's tables; times of its clock become those of the wall."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from mobula import _core, _driver, _environment
from mobula.runtime_context import get_runtime_context
from mobula.util.state.common import DRIVER_TASK_ID_PREFIX, DriverInfo, StateResource

ADDRESS = "127.0.0.1"
Rows = list[dict[str, Any]]


def table(name: str) -> Rows:
    """A table of the engine."""
    return json.loads(_core.snapshot(name))  # type: ignore[no-any-return]


class Clock:
    """From the engine's clock, which is the system's monotonic one, to milliseconds since the epoch."""

    def __init__(self) -> None:
        self.offset_ns = time.time_ns() - time.monotonic_ns()

    def ms(self, at_ns: int) -> int | None:
        """None for what has not happened."""
        return (at_ns + self.offset_ns) // 1_000_000 if at_ns else None

    def of_us(self, at_us: int) -> int | None:
        """The same for micro-seconds."""
        return self.ms(at_us * 1000)


def rows_of(resource: StateResource) -> tuple[Rows, int]:
    """(rows, how many there are in all): the engine shows and remembers at most 10,000 of a kind."""
    rows = _TABLES[resource]()
    totals = table("totals")[0]
    missing = {
        StateResource.TASKS: totals["tasks"] + totals["past_tasks"] - len(rows),
        StateResource.ACTORS: totals["actors"] - len(rows),
        StateResource.OBJECTS: totals["objects"] - len(rows),
        StateResource.WORKERS: totals["workers_forgotten"],
    }
    return rows, len(rows) + max(0, missing.get(resource, 0))


def workers() -> dict[str, dict[str, Any]]:
    """The processes by their ids: those that live, and the latest of those that have ended."""
    return {row["worker_id"]: row for row in table("workers")}


def tasks() -> Rows:
    """Attempts of tasks and calls, the oldest first."""
    clock, processes = Clock(), workers()
    job, node = _job(), _node()
    seen: dict[tuple[str, int], dict[str, Any]] = {}
    for row in [*table("tasks"), *table("past_tasks")]:  # in this order: what ends between them is there once
        seen[row["task_id"], row["attempt"]] = row
    ordered = sorted(seen.values(), key=lambda row: (row["submitted_us"], row["task_id"], row["attempt"]))
    return [_task(row, clock, processes.get(row["worker_id"]), job, node) for row in ordered]


def _task(
    row: dict[str, Any], clock: Clock, worker: dict[str, Any] | None, job: str, node: str
) -> dict[str, Any]:
    begun, ended = row.get("begun_ns", 0), row.get("ended_ns", 0)
    if row["state"].startswith("RUNNING"):
        begun = row["sent_us"] * 1000
    moments = [
        ("PENDING_ARGS_AVAIL", row["submitted_us"] * 1000),
        ("PENDING_NODE_ASSIGNMENT", row["queued_us"] * 1000),
        ("SUBMITTED_TO_WORKER", row["sent_us"] * 1000),
        ("RUNNING", begun),
        (row["state"], ended),
    ]
    environment = {"serialized_runtime_env": row["runtime_env"]} if row["runtime_env"] else None
    return {
        "task_id": row["task_id"],
        "attempt_number": row["attempt"],
        "name": row["name"],
        "state": row["state"],
        "job_id": job,
        "actor_id": row["actor_id"] or None,
        "type": row["type"],
        "func_or_class_name": row["name"],
        "parent_task_id": row["parent_task_id"] or DRIVER_TASK_ID_PREFIX,
        "node_id": node if row["worker_id"] else None,
        "worker_id": row["worker_id"] or None,
        "worker_pid": worker["pid"] if worker else None,
        "error_type": row.get("error_type") or None,
        "language": row["language"],
        "required_resources": row["resources"],
        "runtime_env_info": environment,
        "placement_group_id": row["placement_group_id"] or None,
        "events": [{"state": state, "created_ms": clock.ms(at)} for state, at in moments if at],
        "profiling_data": _profile(row, clock, begun, ended) if ended and begun else {},
        "creation_time_ms": clock.of_us(row["submitted_us"]),
        "start_time_ms": clock.ms(begun),
        "end_time_ms": clock.ms(ended),
        "error_message": row.get("error_message") or None,
        "call_site": row["call_site"] or None,
        "label_selector": {},
    }


def _profile(row: dict[str, Any], clock: Clock, begun: int, ended: int) -> dict[str, Any]:
    event = {
        "event_name": f"task::{row['name']}",
        "start_time": (begun + clock.offset_ns) / 1e6,
        "end_time": (ended + clock.offset_ns) / 1e6,
        "extra_data": {"name": row["name"], "task_id": row["task_id"]},
    }
    return {
        "component_type": "worker",
        "component_id": row["worker_id"],
        "node_ip_address": ADDRESS,
        "events": [event],
    }


def actors() -> Rows:
    """Actors, the dead ones included."""
    processes, job, node = workers(), _job(), _node()
    rows = []
    for row in sorted(table("actors"), key=lambda row: row["actor_id"]):
        worker = processes.get(row["worker_id"])
        cause = None
        if row["death_cause"]:
            context = {"actor_id": row["actor_id"], "error_message": row["death_cause"]}
            cause = {"actor_died_error_context": context}
        rows.append({
            "actor_id": row["actor_id"], "class_name": row["class_name"], "state": row["state"],
            "job_id": job, "name": row["name"], "node_id": node if row["worker_id"] else None,
            "pid": worker["pid"] if worker else 0, "ray_namespace": row["namespace"],
            "serialized_runtime_env": row["runtime_env"] or "{}", "required_resources": row["resources"],
            "death_cause": cause, "is_detached": bool(row["detached"]),
            "placement_group_id": row["placement_group_id"] or None, "repr_name": "",
            "num_restarts": row["restarts"], "num_restarts_due_to_lineage_reconstruction": 0,
            "num_restarts_due_to_node_preemption": 0, "call_site": row["call_site"] or None,
            "label_selector": {},
        })  # fmt: skip
    return rows


def objects() -> Rows:
    """Objects, the largest first."""
    processes = workers()
    unknown = "unknown" if _environment.records_sites() else "disabled"
    rows = []
    for row in table("objects"):
        worker = processes.get(row["worker_id"], {"type": "WORKER", "pid": 0})
        rows.append({
            "object_id": row["object_id"], "object_size": -1 if row["state"] == "PENDING" else row["bytes"],
            "task_status": row["task_status"], "attempt_number": row["attempt"] + 1,
            "reference_type": row["reference_type"], "call_site": row["call_site"] or unknown,
            "type": worker["type"], "pid": worker["pid"], "ip": ADDRESS,
        })  # fmt: skip
    return rows


def nodes() -> Rows:
    """The nodes."""
    clock, driver = Clock(), _driver_row()
    return [
        {
            "node_id": one["id"], "node_ip": ADDRESS, "is_head_node": True,
            "state": "ALIVE" if one["alive"] else "DEAD", "node_name": ADDRESS,
            "resources_total": {name: amount for name, amount in one["total"].items() if amount > 0},
            "labels": dict(one["labels"]), "start_time_ms": clock.of_us(driver.get("started_us", 0)),
        }
        for one in _core.cluster()
    ]  # fmt: skip


def _exit_type(row: dict[str, Any]) -> str | None:
    if row["alive"]:
        return None
    return "INTENDED_SYSTEM_EXIT" if row["intended"] else "SYSTEM_ERROR"


def _worker_rows() -> Rows:
    clock, node = Clock(), _node()
    return [
        {
            "worker_id": row["worker_id"], "is_alive": bool(row["alive"]), "worker_type": row["type"],
            "exit_type": _exit_type(row), "node_id": node, "ip": ADDRESS, "pid": row["pid"],
            "exit_detail": row["cause"] or None,
            "worker_launch_time_ms": clock.of_us(row["spawned_us"]),
            "worker_launched_time_ms": clock.of_us(row["started_us"]),
            "start_time_ms": clock.of_us(row["started_us"]), "end_time_ms": clock.of_us(row["ended_us"]),
            "num_paused_threads": 0,
        }
        for row in workers().values()
    ]  # fmt: skip


def _jobs() -> Rows:
    driver = _driver_row()
    if _driver.is_worker():
        entry = sys.modules["mobula._worker"].job.get("argv0", "")
    else:
        entry = " ".join(sys.orig_argv)
    about = DriverInfo(id=_job(), node_ip_address=ADDRESS, pid=str(driver.get("pid", os.getpid())))
    return [{
        "type": "DRIVER", "job_id": _job(), "driver_info": about, "status": "RUNNING", "entrypoint": entry,
        "start_time": Clock().of_us(driver.get("started_us", 0)), "metadata": {}, "driver_node_id": _node(),
        "runtime_env": get_runtime_context().runtime_env,
    }]  # fmt: skip


def _placement_groups() -> Rows:
    from mobula.util.placement_group import placement_group_table

    detached = {f"{one['number']:016x}" for one in _core.groups() if one["detached"]}
    return [
        {
            "placement_group_id": row["placement_group_id"], "name": row["name"], "creator_job_id": _job(),
            "state": row["state"], "stats": row.get("stats"),
            "is_detached": row["placement_group_id"] in detached,
            "bundles": [
                {"bundle_index": index, "unit_resources": dict(bundle)}
                for index, bundle in sorted((int(key), value) for key, value in row["bundles"].items())
            ],
        }
        for row in placement_group_table().values()
    ]  # fmt: skip


def _runtime_envs() -> Rows:
    users: dict[str, int] = {}
    for row in workers().values():
        if row["runtime_env"]:
            users[row["runtime_env"]] = users.get(row["runtime_env"], 0) + 1
    return [
        {"runtime_env": json.loads(text), "success": True, "node_id": _node(), "ref_cnt": count}
        for text, count in users.items()
    ]


def _cluster_events() -> Rows:
    clock = Clock()
    return [
        {
            "severity": "ERROR", "source_type": "WORKER", "event_id": row["worker_id"],
            "time": time.strftime("%F %T", time.localtime((clock.of_us(row["ended_us"]) or 0) / 1000)),
            "message": f"worker process {row['pid']} ended: {row['cause']}",
            "custom_fields": {"worker_id": row["worker_id"], "node_id": _node()},
        }
        for row in workers().values()
        if _exit_type(row) == "SYSTEM_ERROR"
    ]  # fmt: skip


def _driver_row() -> dict[str, Any]:
    return next((row for row in workers().values() if row["type"] == "DRIVER"), {})


def _job() -> str:
    return get_runtime_context().get_job_id()


def _node() -> str:
    return get_runtime_context().get_node_id()


_TABLES = {
    StateResource.ACTORS: actors,
    StateResource.JOBS: _jobs,
    StateResource.PLACEMENT_GROUPS: _placement_groups,
    StateResource.NODES: nodes,
    StateResource.WORKERS: _worker_rows,
    StateResource.TASKS: tasks,
    StateResource.OBJECTS: objects,
    StateResource.RUNTIME_ENVS: _runtime_envs,
    StateResource.CLUSTER_EVENTS: _cluster_events,
}
