"""Utilities on top of tasks and actors."""

from __future__ import annotations

from mobula import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from mobula.util.actor_pool import ActorPool as ActorPool
    from mobula.util.check_serialize import inspect_serializability as inspect_serializability
    from mobula.util.client_connect import connect as connect
    from mobula.util.client_connect import disconnect as disconnect
    from mobula.util.debug import disable_log_once_globally as disable_log_once_globally
    from mobula.util.debug import enable_periodic_logging as enable_periodic_logging
    from mobula.util.debug import log_once as log_once
    from mobula.util.placement_group import get_current_placement_group as get_current_placement_group
    from mobula.util.placement_group import get_placement_group as get_placement_group
    from mobula.util.placement_group import placement_group as placement_group
    from mobula.util.placement_group import placement_group_table as placement_group_table
    from mobula.util.placement_group import remove_placement_group as remove_placement_group

__all__ = [
    "ActorPool", "as_completed", "connect", "deregister_serializer", "disable_log_once_globally",
    "disconnect", "enable_periodic_logging", "get_current_placement_group", "get_node_instance_id",
    "get_node_ip_address", "get_placement_group", "inspect_serializability", "list_named_actors",
    "log_once", "map_unordered", "placement_group", "placement_group_table", "register_serializer",
    "remove_placement_group",
]  # fmt: skip

_LAZY = {
    "get_current_placement_group": "mobula.util.placement_group",
    "get_placement_group": "mobula.util.placement_group",
    "placement_group_table": "mobula.util.placement_group",
    "remove_placement_group": "mobula.util.placement_group",
    "ActorPool": "mobula.util.actor_pool",
    "connect": "mobula.util.client_connect",
    "disable_log_once_globally": "mobula.util.debug",
    "disconnect": "mobula.util.client_connect",
    "enable_periodic_logging": "mobula.util.debug",
    "inspect_serializability": "mobula.util.check_serialize",
    "log_once": "mobula.util.debug",
}
_MODULES = {
    "actor_pool", "check_serialize", "client_connect", "collective", "dask", "debug", "joblib", "metrics",
    "multiprocessing", "placement_group", "queue", "scheduling_strategies", "serialization", "state",
}  # fmt: skip


def list_named_actors(all_namespaces: bool = False) -> list[Any]:
    """The names of the living named actors of this namespace; of all, as dicts with "name" and
    "namespace"."""
    import json

    from mobula import _driver

    _driver.ensure()
    rows = json.loads(_core.snapshot("named_actors"))
    if all_namespaces:
        return [{"name": row["name"], "namespace": row["namespace"]} for row in rows]
    return [row["name"] for row in rows if row["namespace"] == _driver.namespace()]


def register_serializer(
    cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]
) -> None:
    """Values of class `cls` travel as `serializer(value)` and are rebuilt by `deserializer`, in every
    process."""
    from mobula import _pickling

    _pickling.register_serializer(cls, serializer=serializer, deserializer=deserializer)


def deregister_serializer(cls: type) -> None:
    """Forgets what register_serializer() was told about `cls`."""
    from mobula import _pickling

    _pickling.deregister_serializer(cls)


def get_node_ip_address(address: str = "8.8.8.8:53") -> str:
    """The address of this machine: the engine listens nowhere, so it is the machine's own."""
    return "127.0.0.1"


def get_node_instance_id() -> str:
    """What the cloud calls this machine, as RAY_CLOUD_INSTANCE_ID says; else empty."""
    from mobula import _environment

    return _environment.cloud_instance_id()


def as_completed(
    refs: Sequence[Any], *, chunk_size: int = 10, yield_obj_refs: bool = False, **kwargs: Any
) -> Iterator[Any]:
    """Yields the values (or the references) as they become ready, waiting for up to `chunk_size` at once;
    kwargs are those of wait()."""
    if chunk_size < 1:
        raise ValueError("`chunk_size` must be >= 1")
    if "num_returns" in kwargs:
        raise ValueError("Use the `chunk_size` argument instead of `num_returns`.")
    pending = list(refs)
    while pending:
        ready, pending = _wait(pending, chunk_size, **kwargs)
        yield from ready if yield_obj_refs else _core.get(ready)


def _wait(
    refs: list[Any], count: int, timeout: float | None = None, fetch_local: bool = True
) -> tuple[list[Any], list[Any]]:
    """Those that are ready, at most `count`, of which one is waited for, and the others."""
    ready, rest = _core.wait(refs, 1, timeout, fetch_local)
    if ready and rest and count > 1:
        more, rest = _core.wait(rest, min(count - 1, len(rest)), 0, fetch_local)
        ready += more
    return ready, rest


def map_unordered(
    fn: Any,
    items: Iterable[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
    **kwargs: Any,
) -> Iterator[Any]:
    """Runs a remote function on each item and yields the values as they become ready; at most
    `backpressure_size` tasks are under way."""
    if backpressure_size is not None and backpressure_size <= 0:
        raise ValueError("backpressure_size must be positive.")
    pending: list[Any] = []
    for item in items:
        while backpressure_size is not None and len(pending) >= backpressure_size:
            ready, pending = _wait(pending, chunk_size, **kwargs)
            yield from ready if yield_obj_refs else _core.get(ready)
        pending.append(fn.remote(item))
    yield from as_completed(pending, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs, **kwargs)


def __getattr__(name: str) -> Any:
    import importlib

    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _MODULES:
        try:
            return importlib.import_module(f"mobula.util.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"mobula.util.{name}":
                raise
            raise AttributeError(f"mobula.util.{name} is not available yet") from None
    raise AttributeError(f"module 'mobula.util' has no attribute {name!r}")
