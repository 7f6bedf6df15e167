"""Stages that work on columns: filters by expression, computed columns, choosing, dropping and renaming.

Tests: tests/python/test_data_fragment.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from mobula.data.block import column_from_values, table_to_batch
from mobula.data.expressions import Expr
from mobula.data.op.function import UserFunction
from mobula.data.op.stage import Blocks, Position, Run, Stage


class FilterExpression(Stage):
    """Keeps the rows for which an expression is true."""

    def __init__(self, expression: Expr) -> None:
        self.expression = expression
        self.name = f"Filter({expression!r})"

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        for block in blocks:
            if block.num_rows or block.num_columns:
                yield rows_where(block, self.expression)


def rows_where(block: pa.Table, expression: Expr) -> pa.Table:
    """The rows of a block for which an expression is true (not null)."""
    verdicts = expression.evaluate(block)
    if isinstance(verdicts, pa.Scalar):
        return block if verdicts.as_py() else block.slice(0, 0)
    mask = (verdicts.fill_null(False) if verdicts.null_count else verdicts).to_numpy()
    return block if mask.all() else block.take(pa.array(np.flatnonzero(mask)))


class WithColumns(Stage):
    """Adds (or replaces) columns computed by expressions."""

    keeps_row_count = True

    def __init__(self, columns: Sequence[tuple[str, Expr]]) -> None:
        self.columns = list(columns)
        self.name = f"WithColumns({', '.join(name for name, _ in self.columns)})"

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        for block in blocks:
            if not block.num_rows and not block.num_columns:
                continue
            for name, expression in self.columns:
                values = expression.evaluate(block)
                if isinstance(values, pa.Scalar):
                    values = pa.array([values.as_py()] * block.num_rows, values.type)
                place = block.schema.get_field_index(name)
                block = (
                    block.append_column(name, values) if place < 0 else block.set_column(place, name, values)
                )
            yield block


class Project(Stage):
    """Chooses, drops or renames columns."""

    keeps_row_count = True

    def __init__(
        self,
        select: Sequence[str] | None = None,
        drop: Sequence[str] = (),
        rename: Mapping[str, str] | None = None,
    ) -> None:
        self.select = None if select is None else list(select)
        self.drop = list(drop)
        self.rename = dict(rename or {})
        self.name = "Project"

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        for block in blocks:
            if not block.num_rows and not block.num_columns:
                continue
            wanted = [*(self.select or ()), *self.drop, *self.rename]
            missing = [name for name in wanted if name not in block.column_names]
            if missing:
                raise KeyError(
                    f"no column is called {', '.join(map(repr, missing))}; there are {block.column_names}"
                )
            if self.select is not None:
                block = block.select(self.select)
            if self.drop:
                block = block.drop_columns(self.drop)
            if self.rename:
                block = block.rename_columns([self.rename.get(name, name) for name in block.column_names])
            yield block


class AddColumn(Stage):
    """Adds a column that a function computes from each block."""

    keeps_row_count = True

    def __init__(self, column: str, function: UserFunction, batch_format: str) -> None:
        self.column, self.function, self.batch_format = column, function, batch_format
        self.name = f"AddColumn({column})"

    def open(self) -> None:
        self.function.open()

    def run(self, blocks: Blocks, run: Run) -> Blocks:
        position = Position()
        for block in blocks:
            if not block.num_rows:
                yield block
                continue
            position.enter(block.num_rows)
            try:
                answer = self.function(table_to_batch(block, self.batch_format))
                values = column_from_values(answer)
                if len(values) != block.num_rows:
                    raise ValueError(
                        f"the function of add_column gave {len(values)} values for {block.num_rows} rows"
                    )
            except Exception as error:
                run.explain(error, self.name, position.first, position.count)
                raise
            place = block.schema.get_field_index(self.column)
            yield (
                block.append_column(self.column, values)
                if place < 0
                else block.set_column(place, self.column, values)
            )
