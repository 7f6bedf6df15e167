"""The logical plan: what a dataset is, as a tree of immutable nodes. Nothing here runs anything.

Rules push projections, filters and limits towards the sources; `physical.py` turns the rest into operators.
Tests: tests/python/test_data_plan.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from mobula.data.compute import ComputeStrategy, TaskPoolStrategy
from mobula.data.op.columns import FilterExpression, Project, WithColumns
from mobula.data.op.stage import RowFunctions, Stage, TakeRows
from mobula.data.source.source import Source


@dataclass(frozen=True)
class RemoteOptions:
    """Resources of each task or actor of a transform, and other options for it."""

    num_cpus: float | None = None
    num_gpus: float | None = None
    memory: float | None = None
    resources: tuple[tuple[str, float], ...] = ()
    others: tuple[tuple[str, Any], ...] = ()

    def amounts(self) -> dict[str, float]:
        """What each task or actor holds."""
        out: dict[str, float] = dict(self.resources)
        cpus = self.num_cpus if self.num_cpus is not None else (0 if self.num_gpus else 1)
        for name, amount in (("CPU", cpus), ("GPU", self.num_gpus), ("memory", self.memory)):
            if amount:
                out[name] = amount
        return out

    def allows_fusion(self, other: RemoteOptions) -> bool:
        """May tasks of both be one?"""
        return self.amounts() == other.amounts() and self.others == other.others


@dataclass(frozen=True)
class BlockHandle:
    """A block in the store, or the part [offset, offset + length) of it (length -1: all)."""

    ref: Any
    rows: int
    bytes: int
    offset: int = 0
    length: int = -1

    @property
    def wanted_rows(self) -> int:
        """The rows of the part."""
        return self.length if self.length >= 0 else self.rows - self.offset

    @property
    def wanted_bytes(self) -> int:
        """About the bytes of the part."""
        return self.bytes if self.rows <= 0 else self.bytes * self.wanted_rows // self.rows


@dataclass(frozen=True, eq=False)
class Node:
    """A node; `inputs` are the nodes whose blocks it takes."""

    inputs: tuple[Node, ...] = ()

    @property
    def name(self) -> str:
        """As explain() shows it."""
        return type(self).__name__

    def row_count(self) -> int | None:
        """The number of rows where it is known without running anything."""
        return None

    def schema(self) -> pa.Schema | None:
        """The columns where they are known without running anything."""
        return None

    def walk(self) -> Iterator[Node]:
        """This node and all below it."""
        yield self
        for one in self.inputs:
            yield from one.walk()


@dataclass(frozen=True, eq=False)
class Read(Node):
    """Reads a source in tasks."""

    source: Source = field(default_factory=Source)
    parallelism: int = -1
    compute: ComputeStrategy = field(default_factory=TaskPoolStrategy)
    remote: RemoteOptions = field(default_factory=RemoteOptions)

    @property
    def name(self) -> str:
        return self.source.name

    def row_count(self) -> int | None:
        return self.source.row_count()

    def schema(self) -> pa.Schema | None:
        return self.source.schema()


@dataclass(frozen=True, eq=False)
class Tables(Node):
    """Tables of this process, put into the store when first needed."""

    tables: tuple[pa.Table, ...] = ()
    put: dict[int, list[BlockHandle]] = field(default_factory=dict)  # by session: filled by run.py
    label: str = "FromItems"

    @property
    def name(self) -> str:
        return self.label

    def row_count(self) -> int | None:
        return sum(int(table.num_rows) for table in self.tables)

    def schema(self) -> pa.Schema | None:
        found = next((t for t in self.tables if t.num_rows), next(iter(self.tables), None))
        return None if found is None or not found.num_columns else found.schema


@dataclass(frozen=True, eq=False)
class Blocks(Node):
    """Blocks that are in the store already: a materialized dataset."""

    blocks: tuple[BlockHandle, ...] = ()
    known_schema: pa.Schema | None = None
    label: str = "Input"

    @property
    def name(self) -> str:
        return self.label

    def row_count(self) -> int | None:
        return sum(block.wanted_rows for block in self.blocks)

    def schema(self) -> pa.Schema | None:
        return self.known_schema


@dataclass(frozen=True, eq=False)
class Apply(Node):
    """Runs a stage over all blocks, in tasks or in actors."""

    stage: Stage = field(default_factory=Stage)
    compute: ComputeStrategy = field(default_factory=TaskPoolStrategy)
    remote: RemoteOptions = field(default_factory=RemoteOptions)
    rows_per_bundle: int = 0  # blocks are gathered until they have so many rows

    @property
    def name(self) -> str:
        return self.stage.name

    def row_count(self) -> int | None:
        return self.inputs[0].row_count() if self.stage.keeps_row_count else None


@dataclass(frozen=True, eq=False)
class Limit(Node):
    """The first `rows` rows."""

    rows: int = 0

    @property
    def name(self) -> str:
        return f"Limit({self.rows})"

    def row_count(self) -> int | None:
        known = self.inputs[0].row_count()
        return None if known is None else min(known, self.rows)

    def schema(self) -> pa.Schema | None:
        return self.inputs[0].schema()


@dataclass(frozen=True, eq=False)
class Union(Node):
    """The blocks of all inputs."""

    def row_count(self) -> int | None:
        counts = [one.row_count() for one in self.inputs]
        return None if None in counts else sum(count for count in counts if count is not None)

    def schema(self) -> pa.Schema | None:
        return self.inputs[0].schema()


# -- rules -------------------------------------------------------------------------------------------


def optimized(node: Node) -> Node:
    """The same rows with less work."""
    node = replace(node, inputs=tuple(optimized(one) for one in node.inputs))
    for rule in (_push_projection, _push_filter, _push_limit, _join_rows):
        node = rule(node)
    return node


def _push_projection(node: Node) -> Node:
    """A reader that can leave columns out does so."""
    if not (isinstance(node, Apply) and isinstance(node.stage, Project) and isinstance(node.inputs[0], Read)):
        return node
    read, project = node.inputs[0], node.stage
    can = getattr(read.source, "with_columns", None)
    if can is None or project.select is None or project.drop or project.rename:
        return node
    schema = read.source.schema()
    if schema is None or any(name not in schema.names for name in project.select):
        return node  # the stage says what is missing
    return replace(node, inputs=(replace(read, source=can(list(project.select))),))


def _push_filter(node: Node) -> Node:
    """A reader that can leave rows out does so."""
    if not (isinstance(node, Apply) and isinstance(node.stage, FilterExpression)):
        return node
    read = node.inputs[0]
    if not isinstance(read, Read) or not hasattr(read.source, "with_filter"):
        return node
    schema = read.source.schema()
    if schema is None or not node.stage.expression.columns() <= set(schema.names):
        return node
    return replace(read, source=read.source.with_filter(node.stage.expression))


def _push_limit(node: Node) -> Node:
    """What keeps the number of rows need not see more than the limit's in each task."""
    if not isinstance(node, Limit):
        return node
    return replace(node, inputs=(_capped(node.inputs[0], node.rows),))


