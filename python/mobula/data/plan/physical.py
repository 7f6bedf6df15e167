"""Physical operators: the logical plan lowered to what the executor runs, with stages fused into fragments.

Tests: tests/python/test_data_plan.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mobula.data.compute import ActorPoolStrategy, ComputeStrategy, TaskPoolStrategy
from mobula.data.context import DataContext
from mobula.data.fragment import Fragment
from mobula.data.op.columns import FilterExpression, Project, WithColumns
from mobula.data.op.stage import MapBatches, Stage, TakeRows
from mobula.data.plan.logical import (
    Apply,
    BlockHandle,
    Blocks,
    Limit,
    Node,
    Read,
    RemoteOptions,
    Tables,
    Union,
    optimized,
)
from mobula.data.sink.sink import WriteStage
from mobula.data.source.source import ReadStage, ReadTask

CALLS_PER_ACTOR = 2


@dataclass
class PhysicalOp:
    """One operator: an input of read tasks or blocks, a map of stages, a limit, or a union."""

    kind: str
    upstream: list[int] = field(default_factory=list)
    reads: list[ReadTask] = field(default_factory=list)
    blocks: list[BlockHandle] = field(default_factory=list)
    tables: Tables | None = None
    stages: list[Stage] = field(default_factory=list)
    compute: ComputeStrategy = field(default_factory=TaskPoolStrategy)
    remote: RemoteOptions = field(default_factory=RemoteOptions)
    rows_limit: int = 0
    rows_per_bundle: int = 0
    is_cheap: bool = False  # only generates rows, so it may run in actors too
    logical: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """As stats and errors show it."""
        if self.kind == "map":
            return "->".join(stage.name for stage in self.stages)
        return self.logical[0] if self.logical else self.kind.capitalize()

    def fragment(self, context: DataContext, bytes_max: int, emits: str) -> Fragment:
        """What its tasks run; they give blocks of up to `bytes_max`."""
        return Fragment(
            self.stages,
            bytes_max=bytes_max,
            bytes_min=context.target_min_block_size,
            emits=emits,
            tolerant=context.max_errored_blocks != 0,
        )

    def description(self) -> dict[str, Any]:
        """The operator for the executor."""
        out: dict[str, Any] = {"name": self.name, "kind": self.kind, "upstream": self.upstream}
        out["rows_limit"] = self.rows_limit
        if self.kind != "map":
            return out
        out["rows_per_bundle"] = self.rows_per_bundle
        out["resources"] = self.remote.amounts()
        if isinstance(self.compute, ActorPoolStrategy):
            out["actors_min"] = self.compute.min_size
            out["actors_max"] = -1 if self.compute.max_size is None else self.compute.max_size
            out["actors_initial"] = self.compute.initial_size
            out["calls_per_actor_max"] = self.compute.max_tasks_in_flight_per_actor or CALLS_PER_ACTOR
        elif isinstance(self.compute, TaskPoolStrategy):
            out["tasks_max"] = self.compute.size or 0
        return out


def lower(node: Node, context: DataContext) -> list[PhysicalOp]:
    """The operators for a plan, in an order in which each comes after those that feed it."""
    ops: list[PhysicalOp] = []
    _lower(optimized(node), context, ops)
    return ops


def _lower(node: Node, context: DataContext, ops: list[PhysicalOp]) -> int:
    if isinstance(node, Read):
        return _lower_read(node, context, ops)
    if isinstance(node, Tables):
        return _add(ops, PhysicalOp("input", tables=node, logical=[node.name]))
    if isinstance(node, Blocks):
        return _add(ops, PhysicalOp("input", blocks=list(node.blocks), logical=[node.name]))
    below = [_lower(one, context, ops) for one in node.inputs]
    if isinstance(node, Limit):
        return _add(ops, PhysicalOp("limit", below, rows_limit=node.rows, logical=[node.name]))
    if isinstance(node, Union):
        return _add(ops, PhysicalOp("union", below, logical=[node.name]))
    if isinstance(node, Apply):
        return _lower_apply(node, below[0], ops)
    raise NotImplementedError(f"{node.name} cannot be run yet")


def _add(ops: list[PhysicalOp], op: PhysicalOp) -> int:
    ops.append(op)
    return len(ops) - 1


def _lower_read(node: Read, context: DataContext, ops: list[PhysicalOp]) -> int:
    tasks = node.source.tasks(node.parallelism, context)
    source = _add(ops, PhysicalOp("input", reads=tasks, logical=[node.name]))
    stage = ReadStage(node.source.name, node.source.reader())
    return _add(
        ops, PhysicalOp("map", [source], stages=[stage], compute=node.compute, remote=node.remote,
                        is_cheap=node.source.is_cheap, logical=[node.name])
    )  # fmt: skip


def _lower_apply(node: Apply, below: int, ops: list[PhysicalOp]) -> int:
    op = ops[below]
    bundle = node.rows_per_bundle
    if isinstance(node.stage, MapBatches):
        bundle = max(bundle, node.stage.batch_size or 0)
    if op.kind == "map" and _may_fuse(op, node):
        if isinstance(node.compute, ActorPoolStrategy) or op.is_cheap:
            op.remote = node.remote
        op.compute = _joined(op.compute, node.compute)
        op.stages.append(node.stage)
        op.logical.append(node.name)
        op.is_cheap = op.is_cheap and not isinstance(node.stage, MapBatches) and node.stage.keeps_row_count
        return below
    return _add(
        ops, PhysicalOp("map", [below], stages=[node.stage], compute=node.compute, remote=node.remote,
                        rows_per_bundle=bundle, logical=[node.name])
    )  # fmt: skip


def _may_fuse(op: PhysicalOp, node: Apply) -> bool:
    """One hop instead of two, unless the two should run beside each other or hold unlike resources."""
    if node.rows_per_bundle > 0:
        return False
    default = op.remote == RemoteOptions()
    if isinstance(op.compute, ActorPoolStrategy):
        follows = isinstance(node.compute, TaskPoolStrategy) and node.compute.size is None
        return follows and node.remote == RemoteOptions() and _is_light(node.stage)
    if isinstance(node.compute, ActorPoolStrategy):
        return op.is_cheap and default and op.compute == TaskPoolStrategy()
    if not op.remote.allows_fusion(node.remote) and not (op.is_cheap and default):
        return False
    sizes = (getattr(op.compute, "size", None), getattr(node.compute, "size", None))
    return sizes[0] == sizes[1] or (
        sizes[0] is None and isinstance(op.stages[0], ReadStage) and len(op.stages) == 1
    )


def _is_light(stage: Stage) -> bool:
    """Does the stage no work of the user's, so that it may run where blocks are made?"""
    return isinstance(stage, (WriteStage, Project, TakeRows, WithColumns, FilterExpression))


def _joined(first: ComputeStrategy, second: ComputeStrategy) -> ComputeStrategy:
    if isinstance(first, ActorPoolStrategy):
        return first
    if isinstance(second, ActorPoolStrategy) or getattr(first, "size", None) is None:
        return second
    return first
