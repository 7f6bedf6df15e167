"""timeline(): the tasks that have ended, by worker, as a trace that Perfetto and chrome://tracing open."""

from __future__ import annotations

import json
from typing import Any

from mobula import _core, _driver


def events() -> list[dict[str, Any]]:
    """One complete event ("X") for each attempt that ran; times in micro-seconds of the engine's clock.

    What runs at the same time in one worker (calls of an async or threaded actor) gets rows of its own.
    """
    _driver.ensure()
    pids = {row["worker_id"]: row["pid"] for row in json.loads(_core.snapshot("workers"))}
    rows = [row for row in json.loads(_core.snapshot("past_tasks")) if row["begun_ns"]]
    lanes: dict[str, list[int]] = {}
    return [_event(row, pids, _lane(row, lanes)) for row in sorted(rows, key=lambda row: row["begun_ns"])]


def _lane(row: dict[str, Any], lanes: dict[str, list[int]]) -> int:
    """The first row of the worker that is free when the task begins."""
    ends = lanes.setdefault(row["worker_id"], [])
    for lane, end in enumerate(ends):
        if end <= row["begun_ns"]:
            ends[lane] = row["ended_ns"]
            return lane
    ends.append(row["ended_ns"])
    return len(ends) - 1


def _event(row: dict[str, Any], pids: dict[str, int], lane: int) -> dict[str, Any]:
    failed = row["state"] == "FAILED"
    arguments = {
        "task_id": row["task_id"], "name": row["name"], "type": row["type"], "state": row["state"],
        "attempt": row["attempt"], "worker_id": row["worker_id"], "pid": pids.get(row["worker_id"], 0),
        "submitted_us": row["submitted_us"], "queued_us": row["queued_us"], "sent_us": row["sent_us"],
        **{key: row[key] for key in ("actor_id", "parent_task_id", "error_type") if row[key]},
    }  # fmt: skip
    return {
        "cat": f"task::{row['name']}",
        "name": row["name"],
        "pid": "127.0.0.1",
        "tid": f"worker:{row['worker_id']}" + (f"/{lane}" if lane else ""),
        "ts": row["begun_ns"] / 1000,
        "dur": (row["ended_ns"] - row["begun_ns"]) / 1000,
        "ph": "X",
        "cname": "terrible" if failed else "good",
        "args": arguments,
    }


def dump(filename: str | None) -> list[dict[str, Any]] | None:
    """The body of mobula.timeline()."""
    found = events()
    if filename is None:
        return found
    with open(filename, "w") as file:
        json.dump(found, file)
    return None
