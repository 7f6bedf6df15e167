"""Dataset: rows in blocks, described lazily and run as a stream when they are consumed.

Tests: tests/python/test_data_fragment.py, tests/contract/test_data_run.py, tests/contract/test_data_files.py.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mobula.data.batching import checked_batch_size
from mobula.data.block import (
    checked_batch_format,
    concat_tables,
    table_to_batch,
    table_to_pandas,
    table_to_rows,
)
from mobula.data.compute import ComputeStrategy, TaskPoolStrategy
from mobula.data.context import DataContext
from mobula.data.expressions import Expr, parse_expression
from mobula.data.iterator import DataIterator
from mobula.data.op.aggregate import PartialAggregate, PartialUnique, joined_aggregate, joined_unique
from mobula.data.op.columns import AddColumn, FilterExpression, Project, WithColumns
from mobula.data.op.function import UserFunction
from mobula.data.op.stage import MapBatches, RowFunctions, Stage
from mobula.data.plan.logical import (
    Apply,
    BlockHandle,
    Blocks,
    Limit,
    Node,
    RemoteOptions,
    Tables,
    Union,
    explain,
)
from mobula.data.plan.options import column_names, transform_options
from mobula.data.plan.physical import lower
from mobula.data.schema import Schema
from mobula.data.writing import Writing

if TYPE_CHECKING:
    import pandas

    from mobula.data.exec.run import Execution, OutputBlock

__all__ = ["Dataset", "MaterializedDataset"]

DEFAULT_BATCH_SIZE = 1024  # of batch_size="default"


class Dataset(Writing):
    """Rows with named columns. Transforms describe a new dataset; consuming one runs its plan.

    >>> import mobula.data
    >>> mobula.data.range(5).map(lambda row: {"square": row["id"] ** 2}).take_all()
    [{'square': 0}, {'square': 1}, {'square': 4}, {'square': 9}, {'square': 16}]
    """

    def __init__(self, node: Node, context: DataContext | None = None) -> None:
        self._node = node
        self._context = context if context is not None else DataContext.get_current().copy()
        self._schema: Schema | None = None
        self._stats: str = ""
        self._name: str | None = None
        self._id = uuid.uuid4().hex

    # -- description ----------------------------------------------------------------------------------

    @property
    def context(self) -> DataContext:
        """The settings that this dataset runs with."""
        return self._context

    @property
    def name(self) -> str | None:
        """The name given by `set_name`."""
        return self._name

    def set_name(self, name: str | None) -> None:
        """Names the dataset, for messages."""
        self._name = name

    def get_dataset_id(self) -> str:
        """A unique id of the dataset."""
        return self._id

    def __repr__(self) -> str:
        schema = self._known_schema()
        columns = "Unknown schema"
        if schema is not None:
            columns = (
                "{" + ", ".join(f"{n}: {t}" for n, t in zip(schema.names, schema.types, strict=False)) + "}"
            )
        rows = self._node.row_count()
        name = f"name={self._name}, " if self._name else ""
        return f"{type(self).__name__}({name}num_rows={'?' if rows is None else rows}, schema={columns})"

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a dataset is not iterated itself; use iter_rows() or iter_batches()")

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        raise AttributeError("a dataset has no len(); use count(), which may have to run it")

    def explain(self) -> None:
        """Prints the logical plan, and the operators that it runs as."""
        print("Logical plan:\n" + explain(self._node))
        ops = lower(self._node, self._context)
        lines = [
            f"{place} {op.name} <- {op.upstream}" if op.upstream else f"{place} {op.name}"
            for place, op in enumerate(ops)
        ]
        print("\nOperators:\n" + "\n".join(lines))

    def _derived(self, node: Node) -> Dataset:
        return Dataset(node, self._context)

    def _applied(
        self,
        stage: Stage,
        compute: ComputeStrategy | None = None,
        remote: RemoteOptions | None = None,
        rows: int = 0,
    ) -> Dataset:
        node = Apply((self._node,), stage, compute or TaskPoolStrategy(), remote or RemoteOptions(), rows)
        return self._derived(node)

    # -- transforms of rows and batches ---------------------------------------------------------------

    def map(self, fn: Any, **options: Any) -> Dataset:
        """Calls `fn` with each row (a dict); it returns the new row.

        Options: compute, concurrency, fn_args, fn_kwargs, fn_constructor_args, fn_constructor_kwargs,
        num_cpus, num_gpus, memory, resources and further options of remote functions. A class runs in a
        pool of actors.
        """
        return self._rows("map", fn, options)

    def flat_map(self, fn: Any, **options: Any) -> Dataset:
        """Calls `fn` with each row; it returns a list of rows, or yields them. Options as for `map`."""
        return self._rows("flat_map", fn, options)

    def filter(self, fn: Any = None, expr: str | Expr | None = None, **options: Any) -> Dataset:
        """Keeps the rows for which `fn` is true, or an expression: `filter(expr=col("x") > 1)` or `expr="x
        > 1"`.
        """
        if (fn is None) == (expr is None):
            raise ValueError("filter: give either a function or expr=")
        if fn is not None:
            if isinstance(fn, Expr):
                raise ValueError("filter: pass an expression as expr=")
            return self._rows("filter", fn, options)
        parsed = parse_expression(expr) if isinstance(expr, str) else expr
        if not isinstance(parsed, Expr):
            raise ValueError(f"filter: expr={expr!r}; give an expression of col(…) or its text")
        taken, compute, remote = transform_options("filter", None, options)
        if taken:
            raise ValueError(f"filter: {next(iter(taken))} is for functions, not for expressions")
        return self._applied(FilterExpression(parsed), compute, remote)

    def _rows(self, kind: str, fn: Any, options: dict[str, Any]) -> Dataset:
        taken, compute, remote = transform_options(kind, fn, options)
        return self._applied(RowFunctions([(kind, UserFunction(fn, **taken))]), compute, remote)

    def map_batches(
        self,
        fn: Any,
        *,
        batch_size: int | str | None = None,
        batch_format: str | None = "default",
        zero_copy_batch: bool = True,
        udf_modifying_row_count: bool = True,
        **options: Any,
    ) -> Dataset:
        """Calls `fn` with batches of `batch_size` rows (None: whole blocks); it returns or yields batches.

        A batch is a dict of NumPy arrays, a pandas frame or an Arrow table, as `batch_format` says; with
        `zero_copy_batch` arrays are views of the store and read-only. Options as for `map`.

        >>> import mobula.data
        >>> mobula.data.range(4).map_batches(lambda batch: {"double": batch["id"] * 2}).take(2)
        [{'double': 0}, {'double': 2}]
        """
        taken, compute, remote = transform_options("map_batches", fn, options)
        size = checked_batch_size(
            DEFAULT_BATCH_SIZE if batch_size == "default" else batch_size, "map_batches"
        )
        form = checked_batch_format(batch_format)
        stage = MapBatches(
            UserFunction(fn, **taken), size, form, zero_copy_batch, not udf_modifying_row_count
        )
        return self._applied(stage, compute, remote)

    # -- columns --------------------------------------------------------------------------------------

    def add_column(
        self, col: str, fn: Callable[[Any], Any], *, batch_format: str | None = "pandas", **options: Any
    ) -> Dataset:
        """Adds (or replaces) a column with what `fn` gives for each batch."""
        if not callable(fn):
            raise ValueError(f"add_column: `fn` must be a function, got {fn!r}")
        taken, compute, remote = transform_options("add_column", fn, options)
        stage = AddColumn(col, UserFunction(fn, **taken), checked_batch_format(batch_format))
        return self._applied(stage, compute, remote)

    def with_column(self, column_name: str, expr: Expr, **options: Any) -> Dataset:
        """Adds (or replaces) a column computed by an expression: `with_column("y", col("x") * 2)`."""
        if not isinstance(expr, Expr):
            raise TypeError(f"with_column: give an expression of col(…), got {expr!r}")
        _, compute, remote = transform_options("with_column", None, options)
        return self._applied(WithColumns([(column_name, expr)]), compute, remote)

    def select_columns(self, cols: str | Sequence[str], **options: Any) -> Dataset:
        """Keeps these columns, in this order."""
        _, compute, remote = transform_options("select_columns", None, options)
        return self._applied(Project(select=column_names(cols, "select_columns")), compute, remote)

    def drop_columns(self, cols: str | Sequence[str], **options: Any) -> Dataset:
        """Leaves these columns out."""
        _, compute, remote = transform_options("drop_columns", None, options)
        return self._applied(Project(drop=column_names(cols, "drop_columns")), compute, remote)

    def rename_columns(self, names: dict[str, str] | Sequence[str], **options: Any) -> Dataset:
        """Renames columns: a dict of old to new names, or the new names of all columns."""
        _, compute, remote = transform_options("rename_columns", None, options)
        if not isinstance(names, dict):
            known = self.columns() or []
            if len(known) != len(names):
                raise ValueError(f"rename_columns: {len(names)} names for {len(known)} columns {known}")
            names = dict(zip(known, names, strict=False))
        return self._applied(Project(rename=names), compute, remote)

    # -- several datasets, parts ----------------------------------------------------------------------

    def limit(self, limit: int) -> Dataset:
        """The first `limit` rows; no more of the input is run than they need."""
        if not isinstance(limit, int) or limit < 0:
            raise ValueError(f"limit({limit!r}): give a number of rows of at least 0")
        return self._derived(Limit((self._node,), limit))

    def union(self, *other: Dataset) -> Dataset:
        """The rows of this dataset and the others."""
        return self._derived(Union((self._node, *(one._node for one in other))))

    def copy(self) -> Dataset:
        """The same dataset under another identity."""
        return self._derived(self._node)

    # -- running --------------------------------------------------------------------------------------

    def _execute(self, node: Node | None = None, emits: str = "blocks") -> Execution:
        from mobula.data.exec.run import Execution

        return Execution(lower(node or self._node, self._context), self._context, emits)

    def _stream(self, node: Node | None = None) -> Iterator[OutputBlock]:
        """The output's blocks as they come; what ran is kept for stats()."""
        execution = self._execute(node)
        try:
            yield from execution
        finally:
            execution.close()
            self._stats = execution.stats().text()

    def _stored(self, node: Node | None = None) -> list[BlockHandle] | None:
        """The blocks of a dataset that needs no run."""
        node = node or self._node
        if isinstance(node, Blocks):
            return list(node.blocks)
        if isinstance(node, Tables):
            from mobula import _core, _driver
            from mobula.data.exec.run import put_tables

            _driver.ensure()
            return put_tables(node, _core.session())
        return None

    def _collect(self, node: Node | None = None) -> list[BlockHandle]:
        """All blocks of the output, in the order of the input."""
        stored = self._stored(node)
        if stored is not None:
            return stored
        return [block.handle for block in sorted(self._stream(node), key=lambda block: block.order)]

    def _tables(self, node: Node | None = None) -> Iterator[pa.Table]:
        """The output as tables, as they come."""
        from mobula.data.exec.run import load

        stored = self._stored(node)
        handles = stored if stored is not None else (block.handle for block in self._stream(node))
        for handle in handles:
            table = load(handle)
            del handle
            if table.num_rows:
                yield table

    def _whole(self, node: Node | None = None) -> list[pa.Table]:
        from mobula.data.exec.run import load_all

        return load_all(self._collect(node))

    def materialize(self) -> MaterializedDataset:
        """Runs the plan and keeps the blocks in the store, in the order of the input."""
        blocks = self._collect()
        full = [block for block in blocks if block.wanted_rows] or blocks[:1]
        known = self._known_schema()
        node = Blocks((), tuple(full), known.base_schema if known is not None else None, self._node.name)
        out = MaterializedDataset(node, self._context)
        out._stats = self._stats
        return out

    # -- taking ---------------------------------------------------------------------------------------

    def take(self, limit: int = 20) -> list[dict[str, Any]]:
        """Up to `limit` rows."""
        rows: list[dict[str, Any]] = []
        for table in self._whole(Limit((self._node,), limit)):
            rows += table_to_rows(table)
        return rows[:limit]

    def take_all(self, limit: int | None = None) -> list[dict[str, Any]]:
        """All rows; ValueError if there are more than `limit`."""
        node = self._node if limit is None else Limit((self._node,), limit + 1)
        rows: list[dict[str, Any]] = []
        for table in self._whole(node):
            rows += table_to_rows(table)
        if limit is not None and len(rows) > limit:
            raise ValueError(
                f"take_all(limit={limit}): the dataset has more rows; raise the limit or use take()"
            )
        return rows

    def take_batch(self, batch_size: int = 20, *, batch_format: str | None = "default") -> Any:
        """Up to `batch_size` rows as one batch."""
        form = checked_batch_format(batch_format)
        if batch_size < 1:
            raise ValueError(f"take_batch({batch_size}): give at least 1")
        tables = [table for table in self._whole(Limit((self._node,), batch_size)) if table.num_rows]
        if not tables:
            raise ValueError("take_batch: the dataset is empty")
        return table_to_batch(concat_tables(tables).slice(0, batch_size), form)

    def show(self, limit: int = 20) -> None:
        """Prints up to `limit` rows."""
        for row in self.take(limit):
            print(row)

    # -- figures --------------------------------------------------------------------------------------

    def count(self) -> int:
        """The number of rows: from what is known of the sources if possible, else by running the plan."""
        known = self._node.row_count()
        if known is not None:
            return known
        ops = lower(self._node, self._context)
        if ops[-1].kind != "map":
            return sum(block.handle.wanted_rows for block in self._stream())
        execution = self._execute(emits="rows")
        for _ in execution:
            pass
        stats = execution.stats()
        self._stats = stats.text()
        return stats.rows_out()

    def _known_schema(self) -> Schema | None:
        if self._schema is None:
            schema = self._node.schema()
            self._schema = None if schema is None else Schema(schema)
        return self._schema

    def schema(self, fetch_if_missing: bool = True) -> Schema | None:
        """The columns: from what is known of the sources if possible, else by running as little as it
        takes.
        """
        if self._known_schema() is None and fetch_if_missing:
            from mobula.data.exec.run import load

            stored = self._stored()
            handles = (
                stored if stored is not None else (b.handle for b in self._stream(Limit((self._node,), 1)))
            )
            for handle in handles:
                table = load(handle)
                if table.num_columns:
                    self._schema = Schema(table.schema)
                    break
        return self._schema

    def columns(self, fetch_if_missing: bool = True) -> list[str] | None:
        """The columns' names."""
        schema = self.schema(fetch_if_missing)
        return None if schema is None else schema.names

    def num_blocks(self) -> int:
        """The number of blocks; known of materialized datasets only."""
        raise NotImplementedError("the number of blocks is known after materialize()")

    def size_bytes(self) -> int:
        """The bytes of all blocks."""
        return sum(block.wanted_bytes for block in self._collect())

    def input_files(self) -> list[str]:
        """The files that the dataset reads."""
        from mobula.data.plan.logical import Read

        found = (
            path for node in self._node.walk() if isinstance(node, Read) for path in node.source.input_files()
        )
        return sorted(set(found))

    def stats(self) -> str:
        """What the last run of this dataset did: per operator rows, bytes, time and memory, and what was
        skipped.
        """
        return self._stats

    # -- aggregates -----------------------------------------------------------------------------------

    def sum(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The sum of a column, or of several as a dict."""
        return self._aggregate("sum", on, ignore_nulls)

    def min(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The least value of a column, or of several as a dict."""
        return self._aggregate("min", on, ignore_nulls)

    def max(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The largest value of a column, or of several as a dict."""
        return self._aggregate("max", on, ignore_nulls)

    def mean(self, on: str | list[str] | None = None, ignore_nulls: bool = True) -> Any:
        """The mean of a column, or of several as a dict."""
        return self._aggregate("mean", on, ignore_nulls)

    def std(self, on: str | list[str] | None = None, ddof: int = 1, ignore_nulls: bool = True) -> Any:
        """The standard deviation of a column, or of several as a dict."""
        return self._aggregate("std", on, ignore_nulls, ddof)

    def unique(self, column: str) -> list[Any]:
        """The distinct values of a column."""
        tables = self._whole(Apply((self._node,), PartialUnique(column)))
        return joined_unique(tables)

    def _aggregate(self, kind: str, on: str | list[str] | None, ignore_nulls: bool, ddof: int = 1) -> Any:
        columns = [on] if isinstance(on, str) else on
        parts = self._whole(Apply((self._node,), PartialAggregate(kind, columns)))
        return joined_aggregate(parts, kind, columns, ignore_nulls, ddof)

    # -- other forms ----------------------------------------------------------------------------------

    def iterator(self) -> DataIterator:
        """An iterator over the dataset, which can be passed on."""
        return DataIterator(self)

    def iter_rows(self) -> Any:
        """Rows, as dicts, as they come."""
        return self.iterator().iter_rows()

    def iter_batches(self, **options: Any) -> Any:
        """Batches as they come; options as for `DataIterator.iter_batches`."""
        return self.iterator().iter_batches(**options)

    def iter_torch_batches(self, **options: Any) -> Any:
        """Batches of torch tensors; options as for `DataIterator.iter_torch_batches`."""
        return self.iterator().iter_torch_batches(**options)

    def to_pandas(self, limit: int | None = None) -> pandas.DataFrame:
        """All rows as one frame; ValueError if there are more than `limit`."""
        node = self._node if limit is None else Limit((self._node,), limit + 1)
        table = concat_tables(self._whole(node))
        if limit is not None and table.num_rows > limit:
            raise ValueError(
                f"to_pandas(limit={limit}): the dataset has more rows; raise the limit or use limit()"
            )
        return table_to_pandas(table)


class MaterializedDataset(Dataset):
    """A dataset whose blocks are in the store; consuming it runs nothing again."""

    _node: Blocks

    def num_blocks(self) -> int:
        """The number of blocks."""
        return len(self._node.blocks)

    def copy(self) -> MaterializedDataset:
        """The same dataset under another identity."""
        return MaterializedDataset(replace(self._node), self._context)
