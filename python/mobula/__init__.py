"""Mobula runs Ray programs on one machine, at the machine's speed: `import mobula as ray`.

>>> import mobula
>>> @mobula.remote
... def square(x):
...     return x * x
>>> mobula.get([square.remote(i) for i in range(4)])
[0, 1, 4, 9]
"""

from __future__ import annotations

from mobula import _core, _driver
from mobula._core import ObjectRef
from mobula._driver import Context
from mobula._ids import (
    ActorClassID,
    ActorID,
    ClusterID,
    FunctionID,
    JobID,
    NodeID,
    PlacementGroupID,
    TaskID,
    UniqueID,
    WorkerID,
)
from mobula._refs import DynamicObjectRefGenerator, ObjectRefGenerator
from mobula.actor import ActorHandle, method
from mobula.runtime_context import get_runtime_context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from mobula import actor as actor
    from mobula import exceptions as exceptions
    from mobula import runtime_context as runtime_context
    from mobula import runtime_env as runtime_env
    from mobula import types as types
    from mobula import util as util

__version__ = "0.1.0"
__commit__ = ""

__all__ = [
    "ActorClassID", "ActorHandle", "ActorID", "ClusterID", "Context", "DynamicObjectRefGenerator",
    "FunctionID", "JobID", "Language", "LoggingConfig", "NodeID", "ObjectRef", "ObjectRefGenerator",
    "PlacementGroupID", "TaskID", "UniqueID", "WorkerID", "available_resources", "cancel",
    "cluster_resources", "cpp_actor_class", "cpp_function", "get", "get_actor", "get_gpu_ids",
    "get_runtime_context", "init", "is_initialized", "kill", "load_library", "method", "nodes", "put",
    "remote", "shutdown", "timeline", "wait",
]  # fmt: skip

_LAZY_MODULES = {
    "actor", "as_ray", "cli", "cross_language", "dag", "data", "exceptions", "experimental",
    "job_submission", "remote_function", "runtime_context", "runtime_env", "serve", "train", "tune", "types",
    "util",
}  # fmt: skip
LOCAL_MODE, SCRIPT_MODE, WORKER_MODE = 2, 0, 1


class Language:
    """The languages that tasks can be written in."""

    PYTHON, CPP, JAVA = "PYTHON", "CPP", "JAVA"


class LoggingConfig:
    """How Ray's loggers write. Accepted; Mobula writes no logs of its own."""

    def __init__(self, encoding: str = "TEXT", log_level: str = "INFO", **more: Any) -> None:
        self.encoding, self.log_level = encoding, log_level


def init(
    address: str | None = None,
    *,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    resources: dict[str, float] | None = None,
    labels: dict[str, str] | None = None,
    object_store_memory: int | None = None,
    ignore_reinit_error: bool = False,
    namespace: str | None = None,
    runtime_env: dict[str, Any] | None = None,
    log_to_driver: bool | None = None,
    **more: Any,
) -> Context:
    """Starts the engine in this process. Without it, the first use starts one with the machine's CPUs and
    GPUs.

    Args:
        address: None or "local". Running on nodes elsewhere is not available yet.
        num_cpus, num_gpus, resources: what the node offers; logical amounts, fractions allowed.
        object_store_memory: bytes of the object store, a hard limit; 30 % of the memory by default.
        labels: names and values that tasks can ask for.
        ignore_reinit_error: go on with the engine that runs, instead of raising RuntimeError.
        namespace: where named actors live; a random one by default.
        runtime_env: env_vars, working_dir and py_modules (local folders) for all workers.
        log_to_driver: False keeps the workers' output to themselves.
        _metrics_export_port: serve the metrics at http://127.0.0.1:<port>/metrics (0: any free port, which
            address_info["metrics_export_port"] names); MOBULA_METRICS_EXPORT_PORT does the same.
        more: Ray's options for dashboards, logs, daemons and the like (include_dashboard, logging_level,
        _temp_dir,
            _system_config, ...) are accepted and mean nothing here; others raise TypeError.
    """
    return _driver.init(
        address, num_cpus=num_cpus, num_gpus=num_gpus, resources=resources, labels=labels,
        object_store_memory=object_store_memory, ignore_reinit_error=ignore_reinit_error, namespace=namespace,
        runtime_env=runtime_env, log_to_driver=log_to_driver, **more,
    )  # fmt: skip


def shutdown(_exiting_interpreter: bool = False) -> None:
    """Ends the engine and everything that runs in it. Called at the program's end by itself."""
    _driver.shutdown(_exiting_interpreter)


def is_initialized() -> bool:
    """Whether there is an engine."""
    return _core.is_open()


def remote(*args: Any, **options: Any) -> Any:
    """Makes a function remote, or a class an actor class: `@remote`, `@remote(num_cpus=2)`, `remote(f)`."""
    if len(args) == 1 and not options and callable(args[0]):
        return _make_remote(args[0], {})
    if args or not options:
        raise TypeError(
            "the @remote decorator is applied without arguments and parentheses, or with keyword options "
            "alone: "
            "@remote(num_returns=2)"
        )
    return lambda target: _make_remote(target, options)


def _make_remote(target: Any, options: dict[str, Any]) -> Any:
    if isinstance(target, type):
        from mobula import actor

        return actor.make(target, options)
    from mobula import remote_function
    from mobula.actor import ActorClass

    if not callable(target) or isinstance(target, (remote_function.RemoteFunction, ActorClass)):
        raise TypeError(f"the @remote decorator is applied to a function or a class, not to {target!r}")
    return remote_function.make(target, options)


