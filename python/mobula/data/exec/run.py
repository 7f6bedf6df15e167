"""Runs physical plans: hands operators to the C++ executor, and gives its output block by block.

One `Execution` is one run. It ends what it started when it is closed, exhausted, failed or dropped; nothing
of it is left in the store but the blocks that were handed out. Tests: tests/contract/test_data_run.py.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula import _core, _data, _driver
from mobula._definition import Definition
from mobula.data.compute import ActorPoolStrategy
from mobula.data.exec.failure import error_of
from mobula.data.exec.preload import LATER, prepare_workers
from mobula.data.exec.progress import Progress
from mobula.data.exec.stats import RunStats
from mobula.data.fragment import FragmentActor
from mobula.data.plan.logical import BlockHandle, RemoteOptions, Tables
from mobula.data.plan.physical import PhysicalOp
from mobula.data.wire import block_for_wire

if TYPE_CHECKING:
    from mobula.data.context import DataContext

WAIT_SLICE_S = 0.1  # Ctrl-C is heard so often
MEMORY_FRACTION = 0.5  # of the store, for the blocks of one run
ACTOR_OPTIONS = (
    "runtime_env",
    "scheduling_strategy",
    "max_concurrency",
    "accelerator_type",
    "label_selector",
)

LARGEST_BLOCK_BYTES = 128 << 20
SMALLEST_BLOCK_BYTES = 1 << 20
BLOCKS_IN_MEMORY = 16  # that fit into the memory of a run, at least

_running: weakref.WeakSet[Execution] = weakref.WeakSet()


def end_all() -> None:
    """Ends all runs of this process; the engine calls it before it ends."""
    for execution in list(_running):
        execution.interrupted = True
        execution.close()


class OutputBlock:
    """A block of a run's output, with the key that restores the order of the input."""

    __slots__ = ("handle", "order")

    def __init__(self, handle: BlockHandle, order: bytes) -> None:
        self.handle, self.order = handle, order


class ActorSet:
    """The actors of a run; the executor has them made and ended, on its own thread."""

    def __init__(self) -> None:
        self.factories: dict[int, Callable[[], tuple[Any, Any]]] = {}
        self._standing: dict[int, tuple[Any, Any]] = {}

    def make(self, op: int, number: int) -> tuple[int, bytes]:
        """(the actor's number in the engine, the id of an object that is there when it stands)."""
        handle, ready = self._standing[number] = self.factories[op]()
        return handle._number, ready.binary()

    def end(self, number: int) -> None:
        """Ends the actor at once."""
        handle, _ = self._standing.pop(number)
        _core.kill_actor(handle._number, True)


class Execution:
    """One run of operators. `emits` is "blocks", or "rows" where the last one's rows are only counted."""

    def __init__(
        self, ops: list[PhysicalOp], context: DataContext, emits: str = "blocks", label: str = ""
    ) -> None:
        _driver.ensure()
        self.ops, self.context, self.label = ops, context, label or ops[-1].name
        self.session = _core.session()
        self.interrupted = False  # ended before its output was taken
        self._process = os.getpid()
        self._actors = ActorSet()
        self._kept: list[Any] = []  # definitions and references that the run needs until its end
        self._options = _executor_options(context)
        self._block_bytes_max = _block_bytes_max(context, self._options["memory_bytes_max"])
        if any(op.kind == "limit" for op in ops):
            self._options["preserve_order"] = True  # the first rows are the first ones
        prepare_workers()
        _check_resources(ops, self._options["resources"])
        descriptions, inputs = [], {}
        for place, op in enumerate(ops):
            description = op.description()
            if op.kind == "input":
                description["literals"], inputs[place] = self._inputs(op)
            elif op.kind == "map":
                self._bind(
                    place, description, "rows" if emits == "rows" and place + 1 == len(ops) else "blocks"
                )
            descriptions.append(description)
        self._lock = threading.Lock()
        self.final: dict[str, Any] | None = None
        self._run = _data.Execution(
            _core.engine_capsule(), descriptions, inputs, self._options, self._actors.make, self._actors.end
        )
        self._progress = Progress(self) if Progress.is_wanted(context) else None
        _running.add(self)
        self._run.start()

    # -- what the executor gets -----------------------------------------------------------------------

    def _inputs(self, op: PhysicalOp) -> tuple[list[bytes], list[Any]]:
        if op.reads:
            literals = [_core.encode(task.payload) for task in op.reads]
            return literals, [task.rows for task in op.reads]
        blocks = op.blocks if op.tables is None else put_tables(op.tables, self.session)
        self._kept.append(blocks)
        return [], [(b.ref.binary(), b.rows, b.bytes, b.offset, b.length) for b in blocks]

    def _bind(self, place: int, description: dict[str, Any], emits: str) -> None:
        op = self.ops[place]
        fragment = op.fragment(self.context, self._block_bytes_max, emits)
        if isinstance(op.compute, ActorPoolStrategy):
            self._actors.factories[place], description["function"] = _actor_factory(op.remote, fragment)
            description["method"] = "run"
        else:
            definition = Definition(fragment, op.name)
            description["function"] = definition.export()
            self._kept.append(definition)
        description["runtime_env"] = _runtime_env(op.remote)
        description["block_bytes_max"] = self._block_bytes_max

    # -- what comes out -------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[OutputBlock]:
        try:
            while True:
                answer: Any = self._run.next(WAIT_SLICE_S)
                if answer is None:
                    continue
                if answer[0] == "end":
                    if self.interrupted:
                        raise RuntimeError("the engine was shut down while a dataset was running")
                    return
                if answer[0] == "failed":
                    raise error_of(answer[1], self.ops)
                _, raw, rows, size, offset, length, order = answer
                ref: Any = _core.ObjectRef(raw)
                self._run.release(raw)
                yield OutputBlock(BlockHandle(ref, rows, size, offset, length), order)
        finally:
            self.close()

    def close(self) -> None:
        """Ends the run if it has not ended; later calls do nothing, nor those in a forked child."""
        if os.getpid() != self._process:
            return
        with self._lock:
            if self.final is not None:
                return
            self.final = self._run.view()
        if self._progress is not None:
            self._progress.close()
        self._run.stop()
        prepare_workers(LATER)
        _running.discard(self)
        self._kept.clear()

    def __del__(self) -> None:
        if hasattr(self, "_run"):
            self.close()

    def view(self) -> dict[str, Any]:
        """Figures of the run, as src/bind/data/execution.cc gives them."""
        return self.final if self.final is not None else self._run.view()

    def stats(self) -> RunStats:
        """The run's figures, to be kept by the dataset."""
        return RunStats(self.ops, self.view(), self._options["memory_bytes_max"])


