"""Expressions over columns: `col("x") + 1`, for `filter(expr=…)` and `with_column`.

An expression is an immutable tree that pickles, prints, evaluates on a block with Arrow's compute kernels,
and turns into an Arrow dataset expression so that readers can skip what it excludes. Tests:
tests/python/test_data_plan.py.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

__all__ = ["Expr", "col", "lit"]

_BINARY = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "floor_divide": "//",
    "mod": "%",
    "equal": "==",
    "not_equal": "!=",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "and_kleene": "&",
    "or_kleene": "|",
}


class Expr:
    """An expression; made by `col`, `lit` and operators.

    >>> from mobula.data.expressions import col
    >>> (col("id") >= 10) & (col("id") < 20)
    ((col('id') >= 10) & (col('id') < 20))
    """

    __slots__ = ("_arguments", "_name", "_options")

    def __init__(self, name: str, arguments: Sequence[Any], options: dict[str, Any] | None = None) -> None:
        self._name = name
        self._arguments = tuple(arguments)
        self._options = options or {}

    def __reduce__(self) -> Any:
        return Expr, (self._name, self._arguments, self._options)

    def __repr__(self) -> str:
        if self._name == "column":
            return f"col({self._arguments[0]!r})"
        if self._name == "literal":
            return repr(self._arguments[0])
        if self._name == "alias":
            return f"{self._arguments[0]!r}.alias({self._options['name']!r})"
        if self._name in _BINARY:
            left, right = self._arguments
            return f"({left!r} {_BINARY[self._name]} {right!r})"
        return f"{self._name}({', '.join(map(repr, self._arguments))})"

    def __bool__(self) -> bool:
        raise TypeError(
            "an expression has no truth value; combine with & and | and ~, each side in parentheses"
        )

    def __hash__(self) -> int:
        return hash((self._name, len(self._arguments)))

    def __add__(self, other: Any) -> Expr:
        return _binary("add", self, other)

    def __radd__(self, other: Any) -> Expr:
        return _binary("add", other, self)

    def __sub__(self, other: Any) -> Expr:
        return _binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Expr:
        return _binary("subtract", other, self)

    def __mul__(self, other: Any) -> Expr:
        return _binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Expr:
        return _binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Expr:
        return _binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expr:
        return _binary("divide", other, self)

    def __floordiv__(self, other: Any) -> Expr:
        return _binary("floor_divide", self, other)

    def __mod__(self, other: Any) -> Expr:
        return _binary("mod", self, other)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return _binary("equal", self, other)

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return _binary("not_equal", self, other)

    def __lt__(self, other: Any) -> Expr:
        return _binary("less", self, other)

    def __le__(self, other: Any) -> Expr:
        return _binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Expr:
        return _binary("greater", self, other)

    def __ge__(self, other: Any) -> Expr:
        return _binary("greater_equal", self, other)

    def __and__(self, other: Any) -> Expr:
        return _binary("and_kleene", self, other)

    def __or__(self, other: Any) -> Expr:
        return _binary("or_kleene", self, other)

    def __invert__(self) -> Expr:
        return Expr("invert", [self])

    def __neg__(self) -> Expr:
        return Expr("negate", [self])

    def alias(self, name: str) -> Expr:
        """The same values under another name."""
        return Expr("alias", [self], {"name": name})

    def cast(self, kind: pa.DataType) -> Expr:
        """The values as another Arrow type."""
        return Expr("cast", [self], {"target_type": kind})

    def is_null(self) -> Expr:
        """True where there is no value."""
        return Expr("is_null", [self])

    def is_not_null(self) -> Expr:
        """True where there is a value."""
        return Expr("is_valid", [self])

    def is_in(self, values: Sequence[Any]) -> Expr:
        """True where the value is one of `values`."""
        return Expr("is_in", [self], {"value_set": list(values)})

    def not_in(self, values: Sequence[Any]) -> Expr:
        """True where the value is none of `values`."""
        return ~self.is_in(values)

    @property
    def name(self) -> str | None:
        """The column's or the alias's name, None for anything else."""
        if self._name == "column":
            return str(self._arguments[0])
        return self._options.get("name") if self._name == "alias" else None

    def columns(self) -> set[str]:
        """The names of all columns that the expression reads."""
        if self._name == "column":
            return {self._arguments[0]}
        return set().union(*(part.columns() for part in self._arguments if isinstance(part, Expr)))

    def evaluate(self, table: pa.Table) -> Any:
        """The expression's value for each row: a column, or one scalar for all of them."""
        import pyarrow.compute as pc

        if self._name == "column":
            name = self._arguments[0]
            if name not in table.column_names:
                raise KeyError(f"no column is called {name!r}; the block has {table.column_names}")
            return table.column(name)
        if self._name == "literal":
            return pa.scalar(self._arguments[0])
        values = [part.evaluate(table) for part in self._arguments]
        if self._name == "alias":
            return values[0]
        return _compute(pc, self._name, values, self._options)

    def to_pyarrow(self) -> Any:
        """The expression for Arrow's datasets; NotImplementedError for what they do not know."""
        import pyarrow.compute as pc

        if self._name == "column":
            return pc.field(self._arguments[0])
        if self._name == "literal":
            return pc.scalar(self._arguments[0])
        values = [part.to_pyarrow() for part in self._arguments]
        if self._name in ("floor_divide", "mod"):
            raise NotImplementedError(f"{self._name} cannot be pushed into a reader")
        return values[0] if self._name == "alias" else _compute(pc, self._name, values, self._options)


