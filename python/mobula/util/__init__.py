"""Utilities on top of tasks and actors."""

from __future__ import annotations

from mobula import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from mobula.util.actor_pool import ActorPool as ActorPool
    from mobula.util.check_serialize import inspect_serializability as inspect_serializability

__all__ = [
    "ActorPool", "as_completed", "deregister_serializer", "get_current_placement_group",
    "get_node_ip_address", "inspect_serializability", "list_named_actors", "map_unordered",
    "register_serializer",
]  # fmt: skip

_LAZY = {
    "ActorPool": "mobula.util.actor_pool",
    "inspect_serializability": "mobula.util.check_serialize",
}
_MODULES = {
    "actor_pool", "check_serialize", "collective", "metrics", "multiprocessing", "placement_group", "queue",
    "scheduling_strategies", "serialization", "state",
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


def get_node_ip_address() -> str:
    """The address of this machine: the engine listens nowhere, so it is the machine's own."""
    return "127.0.0.1"


def get_current_placement_group() -> None:
    """The placement group that the task runs in. There are none yet."""
    return


def as_completed(refs: list[Any], *, chunk_size: int = 10, yield_obj_refs: bool = False) -> Iterator[Any]:
    """Yields the values (or the references) in the order in which they become ready."""
    pending = list(refs)
    while pending:
        ready, pending = _core.wait(
            pending, min(chunk_size, len(pending)) if chunk_size == 1 else 1, None, True
        )
        yield from ready if yield_obj_refs else _core.get(ready)


def map_unordered(
    function: Any,
    items: list[Any],
    *,
    backpressure_size: int | None = 100,
    chunk_size: int = 10,
    yield_obj_refs: bool = False,
) -> Iterator[Any]:
    """Runs a remote function on each item and yields the values as they become ready; so many run ahead at
    most."""
    limit = backpressure_size or len(items)
    pending: list[Any] = []
    for item in items:
        if len(pending) >= limit:
            ready, pending = _core.wait(pending, 1, None, True)
            yield from ready if yield_obj_refs else _core.get(ready)
        pending.append(function.remote(item))
    yield from as_completed(pending, chunk_size=chunk_size, yield_obj_refs=yield_obj_refs)


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
