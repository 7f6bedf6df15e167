"""The options of tasks and actors: which there are, what values they take, and what they become in a spec."""

from __future__ import annotations

from mobula import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Check = Callable[[str, Any], None]
    Options = dict[str, Any]

_NONE = type(None)


class Option:
    """One option: its types, a check of its value, and its default."""

    def __init__(self, types: tuple[type, ...], check: Check | None = None, default: Any = None) -> None:
        self.types, self.check, self.default = types, check, default

    def validate(self, name: str, value: Any) -> None:
        """Raises TypeError or ValueError, naming the option."""
        if not isinstance(value, self.types) or (isinstance(value, bool) and bool not in self.types):
            expected = ", ".join("None" if kind is _NONE else kind.__name__ for kind in self.types)
            raise TypeError(
                f"option {name!r} must be of type {expected}, not {type(value).__name__}: {value!r}"
            )
        if self.check is not None and value is not None:
            self.check(name, value)


def _at_least(least: float) -> Check:
    def check(name: str, value: Any) -> None:
        if value < least:
            raise ValueError(f"option {name!r} must be at least {least}, not {value}")

    return check


def _quantity(name: str, value: float) -> None:
    if value < 0:
        raise ValueError(f"the quantity of resource {name!r} cannot be negative: {value}")
    if abs(round(value * 10_000) - value * 10_000) > 1e-6:
        raise ValueError(f"the quantity of resource {name!r} cannot be finer than 0.0001: {value}")


def _gpus(name: str, value: float) -> None:
    _quantity(name, value)
    if value > 1 and value != int(value):
        raise ValueError(f"{name} must be a whole number when it is above 1: {value}")


# Resources that have whole instances: above 1 they come in whole numbers only.
_INSTANCES = {"GPU", "TPU", "NPU", "HPU", "neuron_cores", "RBLN", "FURIOSA", "TTNPU", "MBLT"}


def _resources(name: str, value: dict[str, float]) -> None:
    for key, amount in value.items():
        if not isinstance(key, str) or not key:
            raise TypeError(f"the names in {name!r} are non-empty strings, not {key!r}")
        if key in ("CPU", "GPU"):
            raise ValueError(f"use num_{key.lower()}s instead of {key!r} in 'resources'")
        if key in ("memory", "object_store_memory"):
            raise ValueError(f"use the option {key!r} instead of a resource of that name in 'resources'")
        if isinstance(amount, bool) or not isinstance(amount, (int, float)):
            raise TypeError(f"the amount of resource {key!r} must be a number, not {amount!r}")
        (_gpus if key in _INSTANCES else _quantity)(key, amount)


def _returns(name: str, value: int | str) -> None:
    if value in ("streaming", "dynamic") or (isinstance(value, int) and value >= 0):
        return
    raise ValueError(f"option {name!r} must be an int >= 0, 'streaming', 'dynamic' or None, not {value!r}")


def _retry_exceptions(name: str, value: Any) -> None:
    if isinstance(value, bool):
        return
    for kind in value:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise TypeError(
                f"option {name!r} must be a bool or a list of exception classes; {kind!r} is none"
            )


def _lifetime(name: str, value: str) -> None:
    if value not in ("detached", "non_detached"):
        raise ValueError(f"option {name!r} must be 'detached', 'non_detached' or None, not {value!r}")


def _not_for_tasks(name: str, value: Any) -> None:
    raise ValueError(f"option {name!r} is not implemented for tasks")


def _backpressure(name: str, value: int) -> None:
    if value == 0 or value < -1:
        raise ValueError(f"option {name!r} must be -1 (no limit) or at least 1, not {value}")


def _name(name: str, value: str) -> None:
    if not value:
        raise ValueError(f"option {name!r} must not be empty")


def _label_selector(name: str, value: dict[str, str]) -> None:
    for key, wanted in value.items():
        if not isinstance(key, str) or not isinstance(wanted, str):
            raise TypeError(f"option {name!r} maps label names to values, both strings: {key!r}: {wanted!r}")


