"""The options that transforms, readers and writers share: resources, concurrency, and names that are refused.

Tests: tests/python/test_data_plan.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mobula.data.compute import ComputeStrategy, compute_strategy
from mobula.data.plan.logical import RemoteOptions

_REMOTE = {
    "num_cpus",
    "num_gpus",
    "memory",
    "resources",
    "runtime_env",
    "scheduling_strategy",
    "max_retries",
    "retry_exceptions",
    "max_restarts",
    "max_task_retries",
    "max_concurrency",
    "accelerator_type",
    "label_selector",
    "fallback_strategy",
    "max_calls",
    "name",
    "_labels",
    "enable_task_events",
}
_KEPT = ("runtime_env", "max_concurrency", "accelerator_type", "label_selector")


def remote_options(
    what: str,
    num_cpus: float | None = None,
    num_gpus: float | None = None,
    memory: float | None = None,
    resources: Mapping[str, float] | None = None,
    ray_remote_args_fn: Any = None,
    ray_remote_args: Mapping[str, Any] | None = None,
) -> RemoteOptions:
    """The options as one value; `ray_remote_args` are the remaining keywords of the call."""
    if ray_remote_args_fn is not None:
        raise NotImplementedError(f"{what}: ray_remote_args_fn is not supported; pass the options themselves")
    given = dict(ray_remote_args or {})
    unknown = sorted(set(given) - _REMOTE)
    if unknown:
        raise TypeError(f"{what}() got an unexpected keyword argument {unknown[0]!r}")
    strategy = given.get("scheduling_strategy")
    if strategy not in (None, "DEFAULT", "SPREAD"):
        raise NotImplementedError(f"{what}: scheduling_strategy={strategy!r} is not supported for datasets")
    amounts = {
        "num_cpus": given.get("num_cpus") if num_cpus is None else num_cpus,
        "num_gpus": given.get("num_gpus") if num_gpus is None else num_gpus,
        "memory": given.get("memory") if memory is None else memory,
    }
    for name, amount in amounts.items():
        if amount is not None and (not isinstance(amount, (int, float)) or amount < 0):
            raise ValueError(f"{what}: {name}={amount!r}; give a number of at least 0")
    named = {**(given.get("resources") or {}), **(resources or {})}
    others = tuple((name, given[name]) for name in _KEPT if given.get(name) is not None)
    return RemoteOptions(**amounts, resources=tuple(sorted(named.items())), others=others)


_TAKEN = {
    "fn_args": "fn_args",
    "fn_kwargs": "fn_kwargs",
    "fn_constructor_args": "constructor_args",
    "fn_constructor_kwargs": "constructor_kwargs",
}


def transform_options(
    what: str, fn: Any, options: dict[str, Any]
) -> tuple[dict[str, Any], ComputeStrategy, RemoteOptions]:
    """(the function's arguments, where it runs, what it holds) of a transform's options."""
    left = dict(options)
    taken = {target: left.pop(name) for name, target in _TAKEN.items() if left.get(name) is not None}
    for name in _TAKEN:
        left.pop(name, None)
    compute = compute_strategy(fn, left.pop("compute", None), left.pop("concurrency", None))
    named = {
        key: left.pop(key, None)
        for key in ("num_cpus", "num_gpus", "memory", "resources", "ray_remote_args_fn")
    }
    return taken, compute, remote_options(what, **named, ray_remote_args=left)


def column_names(cols: str | Iterable[str], what: str) -> list[str]:
    names = [cols] if isinstance(cols, str) else list(cols)
    if any(not isinstance(name, str) for name in names):
        raise ValueError(f"{what}: column names are strings, got {names!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{what}: a column is named twice in {names}")
    return names
