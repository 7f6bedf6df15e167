"""Where tasks and actors are to run: strategy objects for the option `scheduling_strategy`."""

from __future__ import annotations

from typing import Any

from mobula import _core


class PlacementGroupSchedulingStrategy:
    """Run in a bundle of a placement group; -1 is any bundle."""

    def __init__(
        self,
        placement_group: Any,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        self.placement_group = placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    def _spec_fields(self) -> dict[str, Any]:
        raise NotImplementedError("placement groups are not available yet")


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

    def _spec_fields(self) -> dict[str, Any]:
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

    def _spec_fields(self) -> dict[str, Any]:
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