def _groups(name: str, value: Any) -> None:
    pairs = (
        value.items()
        if isinstance(value, dict)
        else [(g.get("name"), g.get("max_concurrency")) for g in value]
    )
    for group, limit in pairs:
        if not isinstance(group, str) or not group or "," in group or "=" in group:
            raise ValueError(f"concurrency groups have names without ',' and '=', not {group!r}")
        if not isinstance(limit, int) or limit < 1:
            raise ValueError(f"concurrency group {group!r} must have a limit of at least 1, not {limit!r}")


_NUMBER = (int, float, _NONE)
_NO_NODE = "0" * 56
_COMMON: dict[str, Option] = {
    "accelerator_type": Option((str, _NONE)),
    "memory": Option(_NUMBER, _quantity),
    "name": Option((str, _NONE)),
    "num_cpus": Option(_NUMBER, _quantity),
    "num_gpus": Option(_NUMBER, _gpus),
    "resources": Option((dict, _NONE), _resources),
    "runtime_env": Option((dict, _NONE)),
    "scheduling_strategy": Option((object,)),
    "label_selector": Option((dict, _NONE), _label_selector),
    "fallback_strategy": Option((list, _NONE)),
    "enable_task_events": Option((bool,), default=True),
    "placement_group": Option((object,), default="default"),
    "placement_group_bundle_index": Option((int,), default=-1),
    "placement_group_capture_child_tasks": Option((bool, _NONE)),
    "_metadata": Option((dict, _NONE)),
    "_labels": Option((dict, _NONE), _label_selector),
}

TASK_OPTIONS: dict[str, Option] = {
    **_COMMON,
    "max_calls": Option((int,), _at_least(0), 0),
    "max_retries": Option((int, _NONE), _at_least(-1), 3),
    "num_returns": Option((int, str, _NONE), _returns),
    "object_store_memory": Option((int, _NONE), _not_for_tasks),
    "retry_exceptions": Option((bool, list, tuple), _retry_exceptions, False),
    "_generator_backpressure_num_objects": Option((int, _NONE), _backpressure, -1),
}

ACTOR_OPTIONS: dict[str, Option] = {
    **_COMMON,
    "name": Option((str, _NONE), _name),
    "object_store_memory": Option((int, _NONE), _at_least(0)),
    "concurrency_groups": Option((list, dict, _NONE), _groups),
    "enable_tensor_transport": Option((bool, _NONE)),
    "lifetime": Option((str, _NONE), _lifetime),
    "max_concurrency": Option((int, _NONE), _at_least(1)),
    "max_restarts": Option((int, _NONE), _at_least(-1), 0),
    "max_task_retries": Option((int, _NONE), _at_least(-1), 0),
    "max_pending_calls": Option((int, _NONE), _at_least(-1), -1),
    "namespace": Option((str, _NONE), _name),
    "get_if_exists": Option((bool,), default=False),
    "allow_out_of_order_execution": Option((bool, _NONE)),
    "_actor_generator_backpressure_num_objects": Option((int, _NONE), _backpressure),
}

METHOD_OPTIONS: dict[str, Option] = {
    "num_returns": Option((int, str, _NONE), _returns),
    "name": Option((str, _NONE)),
    "concurrency_group": Option((str, _NONE)),
    "max_task_retries": Option((int, _NONE), _at_least(-1)),
    "retry_exceptions": Option((bool, list, tuple), _retry_exceptions, False),
    "enable_task_events": Option((bool,), default=True),
    "tensor_transport": Option((str, _NONE)),
    "_generator_backpressure_num_objects": Option((int, _NONE), _backpressure, -1),
    "_metadata": Option((dict, _NONE)),
}


