"""Where tasks and actors are to run: strategy objects for the option `scheduling_strategy`."""

from __future__ import annotations

from typing import Any

from mobula import _core


class PlacementGroupSchedulingStrategy:
    """Run in a bundle of a placement group; bundle -1 is whichever has room. Children run in the group too
    if it captures them; None does as the parent."""

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    def _spec_fields(self, need: dict[str, float]) -> dict[str, Any]:
        from mobula.util.placement_group import PlacementGroup

        group, index = self.placement_group, self.placement_group_bundle_index
        captures = self.placement_group_capture_child_tasks
        fields: dict[str, Any] = {} if captures is None else {"captures": bool(captures)}
        if group is None or (isinstance(group, PlacementGroup) and group.is_empty):
            if index != -1:
                raise ValueError(f"placement_group_bundle_index={index} needs a placement group")
            return {"outside": True, **fields}
        if not isinstance(group, PlacementGroup):
            raise TypeError(f"placement_group must be a PlacementGroup or None, not {group!r}")
        bundles = group.bundle_specs
        if isinstance(index, bool) or not isinstance(index, int) or not -1 <= index < len(bundles):
            raise ValueError(
                f"placement_group_bundle_index {index!r} is invalid: the bundles of placement group "
                f"{group.id.hex()} are 0 to {len(bundles) - 1}, and -1 is any of them"
            )
        meant = bundles if index == -1 else [bundles[index]]
        if not any(_covers(bundle, need) for bundle in meant):
            raise ValueError(
                f"a request of {need} does not fit into {'any bundle' if index == -1 else f'bundle {index}'} "
                f"of placement group {group.id.hex()}, which has {bundles}; ask for less, or make larger "
                "bundles"
            )
        return {"placement_group": group.id.number(), "bundle": index, **fields}


def _covers(bundle: dict[str, float], need: dict[str, float]) -> bool:
    return all(amount <= bundle.get(name, 0) + 1e-9 for name, amount in need.items())


class NodeAffinitySchedulingStrategy:
    """Run on the node with this id; `soft`: elsewhere if it is gone."""

    def __init__(
        self,
        node_id: str,
        soft: bool,
        _spill_on_unavailable: bool = False,
        _fail_on_unavailable: bool = False,
    ) -> None:
        if not isinstance(node_id, str):
            node_id = node_id.hex()
        self.node_id, self.soft = node_id, soft
        self._spill_on_unavailable, self._fail_on_unavailable = _spill_on_unavailable, _fail_on_unavailable

    def _spec_fields(self, need: dict[str, float]) -> dict[str, Any]:
        return {"node": self.node_id, "soft": self.soft}


class _Match:
    def __init__(self, *values: str) -> None:
        if not all(isinstance(value, str) for value in values):
            raise ValueError(f"{type(self).__name__} takes strings, not {values!r}")
        self.values = list(values)


class In(_Match):
    """The label is one of the values."""


class NotIn(_Match):
    """The label is none of the values."""


class Exists:
    """There is such a label."""


class DoesNotExist:
    """There is no such label."""


class NodeLabelSchedulingStrategy:
    """Run on a node with these labels: `hard` ones it must have, `soft` ones it had better have."""

    def __init__(self, hard: dict[str, Any] | None = None, *, soft: dict[str, Any] | None = None) -> None:
        self.hard, self.soft = hard or {}, soft or {}

    def _spec_fields(self, need: dict[str, float]) -> dict[str, Any]:
        nodes = [
            node for node in _core.cluster() if all(_fits(node["labels"], *one) for one in self.hard.items())
        ]
        if not nodes:
            return {"node": "0" * 56, "soft": False}
        nodes.sort(key=lambda node: -sum(_fits(node["labels"], *one) for one in self.soft.items()))
        return {"node": nodes[0]["id"], "soft": not self.hard}


def _fits(labels: dict[str, str], key: str, wanted: Any) -> bool:
    if isinstance(wanted, In):
        return labels.get(key) in wanted.values
    if isinstance(wanted, NotIn):
        return labels.get(key) not in wanted.values
    return (key in labels) == isinstance(wanted, Exists)


def node_matches(labels: dict[str, str], selector: dict[str, str]) -> bool:
    """Whether labels fit a label_selector: "a", "!a", "in(a,b)", "!in(a,b)"."""
    for key, text in selector.items():
        negated = text.startswith("!")
        text = text.removeprefix("!")
        values = text[3:-1].split(",") if text.startswith("in(") and text.endswith(")") else [text]
        if (labels.get(key) in [value.strip() for value in values]) == negated:
            return False
    return True
