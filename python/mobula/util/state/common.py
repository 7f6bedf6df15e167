"""What the state API speaks of: a dataclass for each kind of thing, and the options of its questions.

Columns marked `detail` are None unless asked for with detail=True or by a get_ function; those marked
`filterable` can stand in filters.
"""

# ruff: noqa: RUF009  a column is a field

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Any

from mobula.util.state._humanify import Humanify as Humanify

DEFAULT_RPC_TIMEOUT = 30
DEFAULT_LIMIT = 100
DEFAULT_LOG_LIMIT = 1000
RAY_MAX_LIMIT_FROM_API_SERVER = 10_000
RAY_MAX_LIMIT_FROM_DATA_SOURCE = 10_000
DRIVER_TASK_ID_PREFIX = "f" * 16

SupportedFilterType = str | bool | int | float
PredicateType = str
Filter = tuple[str, PredicateType, SupportedFilterType]


class StateResource(Enum):
    """What can be listed."""

    ACTORS = "actors"
    JOBS = "jobs"
    PLACEMENT_GROUPS = "placement_groups"
    NODES = "nodes"
    WORKERS = "workers"
    TASKS = "tasks"
    OBJECTS = "objects"
    RUNTIME_ENVS = "runtime_envs"
    CLUSTER_EVENTS = "cluster_events"


class SummaryResource(Enum):
    """What can be summarized."""

    ACTORS = "actors"
    TASKS = "tasks"
    OBJECTS = "objects"


@dataclass
class ListApiOptions:
    """Of StateApiClient.list(): filters are (column, "=" or "!=", value), and all must hold."""

    limit: int = DEFAULT_LIMIT
    timeout: int = DEFAULT_RPC_TIMEOUT
    detail: bool = False
    filters: list[Filter] | None = field(default_factory=list)
    exclude_driver: bool = True
    server_timeout_multiplier: float = 0.8

    def __post_init__(self) -> None:
        if self.timeout <= 0:
            raise ValueError(f"timeout must be positive, not {self.timeout!r}")
        self.filters = check_filters(self.filters)


@dataclass
class GetApiOptions:
    """Of StateApiClient.get()."""

    timeout: int = DEFAULT_RPC_TIMEOUT


@dataclass
class SummaryApiOptions:
    """Of StateApiClient.summary()."""

    timeout: int = DEFAULT_RPC_TIMEOUT
    filters: list[Filter] | None = field(default_factory=list)
    summary_by: str | None = None


def check_filters(filters: list[Filter] | None) -> list[Filter]:
    """The filters; ValueError for one that is not (column, predicate, value) with a known predicate."""
    for one in filters or []:
        if not isinstance(one, (tuple, list)) or len(one) != 3:
            raise ValueError(f"a filter is a tuple (column, predicate, value), not {one!r}")
        if one[1] not in ("=", "!="):
            raise ValueError(
                f"Unsupported filter predicate {one[1]!r} is given. Available predicates: =, !=."
            )
    return list(filters or [])


def state_column(
    *, filterable: bool, detail: bool = False, format_fn: Callable[..., Any] | None = None, **more: Any
) -> Any:
    """A field of a StateSchema."""
    about = {"detail": detail, "filterable": filterable, "format_fn": format_fn}
    return field(**{"default": None, **more}, metadata=about)