def validate(table: dict[str, Option], options: Options, what: str) -> None:
    """Raises ValueError for an unknown option, naming it and its neighbours; TypeError or ValueError for a
    bad value."""
    for name, value in options.items():
        option = table.get(name)
        if option is None:
            import difflib

            near = difflib.get_close_matches(name, table, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown option {name!r} for {what}.{hint} Known: {', '.join(sorted(table))}")
        option.validate(name, value)
    group = options.get("placement_group", "default")
    if options.get("scheduling_strategy") is not None and group is not None and group != "default":
        raise ValueError(
            "options 'scheduling_strategy' and 'placement_group' exclude each other: use "
            "scheduling_strategy=PlacementGroupSchedulingStrategy(group)"
        )


def amounts(options: Options, default_cpus: float) -> dict[str, float]:
    """What a task or actor needs, by resource name; zeros left out."""
    wanted: dict[str, float] = dict(options.get("resources") or {})
    cpus = options.get("num_cpus")
    wanted["CPU"] = default_cpus if cpus is None else cpus
    for name, resource in (
        ("num_gpus", "GPU"),
        ("memory", "memory"),
        ("object_store_memory", "object_store_memory"),
    ):
        if options.get(name):
            wanted[resource] = options[name]
    if options.get("accelerator_type"):
        wanted[f"accelerator_type:{options['accelerator_type']}"] = 0.001
    return {name: amount for name, amount in wanted.items() if amount}


def pack_exceptions(kinds: Any) -> bytes:
    """The classes of retry_exceptions, pickled; empty for True and False."""
    return b"" if isinstance(kinds, bool) or kinds is None else _core.encode(tuple(kinds))


def placement(options: Options, need: dict[str, float]) -> Options:
    """The fields of a spec for scheduling_strategy, label_selector and placement_group. `need`: what has to
    fit into a bundle."""
    strategy = options.get("scheduling_strategy")
    if options.get("label_selector") or options.get("fallback_strategy"):
        labelled = _by_label(options)
        group = getattr(strategy, "placement_group", options.get("placement_group", "default"))
        if labelled["node"] == _NO_NODE or group is None or group == "default":
            return labelled
    if strategy is None:
        return _by_group(options, need)
    if strategy == "DEFAULT":
        return {"outside": True}
    if strategy == "SPREAD":
        return {"spread": True}
    if isinstance(strategy, str):
        raise ValueError(
            f"scheduling_strategy must be 'DEFAULT', 'SPREAD' or a strategy object, not {strategy!r}"
        )
    fields = getattr(strategy, "_spec_fields", None)
    if fields is None:
        raise TypeError(f"scheduling_strategy must be a string or a strategy object, not {strategy!r}")
    return fields(need)  # type: ignore[no-any-return]


def _by_group(options: Options, need: dict[str, float]) -> Options:
    """By the option placement_group; without it the group of the parent, if that captures its children."""
    group = options.get("placement_group", "default")
    index = options.get("placement_group_bundle_index", -1)
    captures = options.get("placement_group_capture_child_tasks")
    if not isinstance(group, str):
        from mobula.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        return PlacementGroupSchedulingStrategy(group, index, captures)._spec_fields(need)
    if group != "default":
        raise ValueError(
            f"option 'placement_group' must be a PlacementGroup, 'default' or None, not {group!r}"
        )
    if index != -1:
        raise ValueError(f"option 'placement_group_bundle_index'={index} needs a 'placement_group'")
    return {} if captures is None else {"captures": captures}


def _by_label(options: Options) -> Options:
    """Labels on one node: it fits or nothing does."""
    from mobula.util.scheduling_strategies import node_matches

    wanted = [options.get("label_selector") or {}]
    wanted += [one.get("label_selector") or {} for one in options.get("fallback_strategy") or []]
    for selector in wanted:
        for node in _core.cluster():
            if node_matches(node["labels"], selector):
                return {"node": node["id"], "soft": False}
    return {"node": _NO_NODE, "soft": False}


def streaming(num_returns: Any, generates: bool) -> int:
    """The `returns` of a spec."""
    if num_returns is None:
        return -1 if generates else 1
    if num_returns == "streaming":
        return -1
    return 1 if num_returns == "dynamic" else int(num_returns)
