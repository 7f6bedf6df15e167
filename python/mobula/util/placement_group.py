"""Placement groups: bundles of resources, reserved together or not at all, for tasks and actors to run in.

>>> group = mobula.util.placement_group([{"CPU": 1}])
>>> group.wait(10)
True
>>> mobula.util.placement_group.remove_placement_group(group)
"""

from __future__ import annotations

import sys
from types import ModuleType

from mobula import _core
from mobula._ids import PlacementGroupID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Bundles = list[dict[str, float]]

__all__ = [
    "PlacementGroup", "get_current_placement_group", "get_placement_group", "placement_group",
    "placement_group_table", "remove_placement_group",
]  # fmt: skip

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
VALID_PLACEMENT_GROUP_STRATEGIES = set(STRATEGIES)
_STATES = ("PENDING", "CREATED", "REMOVED")
_NO_NODE = "0" * 56


class PlacementGroup:
    """A placement group, by its id. Handles are not counted: it lives until it is removed, or the driver
    ends."""

    def __init__(self, id: PlacementGroupID, bundle_cache: Bundles | None = None) -> None:
        self.id = id
        self.bundle_cache = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        """The group that means none."""
        return PlacementGroup(PlacementGroupID.nil())

    @property
    def is_empty(self) -> bool:
        """True for the group that means none."""
        return self.id.is_nil()

    def ready(self) -> _core.ObjectRef[PlacementGroup]:
        """A reference that becomes the group itself once its bundles are reserved. get() of it raises
        TaskPlacementGroupRemoved when the group is removed before."""
        return _core.watch_group(self.id.number(), _core.encode(self))

    def wait(self, timeout_seconds: float | None = 30) -> bool:
        """Whether the bundles are reserved within so many seconds; TaskPlacementGroupRemoved when the group
        is removed."""
        return _core.wait_group(self.id.number(), timeout_seconds)

    @property
    def bundle_specs(self) -> Bundles:
        """The bundles, as amounts by resource name."""
        if self.is_empty:
            return []
        if self.bundle_cache is None:
            found = next((one for one in _core.groups() if one["number"] == self.id.number()), None)
            if found is None:
                raise ValueError(f"placement group {self.id.hex()} is not known: it was removed long ago")
            self.bundle_cache = found["bundles"]
        return self.bundle_cache

    @property
    def bundle_count(self) -> int:
        """How many bundles there are."""
        return len(self.bundle_specs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return PlacementGroup, (self.id, self.bundle_cache)


def placement_group(
    bundles: Bundles,
    strategy: str | None = None,
    name: str = "",
    lifetime: str | None = None,
    _soft_target_node_id: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: dict[str, str] | None = None,
) -> PlacementGroup:
    """Asks for bundles of resources, and returns at once; ready() and wait() tell when all are reserved.

    Args:
        bundles: amounts by resource name, one dict for each bundle: [{"CPU": 1}, {"CPU": 2, "GPU": 1}].
        strategy: "PACK" (the default; on as few nodes as possible), "SPREAD" (on as many as possible),
            "STRICT_PACK" (all on one), "STRICT_SPREAD" (each on another: more bundles than nodes never fit).
        name: for get_placement_group(); unique in the namespace.
        lifetime: "detached" outlives the detached actor that makes it; otherwise it ends with its creator.
        bundle_label_selector: for each bundle the labels that its node must have.
        topology_strategy: {label: strategy}, in place of `strategy`: goes by the values of a label.

    Raises ValueError for bundles, strategies and names that make no sense. A group that can never be placed
    is only warned of: it waits.
    """
    from mobula import _driver

    strategy = _strategy(strategy, topology_strategy)
    _check_bundles(bundles)
    if lifetime not in (None, "detached"):
        raise ValueError(f"lifetime of a placement group must be None or 'detached', not {lifetime!r}")
    if name is not None and not isinstance(name, str):
        raise ValueError(f"name of a placement group must be a string, not {name!r}")
    if _soft_target_node_id is not None and strategy != "STRICT_PACK":
        raise ValueError(f"_soft_target_node_id is for strategy STRICT_PACK alone, not for {strategy}")
    _driver.ensure()
    nodes = _nodes_for(bundles, bundle_label_selector) if bundle_label_selector else []
    number, feasible = _core.create_group(
        bundles, nodes, STRATEGIES.index(strategy), name or "", _driver.namespace(), lifetime == "detached"
    )
    group = PlacementGroup(PlacementGroupID.from_number(number), [dict(bundle) for bundle in bundles])
    if not feasible:
        _warn(group, strategy, name)
    return group


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Frees the bundles at once. Tasks in the group fail with TaskPlacementGroupRemoved, actors die; a group
    that is gone already is no error."""
    if not isinstance(placement_group, PlacementGroup):
        raise ValueError(f"remove_placement_group() takes a PlacementGroup, not {placement_group!r}")
    _core.remove_group(placement_group.id.number())


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """The living group of that name in this namespace; ValueError if there is none."""
    from mobula import _driver

    if not placement_group_name or not isinstance(placement_group_name, str):
        raise ValueError(f"get_placement_group() takes a name, not {placement_group_name!r}")
    _driver.ensure()
    for one in _core.groups():
        named = (one["name"], one["namespace"]) == (placement_group_name, _driver.namespace())
        if named and _STATES[one["state"]] != "REMOVED":
            return PlacementGroup(PlacementGroupID.from_number(one["number"]), one["bundles"])
    raise ValueError(
        f"no placement group is called {placement_group_name!r} in namespace {_driver.namespace()!r}; was it "
        "created with name=, in this namespace, and not removed?"
    )


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """What is known of a group: name, bundles, strategy, state ("PENDING", "CREATED", "REMOVED"), nodes;
    without a group, of all by their ids. An unknown group gives an empty dict."""
    from mobula import _driver

    _driver.ensure()
    rows = {one["number"]: _row(one) for one in _core.groups()}
    if placement_group is not None:
        return rows.get(placement_group.id.number(), {})
    return {row["placement_group_id"]: row for row in rows.values()}


def get_current_placement_group() -> PlacementGroup | None:
    """The group that the running task or actor is in; None outside of groups."""
    from mobula.runtime_context import get_runtime_context

    digits = get_runtime_context().get_placement_group_id() if _core.is_open() else None
    return PlacementGroup(PlacementGroupID.from_hex(digits)) if digits else None


def _row(one: dict[str, Any]) -> dict[str, Any]:
    state = _STATES[one["state"]]
    waits = "NO_RESOURCES" if one["feasible"] else "INFEASIBLE"
    nodes = one["nodes"] or [""] * len(one["bundles"])
    return {
        "placement_group_id": PlacementGroupID.from_number(one["number"]).hex(),
        "name": one["name"],
        "bundles": dict(enumerate(one["bundles"])),
        "bundles_to_node_id": dict(enumerate(nodes)),
        "strategy": STRATEGIES[one["strategy"]],
        "state": state,
        "stats": {"scheduling_state": {"PENDING": waits, "CREATED": "FINISHED", "REMOVED": "REMOVED"}[state]},
    }


def _strategy(strategy: str | None, topology: dict[str, str] | None) -> str:
    """On one machine a label has one value for each node, so that spreading over its values is spreading over
    nodes."""
    if topology is not None:
        if strategy is not None:
            raise ValueError("topology_strategy takes the place of strategy: give one of them")
        if (
            not isinstance(topology, dict)
            or len(topology) != 1
            or not all(isinstance(key, str) for key in topology)
        ):
            raise ValueError(
                f"topology_strategy must be a dict of one label and its strategy, not {topology!r}"
            )
        (strategy,) = topology.values()
    strategy = "PACK" if strategy is None else strategy
    if strategy not in STRATEGIES:
        raise ValueError(
            f"strategy of a placement group must be one of {', '.join(STRATEGIES)}, not {strategy!r}"
        )
    return strategy


def _check_bundles(bundles: object) -> None:
    example = 'such as [{"CPU": 1}, {"CPU": 1, "GPU": 1}]'
    if not isinstance(bundles, list):
        raise ValueError(
            f"bundles must be a list of dicts, {example}, not {type(bundles).__name__}: {bundles!r}"
        )
    if not bundles:
        raise ValueError(f"bundles must have at least one bundle, {example}")
    for number, bundle in enumerate(bundles):
        if not isinstance(bundle, dict):
            raise ValueError(f"bundle {number} must be a dict of amounts by resource name, not {bundle!r}")
        for name, amount in bundle.items():
            if not isinstance(name, str) or not name:
                raise ValueError(f"bundle {number}: resource names are non-empty strings, not {name!r}")
            if isinstance(amount, bool) or not isinstance(amount, (int, float)):
                raise ValueError(f"bundle {number}: the amount of {name!r} must be a number, not {amount!r}")
            if not 0 <= amount < 2**49:
                raise ValueError(
                    f"bundle {number}: the amount of {name!r} cannot be {amount}; it is 0 at least"
                )
        if not any(bundle.values()):
            raise ValueError(f"bundle {number} asks for nothing: {bundle!r}; give it an amount above 0")


def _nodes_for(bundles: Bundles, selectors: object) -> list[str]:
    """For each bundle the node that has its labels; one that is not there when none has."""
    from mobula.util.scheduling_strategies import node_matches

    if not isinstance(selectors, list) or len(selectors) != len(bundles):
        raise ValueError(f"bundle_label_selector must be a list of {len(bundles)} dicts, one for each bundle")
    chosen = []
    for number, selector in enumerate(selectors):
        fine = isinstance(selector, dict) and all(
            isinstance(key, str) and isinstance(value, str) for key, value in selector.items()
        )
        if not fine:
            raise ValueError(f"bundle_label_selector[{number}] must map labels to values, not {selector!r}")
        fitting = [node["id"] for node in _core.cluster() if node_matches(node["labels"], selector)]
        chosen.append("" if not selector else fitting[0] if fitting else _NO_NODE)
    return chosen


def _warn(group: PlacementGroup, strategy: str, name: str | None) -> None:
    import warnings

    names = {name for bundle in group.bundle_specs for name in bundle}
    nodes = [{name: node["total"].get(name, 0.0) for name in sorted(names)} for node in _core.cluster()]
    warnings.warn(
        f"placement group {name or group.id.hex()} can never be placed by {strategy}: its bundles are "
        f"{group.bundle_specs}, the nodes have {nodes}. It waits until it is removed; ask for less, or start "
        "the engine with more",
        stacklevel=3,
    )


class _CallableModule(ModuleType):
    """In Ray `ray.util.placement_group` is the function or the module of that name, whichever was imported
    last; here the module can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> PlacementGroup:
        return placement_group(*args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        import importlib

        return importlib.import_module, (self.__name__,)


sys.modules[__name__].__class__ = _CallableModule
