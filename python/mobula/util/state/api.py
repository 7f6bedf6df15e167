"""Questions about a running program: list_, get_ and summarize_ functions.

>>> import mobula
>>> from mobula.util.state import list_nodes
>>> _ = mobula.init(ignore_reinit_error=True)
>>> [node.state for node in list_nodes()]
['ALIVE']
"""

from __future__ import annotations

from typing import Any

from mobula.util.state._client import StateApiClient
from mobula.util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    ActorState,
    ClusterEventState,
    Filter,
    GetApiOptions,
    JobState,
    ListApiOptions,
    NodeState,
    ObjectState,
    PlacementGroupState,
    RuntimeEnvState,
    StateResource,
    SummaryApiOptions,
    SummaryResource,
    TaskState,
    WorkerState,
)


def _list(resource: StateResource, address: str | None, raises: bool, **options: Any) -> list[Any]:
    return StateApiClient(address).list(resource, ListApiOptions(**options), raises)


def _get(resource: StateResource, id: str, address: str | None, timeout: int) -> Any:
    return StateApiClient(address).get(resource, id, GetApiOptions(timeout))


def list_actors(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ActorState]:
    """Actors, dead ones too. `filters` are (column, "=" or "!=", value); detail=True fills all columns."""
    return _list(
        StateResource.ACTORS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_tasks(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[TaskState]:
    """Attempts of tasks and calls, the oldest first: those that live, and the latest of those that ended."""
    return _list(
        StateResource.TASKS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_objects(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ObjectState]:
    """Objects that something refers to, the largest first."""
    return _list(
        StateResource.OBJECTS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_nodes(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[NodeState]:
    """The nodes."""
    return _list(
        StateResource.NODES, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_workers(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[WorkerState]:
    """The processes: those that live, and the latest of those that ended."""
    return _list(
        StateResource.WORKERS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_jobs(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[JobState]:
    """The jobs: this program."""
    return _list(
        StateResource.JOBS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_placement_groups(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[PlacementGroupState]:
    """The placement groups, the latest of the removed ones included."""
    return _list(
        StateResource.PLACEMENT_GROUPS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_runtime_envs(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[RuntimeEnvState]:
    """The runtime environments that living workers have taken on."""
    return _list(
        StateResource.RUNTIME_ENVS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def list_cluster_events(
    address: str | None = None,
    filters: list[Filter] | None = None,
    limit: int = DEFAULT_LIMIT,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    detail: bool = False,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> list[ClusterEventState]:
    """What went wrong: the workers that died unasked."""
    return _list(
        StateResource.CLUSTER_EVENTS, address, raise_on_missing_output,
        filters=filters, limit=limit, timeout=timeout, detail=detail,
    )  # fmt: skip


def get_actor(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> ActorState | None:
    """The actor with this id, all columns; None if there is none."""
    return _get(StateResource.ACTORS, id, address, timeout)  # type: ignore[no-any-return]


def get_task(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> TaskState | list[TaskState] | None:
    """The task with this id, all columns; a list where it has had several attempts."""
    return _get(StateResource.TASKS, id, address, timeout)  # type: ignore[no-any-return]


def get_objects(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> list[ObjectState] | None:
    """The objects with this id."""
    return _get(StateResource.OBJECTS, id, address, timeout)  # type: ignore[no-any-return]


def get_node(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> NodeState | None:
    """The node with this id."""
    return _get(StateResource.NODES, id, address, timeout)  # type: ignore[no-any-return]


def get_worker(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> WorkerState | None:
    """The process with this id."""
    return _get(StateResource.WORKERS, id, address, timeout)  # type: ignore[no-any-return]


def get_job(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> JobState | None:
    """The job with this id."""
    return _get(StateResource.JOBS, id, address, timeout)  # type: ignore[no-any-return]


def get_placement_group(
    id: str, address: str | None = None, timeout: int = DEFAULT_RPC_TIMEOUT, _explain: bool = False
) -> PlacementGroupState | None:
    """The placement group with this id."""
    return _get(StateResource.PLACEMENT_GROUPS, id, address, timeout)  # type: ignore[no-any-return]


def summarize_tasks(
    address: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Tasks and calls counted by function and state."""
    return StateApiClient(address).summary(
        SummaryResource.TASKS,
        options=SummaryApiOptions(timeout),
        raise_on_missing_output=raise_on_missing_output,
    )


def summarize_actors(
    address: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Actors counted by class and state."""
    return StateApiClient(address).summary(
        SummaryResource.ACTORS,
        options=SummaryApiOptions(timeout),
        raise_on_missing_output=raise_on_missing_output,
    )


def summarize_objects(
    address: str | None = None,
    timeout: int = DEFAULT_RPC_TIMEOUT,
    raise_on_missing_output: bool = True,
    _explain: bool = False,
) -> dict[str, Any]:
    """Objects counted by where they were made."""
    return StateApiClient(address).summary(
        SummaryResource.OBJECTS,
        options=SummaryApiOptions(timeout),
        raise_on_missing_output=raise_on_missing_output,
    )
