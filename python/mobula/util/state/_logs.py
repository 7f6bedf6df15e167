"""What workers printed: the last 64 KiB of each that lives, and of the latest that ended."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Iterator
from typing import Any

from mobula import _core
from mobula.util.state import _rows
from mobula.util.state._client import StateApiClient
from mobula.util.state.common import DEFAULT_RPC_TIMEOUT
from mobula.util.state.exception import RayStateApiException

_FOLLOW_S = 0.2
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def _file_name(row: dict[str, Any]) -> str:
    return f"worker-{row['worker_id']}-{_rows._job()}-{row['pid']}.out"


def _printing() -> list[dict[str, Any]]:
    return [row for row in _rows.workers().values() if row["type"] == "WORKER" and row["pid"]]


def _check_node(node_id: str | None, node_ip: str | None) -> None:
    known = node_id in (None, _rows._node()) and node_ip in (None, _rows.ADDRESS, "localhost")
    if not known:
        raise RayStateApiException(f"there is no node {node_id or node_ip!r}")


def list_logs(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    glob_filter: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
) -> dict[str, list[str]]:
    """The names for get_log(), by kind: {"worker_out": [...]}. There are no files: the engine keeps the last
    lines."""
    StateApiClient(address)
    _check_node(node_id, node_ip)
    names = [_file_name(row) for row in _printing()]
    chosen = [name for name in names if fnmatch.fnmatch(name, glob_filter or "*")]
    return {"worker_out": chosen} if chosen else {}


def get_log(
    address: str | None = None,
    node_id: str | None = None,
    node_ip: str | None = None,
    filename: str | None = None,
    actor_id: str | None = None,
    task_id: str | None = None,
    pid: int | None = None,
    follow: bool = False,
    tail: int = -1,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    suffix: str = "out",
    encoding: str | None = "utf-8",
    errors: str | None = "strict",
    submission_id: str | None = None,
    attempt_number: int = 0,
    _interval: float | None = None,
    filter_ansi_code: bool = False,
) -> Iterator[Any]:
    """What a worker printed to stdout and stderr, in pieces: of a process, an actor, or the worker of a task.

    With `tail`, the last lines; with `follow`, what comes after as well, until the worker ends.
    """
    StateApiClient(address)
    _check_node(node_id, node_ip)
    if suffix not in ("out", "err"):
        raise ValueError(f"Invalid suffix: {suffix}. Must be one of 'out' or 'err'.")
    if submission_id is not None:
        raise RayStateApiException("there are no submitted jobs")
    if filename is None and actor_id is None and task_id is None and pid is None:
        raise ValueError(
            "None of actor_id, task_id, pid, submission_id or filename is provided. "
            "At least one of them is required to fetch logs."
        )
    worker = _find(filename, actor_id, task_id, pid, attempt_number)
    return _pieces(worker, follow, tail, _interval or _FOLLOW_S, encoding, errors, filter_ansi_code)


def _find(
    filename: str | None, actor_id: str | None, task_id: str | None, pid: int | None, attempt: int
) -> str:
    rows = _printing()
    wanted: str | None = None
    if task_id is not None:
        tasks = _rows.tasks()
        found = [one for one in tasks if one["task_id"] == task_id and one["attempt_number"] == attempt]
        wanted = found[0]["worker_id"] if found else None
    elif actor_id is not None:
        actors = [one for one in _rows.table("actors") if one["actor_id"] == actor_id]
        wanted = actors[0]["worker_id"] if actors else None
    for row in rows:
        if wanted is not None:
            if row["worker_id"] == wanted:
                return wanted
        elif (filename is not None and _file_name(row) == filename) or (
            pid is not None and row["pid"] == pid
        ):
            return str(row["worker_id"])
    asked = task_id or actor_id or filename or pid
    raise RayStateApiException(f"nothing is kept of what {asked!r} printed; list_logs() tells what is")


def _pieces(
    worker: str,
    follow: bool,
    tail: int,
    interval: float,
    encoding: str | None,
    errors: str | None,
    plain: bool,
) -> Iterator[Any]:
    text = _core.snapshot(f"output of {worker}")
    if tail >= 0:
        text = "".join(text.splitlines(keepends=True)[len(text.splitlines()) - tail :]) if tail else ""
    seen = _core.snapshot(f"output of {worker}") if follow else ""
    while True:
        if text:
            shown = _ANSI.sub("", text) if plain else text
            yield shown if encoding else shown.encode()
        alive = any(row["worker_id"] == worker and row["alive"] for row in _rows.workers().values())
        if not follow or not alive:
            return
        time.sleep(interval)
        now = _core.snapshot(f"output of {worker}")
        text, seen = _after(seen, now), now


def _after(seen: str, now: str) -> str:
    """What was printed since: the engine forgets the oldest lines, so the head of `seen` may be gone."""
    if now.startswith(seen):
        return now[len(seen) :]
    last = seen[-1024:]
    at = now.rfind(last)
    return now[at + len(last) :] if at >= 0 else now