def _capped(node: Node, rows: int) -> Node:
    if isinstance(node, Apply) and isinstance(node.stage, (RowFunctions, WithColumns, Project)):
        if node.stage.keeps_row_count:
            return replace(node, inputs=(_capped(node.inputs[0], rows),))
    if isinstance(node, (Read, Apply)):
        remote, compute = node.remote, node.compute
        if isinstance(compute, TaskPoolStrategy) and rows > 0:
            return Apply((node,), TakeRows(rows), compute, remote)
    return node


def _join_rows(node: Node) -> Node:
    """Row functions one after the other pass rows on as they are, without making blocks between."""
    below = node.inputs[0] if node.inputs else None
    if not (isinstance(node, Apply) and isinstance(below, Apply)):
        return node
    if not (isinstance(node.stage, RowFunctions) and isinstance(below.stage, RowFunctions)):
        return node
    both_tasks = isinstance(node.compute, TaskPoolStrategy) and node.compute == below.compute
    if not both_tasks or not node.remote.allows_fusion(below.remote):
        return node
    return replace(node, inputs=below.inputs, stage=below.stage.joined(node.stage))


def explain(node: Node, depth: int = 0) -> str:
    """The plan as indented text."""
    lines = ["   " * max(0, depth - 1) + ("+- " if depth else "") + node.name]
    return "\n".join([*lines, *(explain(one, depth + 1) for one in node.inputs)])