def get(object_refs: Any, *, timeout: float | None = None, _use_object_store: bool = False) -> Any:
    """The value of a reference, or the values of a list of them, in order; waits until they are there.

    Arrays are read-only views of the object store. An error of a task is raised here, at once when any of a
    list has failed; GetTimeoutError when `timeout` seconds pass first.
    """
    return _core.get(object_refs, timeout)


def put(value: Any, *, _owner: Any = None, _tensor_transport: str | None = None) -> ObjectRef[Any]:
    """Stores a value and gives a reference to it, which can be passed to any number of tasks."""
    if _owner is not None:
        raise ValueError("put(_owner=) is gone: objects belong to the node")
    if _tensor_transport not in (None, "object_store"):
        raise NotImplementedError(f"put(_tensor_transport={_tensor_transport!r}) is not available yet")
    return _core.put(value)


def wait(
    ray_waitables: list[Any], *, num_returns: int = 1, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Any], list[Any]]:
    """(ready, rest), both in the order given; waits until `num_returns` are ready, or `timeout` seconds
    have passed.

    Never more than `num_returns` are in `ready`. Generators count as ready when their next value is.
    """
    return _core.wait(ray_waitables, num_returns, timeout, fetch_local)


def cancel(ray_waitable: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Cancels the task that makes a reference or feeds a generator; get() then raises TaskCancelledError.

    A waiting task never runs; a running one gets a KeyboardInterrupt, or with `force` its worker is ended.
    Calls of async actors get CancelledError; those of other actors see get_runtime_context().is_canceled().
    Its children go too, unless `recursive` is False.
    """
    if isinstance(ray_waitable, ObjectRefGenerator):
        _core.cancel(ray_waitable._first(), force, recursive)
    elif isinstance(ray_waitable, ObjectRef):
        _core.cancel(ray_waitable.binary(), force, recursive)
    else:
        raise TypeError(
            f"cancel() takes an ObjectRef or a generator, not {ray_waitable!r}; for actors use kill()"
        )


def kill(actor: ActorHandle, *, no_restart: bool = True) -> None:
    """Ends an actor's process at once; its calls fail with ActorDiedError. no_restart=False lets it
    restart."""
    if not isinstance(actor, ActorHandle):
        raise ValueError(f"kill() takes an actor's handle, not {actor!r}; for tasks use cancel()")
    _core.kill_actor(actor._number, no_restart)


def get_actor(name: str, namespace: str | None = None) -> ActorHandle:
    """The handle of a living named actor; ValueError if there is none."""
    from mobula import actor

    if not isinstance(name, str) or not name:
        raise ValueError(f"get_actor() takes a name, not {name!r}")
    _driver.ensure()
    return actor.find(name, namespace)


def nodes() -> list[dict[str, Any]]:
    """The nodes: id, resources, labels, whether they live."""
    return [
        {
            "NodeID": node["id"], "Alive": node["alive"], "alive": node["alive"],
            "NodeManagerAddress": "127.0.0.1",
            "NodeManagerHostname": "localhost", "NodeName": "127.0.0.1", "NodeManagerPort": 0,
            "ObjectManagerPort": 0,
            "ObjectStoreSocketName": "", "RayletSocketName": "", "DeathReason": 0,
            "DeathReasonMessage": "", "RuntimeEnvAgentPort": 0,
            "MetricsExportPort": _driver.state.metrics_port,
            "Resources": _whole(node["total"]), "Labels": node["labels"],
        }
        for node in _core.cluster()
    ]  # fmt: skip


def _whole(amounts: dict[str, float]) -> dict[str, float]:
    return {name: amount for name, amount in amounts.items() if amount > 0}


def _sum(field: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for node in _core.cluster():
        if node["alive"]:
            for name, amount in node[field].items():
                total[name] = round(total.get(name, 0.0) + amount, 4)
    return _whole(total)


def cluster_resources() -> dict[str, float]:
    """All resources, by name."""
    return _sum("total")


def available_resources() -> dict[str, float]:
    """The resources that nobody holds now, by name; what is used up is left out."""
    return _sum("available")


def get_gpu_ids() -> list[str]:
    """The GPUs of the running task or actor."""
    from mobula.runtime_context import gpu_ids

    return gpu_ids()


def load_library(path: str) -> None:
    """Loads a shared library with C++ functions, for cpp_function() and cpp_actor_class()."""
    from mobula import cross_language

    cross_language.load_library(path)


def cpp_function(function_name: str) -> Any:
    """The C++ function registered under this name: its calls are tasks, as those of a Python function are."""
    from mobula import cross_language

    return cross_language.cpp_function(function_name)


def cpp_actor_class(create_function_name: str, class_name: str) -> Any:
    """The C++ class whose factory is registered under this name: its instances are actors."""
    from mobula import cross_language

    return cross_language.cpp_actor_class(create_function_name, class_name)


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """A trace of the latest 10,000 attempts of tasks that have ended: a list of events, or, with `filename`,
    a JSON file that Perfetto (ui.perfetto.dev) and chrome://tracing open."""
    from mobula import _timeline

    return _timeline.dump(filename)


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        import importlib

        try:
            return importlib.import_module(f"mobula.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"mobula.{name}":
                raise
            raise AttributeError(f"mobula.{name} is not available yet") from None
    raise AttributeError(f"module 'mobula' has no attribute {name!r}")


def __dir__() -> Sequence[str]:
    return sorted({*globals(), *__all__, *_LAZY_MODULES})