def _block_bytes_max(context: DataContext, memory_bytes_max: int) -> int:
    """Blocks are no larger than the context says, and small against the memory of the run: it holds several
    of each operator at a time."""
    wanted = context.target_max_block_size or LARGEST_BLOCK_BYTES
    return min(wanted, LARGEST_BLOCK_BYTES, max(memory_bytes_max // BLOCKS_IN_MEMORY, SMALLEST_BLOCK_BYTES))


def put_tables(node: Tables, session: int) -> list[BlockHandle]:
    """The node's tables in the store of this session; put when first asked for."""
    if session not in node.put:
        node.put.clear()
        node.put[session] = [
            BlockHandle(_core.put(block_for_wire(table, table.nbytes)), table.num_rows, table.nbytes)
            for table in node.tables
        ]
    return node.put[session]


def load(block: BlockHandle) -> pa.Table:
    """A block as a table over the store's memory."""
    return _wanted(_core.get(block.ref), block)


def load_all(blocks: list[BlockHandle]) -> list[pa.Table]:
    """Several blocks, asked for at once."""
    tables = _core.get([block.ref for block in blocks])
    return [_wanted(table, block) for table, block in zip(tables, blocks, strict=True)]


def _wanted(table: pa.Table, block: BlockHandle) -> pa.Table:
    if block.offset == 0 and block.length < 0:
        return table
    return table.slice(block.offset, None if block.length < 0 else block.length)


def _actor_factory(remote: RemoteOptions, fragment: Any) -> tuple[Callable[[], tuple[Any, Any]], bytes]:
    """What makes an actor of the operator and asks it whether it stands, and the digest of the actors'
    class.
    """
    from mobula import remote as make_remote

    amounts = remote.amounts()
    options: dict[str, Any] = {"num_cpus": amounts.pop("CPU", 0), "num_gpus": amounts.pop("GPU", 0)}
    memory = amounts.pop("memory", None)
    if memory is not None:
        options["memory"] = memory
    if amounts:
        options["resources"] = amounts
    for key, value in remote.others:
        if key in ACTOR_OPTIONS and value is not None:
            options[key] = value
    actor_class = make_remote(FragmentActor).options(max_restarts=0, **options)

    def make() -> tuple[Any, Any]:
        handle = actor_class.remote(fragment)
        return handle, handle.ready.remote()

    return make, actor_class._definition.export()


def _runtime_env(remote: RemoteOptions) -> str:
    environment = dict(remote.others).get("runtime_env")
    if not environment:
        return _core.runtime_env()
    from mobula import _environment

    return _environment.pack(environment)


def _executor_options(context: DataContext) -> dict[str, Any]:
    options = context.execution_options
    totals: dict[str, float] = {}
    for node in _core.cluster():
        if node["alive"]:
            for name, amount in node["total"].items():
                totals[name] = totals.get(name, 0) + amount
    limits, excluded = options.resource_limits, options.exclude_resources
    for name, limit, taken in (("CPU", limits.cpu, excluded.cpu), ("GPU", limits.gpu, excluded.gpu)):
        if name in totals:
            totals[name] = min(totals[name] - (taken or 0), totals[name] if limit is None else limit)
    memory = limits.object_store_memory
    if memory is None:
        fraction = context.override_object_store_memory_limit_fraction or MEMORY_FRACTION
        memory = _core.stats()["arena_bytes"] * fraction - (excluded.object_store_memory or 0)
    return {
        "memory_bytes_max": max(int(memory), 1 << 20),
        "preserve_order": bool(options.preserve_order),
        "failures_max": int(context.max_errored_blocks),
        "resources": totals,
    }


def _check_resources(ops: list[PhysicalOp], totals: dict[str, float]) -> None:
    """What can never run is refused at once."""
    for op in ops:
        if op.kind != "map":
            continue
        for name, amount in op.remote.amounts().items():
            there = totals.get(name, 0)
            if amount <= there + 1e-9:
                continue
            what = "actor" if isinstance(op.compute, ActorPoolStrategy) else "task"
            more = f"num_{name.lower()}s=…" if name in ("CPU", "GPU") else f"resources={{{name!r}: …}}"
            raise ValueError(
                f"each {what} of {op.name} needs {name}: {amount:g}, but the cluster has {there:g} for this "
                f"run; ask for less, or start with more: init({more})"
            )


atexit.register(end_all)
