"""What a running program does: its tasks, actors, objects, processes. See docs/observe.md."""

from __future__ import annotations

from mobula.util.state._client import StateApiClient
from mobula.util.state._logs import get_log, list_logs
from mobula.util.state.api import (
    get_actor,
    get_job,
    get_node,
    get_objects,
    get_placement_group,
    get_task,
    get_worker,
    list_actors,
    list_cluster_events,
    list_jobs,
    list_nodes,
    list_objects,
    list_placement_groups,
    list_runtime_envs,
    list_tasks,
    list_workers,
    summarize_actors,
    summarize_objects,
    summarize_tasks,
)

__all__ = [
    "StateApiClient", "get_actor", "get_job", "get_log", "get_node", "get_objects", "get_placement_group",
    "get_task", "get_worker", "list_actors", "list_cluster_events", "list_jobs", "list_logs", "list_nodes",
    "list_objects", "list_placement_groups", "list_runtime_envs", "list_tasks", "list_workers",
    "summarize_actors", "summarize_objects", "summarize_tasks",
]  # fmt: skip
