"""get_runtime_context(): who and where this process, task and actor are."""

from __future__ import annotations

import sys

from mobula import _core
from mobula._ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID, WorkerID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RuntimeContext:
    """Ids are hexadecimal strings; None where there is no task or actor."""

    @property
    def _info(self) -> dict[str, Any]:
        from mobula import _driver

        _driver.ensure()
        if _driver.is_worker():
            return sys.modules["mobula._worker"].info  # type: ignore[no-any-return]
        return _driver.state.info or {}

    @property
    def _call(self) -> dict[str, Any]:
        loop = sys.modules.get("mobula._loop")
        call = loop.current_call.get() if loop is not None else None
        return (call.describe() if call is not None else _core.current_call()) or {}

    @property
    def _actor(self) -> dict[str, Any]:
        return _core.actor_info() or {}

    def get_job_id(self) -> str:
        """8 digits."""
        return self._info["job_id"]  # type: ignore[no-any-return]

    def get_node_id(self) -> str:
        """56 digits."""
        return self._info["node_id"]  # type: ignore[no-any-return]

    def get_worker_id(self) -> str:
        """The process: a worker, or the driver."""
        return f"{self._info.get('client', 0):016x}"

    def get_task_id(self) -> str | None:
        """The running task; None in a driver."""
        return self._call.get("task")

    def get_task_name(self) -> str | None:
        """The name given by options(name=), else the function's."""
        return self._call.get("name")

    def get_task_function_name(self) -> str | None:
        """module.function of the running task, or module.Class.method."""
        target = _core.current_target()
        if target is None:
            return None
        function, method = target
        name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"
        return f"{name}.{method}" if method else name

    def get_actor_id(self) -> str | None:
        """The actor that this process is."""
        return f"{self._actor['actor']:016x}" if self._actor else None

    def get_actor_name(self) -> str | None:
        """Its name; empty for an unnamed one."""
        return self._actor.get("actor_name") if self._actor else None

    def get_placement_group_id(self) -> str | None:
        """The placement group that the task or actor runs in."""
        group = self._call.get("group") or self._actor.get("group")
        return f"{group:016x}" if group else None

    def get_assigned_resources(self) -> dict[str, float]:
        """What the task or actor holds, by resource name."""
        return dict(self._actor.get("resources") or self._call.get("resources") or {})

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        """The devices of the task or actor, by kind."""
        return {"GPU": gpu_ids()}

    def get_node_labels(self) -> dict[str, str]:
        """The labels of this node."""
        self._info  # noqa: B018  starts the engine
        node = self.get_node_id()
        return next((dict(one["labels"]) for one in _core.cluster() if one["id"] == node), {})

    def get_runtime_env_string(self) -> str:
        """The runtime environment, as JSON."""
        import json

        return json.dumps(self.runtime_env)

    @property
    def runtime_env(self) -> dict[str, Any]:
        """The runtime environment of the job, with the task's over it."""
        from mobula import _driver, _environment

        worker = sys.modules.get("mobula._worker")
        job = (
            worker.job.get("runtime_env", {})
            if _driver.is_worker() and worker
            else _driver.state.job_environment
        )
        own = _environment.unpack(_core.runtime_env())
        variables = {**(job.get("env_vars") or {}), **own.get("env_vars", {})}
        return {**job, **({"env_vars": variables} if variables else {})}

    @property
    def namespace(self) -> str:
        """The namespace that named actors are looked for in."""
        from mobula import _driver

        self._info  # noqa: B018
        return _driver.namespace()

    @property
    def was_current_actor_reconstructed(self) -> bool:
        """True when the actor has died and was made anew."""
        return bool(self._actor.get("restarted"))

    @property
    def current_actor(self) -> Any:
        """The handle of the actor that this process is."""
        from mobula import actor

        return actor.own_handle()

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        """Whether tasks started here run in the same placement group."""
        return bool((self._actor or self._call).get("captures"))

    @property
    def gcs_address(self) -> str:
        """The engine is in this process: there is none."""
        return "local"

    def is_canceled(self) -> bool:
        """True once somebody has cancelled the running task. In async actors it raises: cancellation comes as
        CancelledError there."""
        loop = sys.modules.get("mobula._loop")
        if loop is not None and loop.current_call.get() is not None:
            raise RuntimeError("is_canceled() is not for async actors: catch asyncio.CancelledError")
        return _core.is_cancelled(_core.current_task())

    def get_temp_dir(self) -> str:
        """Where temporary files go."""
        import tempfile

        return tempfile.gettempdir()

    def get_session_name(self) -> str:
        """The engine's name, other for each init()."""
        self._info  # noqa: B018
        return f"session_{_core.session()}"

    # -- Ray's older forms ----------------------------------------------------------------------------------

    @property
    def job_id(self) -> JobID:
        """get_job_id() as an object."""
        return JobID.from_hex(self.get_job_id())

    @property
    def node_id(self) -> NodeID:
        """get_node_id() as an object."""
        return NodeID.from_hex(self.get_node_id())

    @property
    def worker_id(self) -> WorkerID:
        """get_worker_id() as an object."""
        return WorkerID.from_hex(self.get_worker_id())

    @property
    def task_id(self) -> TaskID | None:
        """get_task_id() as an object."""
        digits = self.get_task_id()
        return TaskID.from_hex(digits) if digits else None

    @property
    def actor_id(self) -> ActorID | None:
        """get_actor_id() as an object."""
        digits = self.get_actor_id()
        return ActorID.from_hex(digits) if digits else None

    @property
    def current_placement_group_id(self) -> PlacementGroupID | None:
        """get_placement_group_id() as an object."""
        digits = self.get_placement_group_id()
        return PlacementGroupID.from_hex(digits) if digits else None

    def get_resource_ids(self) -> dict[str, list[str]]:
        """get_accelerator_ids() by its older name."""
        return self.get_accelerator_ids()

    def get(self) -> dict[str, Any]:
        """The ids in a dict."""
        found = {"job_id": self.job_id, "node_id": self.node_id, "namespace": self.namespace}
        if self.task_id is not None:
            found["task_id"] = self.task_id
        if self.actor_id is not None:
            found["actor_id"] = self.actor_id
        return found


def gpu_ids() -> list[str]:
    """The GPUs of the running task or actor."""
    from mobula import _driver, _environment

    if not _driver.is_worker():
        visible = _environment.visible_devices()
        return [one for one in (visible or "").split(",") if one]
    own = (_core.actor_info() or _core.current_call() or {}).get("gpus", [])
    return sys.modules["mobula._worker"].visible_gpus(own)  # type: ignore[no-any-return]


_context = RuntimeContext()


def get_runtime_context() -> RuntimeContext:
    """Who and where this process, task and actor are."""
    return _context


def __getattr__(name: str) -> Any:
    if name != "RuntimeEnv":
        raise AttributeError(f"module 'mobula.runtime_context' has no attribute {name!r}")
    from mobula.runtime_env import RuntimeEnv

    return RuntimeEnv