def _compute(pc: Any, name: str, values: list[Any], options: dict[str, Any]) -> Any:
    if name == "is_in":
        return pc.is_in(values[0], value_set=pa.array(options["value_set"]))
    if name == "cast":
        return (
            pc.cast(values[0], **options)
            if not isinstance(values[0], pc.Expression)
            else values[0].cast(**options)
        )
    if name == "divide":
        values[0] = _as_double(pc, values[0])
    if name in ("floor_divide", "mod"):
        quotient = pc.floor(pc.divide(_as_double(pc, values[0]), values[1]))
        if name == "floor_divide":
            return quotient
        return pc.subtract(values[0], pc.cast(pc.multiply(quotient, values[1]), values[0].type))
    function: Callable[..., Any] = getattr(pc, name)
    return function(*values, **options)


def _as_double(pc: Any, value: Any) -> Any:
    """Division is true division, as in Python."""
    if isinstance(value, pc.Expression):
        return value.cast(pa.float64())
    return pc.cast(value, pa.float64()) if pa.types.is_integer(value.type) else value


def _binary(name: str, left: Any, right: Any) -> Expr:
    return Expr(name, [_expression(left), _expression(right)])


def _expression(value: Any) -> Expr:
    return value if isinstance(value, Expr) else lit(value)


def col(name: str) -> Expr:
    """The column of that name."""
    return Expr("column", [name])


def lit(value: Any) -> Expr:
    """A constant."""
    return Expr("literal", [value])


_COMPARE = {
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
}
_ARITHMETIC = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Mod: "mod",
    ast.FloorDiv: "floor_divide",
    ast.BitAnd: "and_kleene",
    ast.BitOr: "or_kleene",
}


def parse_expression(text: str) -> Expr:
    """An expression written as text: `parse_expression("id >= 10 and name in ['a', 'b']")`."""
    try:
        return _parsed(ast.parse(text, mode="eval").body, text)
    except SyntaxError as error:
        raise ValueError(f"cannot read the expression {text!r}: {error.msg}") from error


def _parsed(node: ast.expr, text: str) -> Expr:
    if isinstance(node, ast.Name):
        return col(node.id)
    if isinstance(node, ast.Constant):
        return lit(node.value)
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        return Expr(_ARITHMETIC[type(node.op)], [_parsed(node.left, text), _parsed(node.right, text)])
    if isinstance(node, ast.BoolOp):
        values = [_parsed(value, text) for value in node.values]
        name = "and_kleene" if isinstance(node.op, ast.And) else "or_kleene"
        out = values[0]
        for value in values[1:]:
            out = Expr(name, [out, value])
        return out
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert)):
        return ~_parsed(node.operand, text)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_parsed(node.operand, text)
    if isinstance(node, ast.Compare):
        return _parsed_comparison(node, text)
    raise ValueError(f"the expression {text!r} has a part that is not known here: {ast.unparse(node)!r}")


def _parsed_comparison(node: ast.Compare, text: str) -> Expr:
    out: Expr | None = None
    left = node.left
    for operator, right in zip(node.ops, node.comparators, strict=False):
        if isinstance(operator, (ast.In, ast.NotIn)):
            part = _parsed(left, text).is_in(ast.literal_eval(right))
            part = ~part if isinstance(operator, ast.NotIn) else part
        elif type(operator) in _COMPARE:
            part = Expr(_COMPARE[type(operator)], [_parsed(left, text), _parsed(right, text)])
        else:
            raise ValueError(f"the expression {text!r} compares in a way that is not known here")
        out = part if out is None else out & part
        left = right
    assert out is not None
    return out