class StateSchema:
    """One row. Its columns are attributes; `row["name"]` and `row.get("name")` work too."""

    @classmethod
    def list_columns(cls, detail: bool = True) -> list[str]:
        """The names of the columns."""
        return [one.name for one in _fields(cls) if detail or not one.metadata["detail"]]

    @classmethod
    def columns(cls) -> set[str]:
        """All columns."""
        return set(cls.list_columns())

    @classmethod
    def base_columns(cls) -> set[str]:
        """Those that a list without detail=True fills in."""
        return set(cls.list_columns(detail=False))

    @classmethod
    def detail_columns(cls) -> set[str]:
        """Those that a list with detail=True fills in: all."""
        return cls.columns()

    @classmethod
    def filterable_columns(cls) -> set[str]:
        """Those that filters may name."""
        return {one.name for one in _fields(cls) if one.metadata["filterable"]}

    @classmethod
    def humanify(cls, state: dict[str, Any]) -> dict[str, Any]:
        """The row as people read it: times and sizes as text."""
        for one in _fields(cls):
            shown = one.metadata["format_fn"]
            if shown is not None and state.get(one.name) is not None:
                state[one.name] = shown(state[one.name])
        return state

    def asdict(self) -> dict[str, Any]:
        """The columns in a dict."""
        return asdict(self)  # type: ignore[call-overload,no-any-return]

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        setattr(self, key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """The column, or `default` where there is none."""
        return getattr(self, key, default)


def _fields(schema: type) -> Any:
    return fields(schema)


def _shown(**more: Any) -> Any:
    return state_column(filterable=False, **more)


def _detail(filterable: bool = False, **more: Any) -> Any:
    return state_column(filterable=filterable, detail=True, **more)


def _moment() -> Any:
    return _detail(format_fn=Humanify.timestamp)


@dataclass
class ActorState(StateSchema):
    """An actor: DEPENDENCIES_UNREADY, PENDING_CREATION, ALIVE, RESTARTING or DEAD."""

    actor_id: str = state_column(filterable=True)
    class_name: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    job_id: str = state_column(filterable=True)
    name: str | None = state_column(filterable=True)
    node_id: str | None = state_column(filterable=True)
    pid: int | None = state_column(filterable=True)
    ray_namespace: str | None = state_column(filterable=True)
    serialized_runtime_env: str | None = _detail()
    required_resources: dict[str, float] | None = _detail()
    death_cause: dict[str, Any] | None = _detail()
    is_detached: bool | None = _detail()
    placement_group_id: str | None = _detail(True)
    repr_name: str | None = _detail(True)
    num_restarts: int | None = _detail()
    num_restarts_due_to_lineage_reconstruction: int | None = _detail()
    num_restarts_due_to_node_preemption: int | None = _detail()
    call_site: str | None = _detail()
    label_selector: dict[str, str] | None = _detail()
    fallback_strategy: dict[str, Any] | None = _detail()


@dataclass
class PlacementGroupState(StateSchema):
    """A placement group: PENDING, CREATED, REMOVED or RESCHEDULING."""

    placement_group_id: str = state_column(filterable=True)
    name: str = state_column(filterable=True)
    creator_job_id: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    bundles: list[dict[str, Any]] | None = _detail()
    is_detached: bool | None = _detail(True)
    stats: dict[str, Any] | None = _detail()
    topology_strategy: dict[str, Any] | None = _detail()
    topology_assignments: dict[str, Any] | None = _detail()


@dataclass
class NodeState(StateSchema):
    """A node: ALIVE or DEAD."""

    node_id: str = state_column(filterable=True)
    node_ip: str = state_column(filterable=True)
    is_head_node: bool = state_column(filterable=True)
    state: str = state_column(filterable=True)
    state_message: str | None = _shown()
    node_name: str = state_column(filterable=True)
    resources_total: dict[str, float] = _shown(format_fn=Humanify.node_resources)
    labels: dict[str, str] = _shown()
    start_time_ms: int | None = _moment()
    end_time_ms: int | None = _moment()


@dataclass
class DriverInfo:
    """The program that started a job."""

    id: str
    node_ip_address: str
    pid: str


@dataclass
class JobState(StateSchema):
    """A job: what one driver runs."""

    type: str = state_column(filterable=True)
    job_id: str | None = state_column(filterable=True)
    submission_id: str | None = state_column(filterable=True)
    driver_info: DriverInfo | None = _shown()
    status: str = state_column(filterable=True)
    entrypoint: str = _shown()
    message: str | None = _shown()
    error_type: str | None = _shown()
    start_time: int | None = _detail()
    end_time: int | None = _detail()
    metadata: dict[str, str] | None = _detail()
    runtime_env: dict[str, Any] | None = _detail()
    driver_agent_http_address: str | None = _detail()
    driver_node_id: str | None = _detail()
    driver_exit_code: int | None = _detail()


@dataclass
class WorkerState(StateSchema):
    """A process that runs tasks (WORKER), or the program itself (DRIVER)."""

    worker_id: str = state_column(filterable=True)
    is_alive: bool = state_column(filterable=True)
    worker_type: str = state_column(filterable=True)
    exit_type: str | None = state_column(filterable=True)
    node_id: str = state_column(filterable=True)
    ip: str = state_column(filterable=True)
    pid: int = state_column(filterable=True)
    exit_detail: str | None = _detail()
    worker_launch_time_ms: int | None = _moment()
    worker_launched_time_ms: int | None = _moment()
    start_time_ms: int | None = _moment()
    end_time_ms: int | None = _moment()
    debugger_port: int | None = _detail(True)
    num_paused_threads: int | None = _detail(True)


@dataclass
class ClusterEventState(StateSchema):
    """Something that went wrong."""

    severity: str = state_column(filterable=True)
    time: str = _shown()
    source_type: str = state_column(filterable=True)
    message: str = _shown()
    event_id: str = state_column(filterable=True)
    custom_fields: dict[str, Any] | None = _detail()


@dataclass
class TaskState(StateSchema):
    """One attempt of a task or of an actor's call: pending in one of several ways, RUNNING, FINISHED or
    FAILED."""

    task_id: str = state_column(filterable=True)
    attempt_number: int = state_column(filterable=True)
    name: str = state_column(filterable=True)
    state: str = state_column(filterable=True)
    job_id: str = state_column(filterable=True)
    actor_id: str | None = state_column(filterable=True)
    type: str = state_column(filterable=True)
    func_or_class_name: str = state_column(filterable=True)
    parent_task_id: str = state_column(filterable=True)
    node_id: str | None = state_column(filterable=True)
    worker_id: str | None = state_column(filterable=True)
    worker_pid: int | None = state_column(filterable=True)
    error_type: str | None = state_column(filterable=True)
    language: str | None = _detail(True)
    required_resources: dict[str, float] | None = _detail()
    runtime_env_info: dict[str, Any] | None = _detail()
    placement_group_id: str | None = _detail(True)
    events: list[dict[str, Any]] | None = _detail(format_fn=Humanify.events)
    profiling_data: dict[str, Any] | None = _detail()
    creation_time_ms: int | None = _moment()
    start_time_ms: int | None = _moment()
    end_time_ms: int | None = _moment()
    task_log_info: dict[str, Any] | None = _detail()
    error_message: str | None = _detail()
    is_debugger_paused: bool | None = _detail(True)
    call_site: str | None = _detail()
    label_selector: dict[str, str] | None = _detail()
    fallback_strategy: dict[str, Any] | None = _detail()


@dataclass
class ObjectState(StateSchema):
    """An object, and a process that refers to it."""

    object_id: str = state_column(filterable=True)
    object_size: int = state_column(filterable=True, format_fn=Humanify.memory)
    task_status: str = state_column(filterable=True)
    attempt_number: int = state_column(filterable=True)
    reference_type: str = state_column(filterable=True)
    call_site: str = state_column(filterable=True)
    type: str = state_column(filterable=True)
    pid: int = state_column(filterable=True)
    ip: str = state_column(filterable=True)


@dataclass
class RuntimeEnvState(StateSchema):
    """A runtime environment that workers have taken on."""

    runtime_env: dict[str, Any] = state_column(filterable=True)
    success: bool = state_column(filterable=True)
    creation_time_ms: float | None = _shown(format_fn=Humanify.duration)
    node_id: str = state_column(filterable=True)
    ref_cnt: int | None = _detail()
    error: str | None = _detail(True)


SCHEMAS: dict[StateResource, type[StateSchema]] = {
    StateResource.ACTORS: ActorState,
    StateResource.JOBS: JobState,
    StateResource.PLACEMENT_GROUPS: PlacementGroupState,
    StateResource.NODES: NodeState,
    StateResource.WORKERS: WorkerState,
    StateResource.TASKS: TaskState,
    StateResource.OBJECTS: ObjectState,
    StateResource.RUNTIME_ENVS: RuntimeEnvState,
    StateResource.CLUSTER_EVENTS: ClusterEventState,
}


def resource_to_schema(resource: StateResource) -> type[StateSchema]:
    """The dataclass of a resource's rows."""
    return SCHEMAS[resource]
