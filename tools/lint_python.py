"""The rules for Python files that ruff and mypy do not know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import lint_rules as rules

Finding = tuple[int, str, str]  # line, rule, text
_WORD = re.compile(r"[A-Z][a-z0-9]*")


def check(path: str, text: str) -> Iterator[Finding]:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield error.lineno or 1, "syntax", error.msg
        return
    shipped = path.startswith("python/")
    if shipped and text.strip() and ast.get_docstring(tree) is None:
        yield 1, "opening", "begins with a docstring: what it is, its invariant, its tests"
    may_read = not shipped or rules.allowed(path, rules.ENVIRONMENT_ALLOWED)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            if bad := rules.FORBIDDEN_TYPE_WORDS.intersection(_WORD.findall(node.name)):
                yield node.lineno, "name", f"{node.name}: name the thing, not {min(bad)}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _check_length(node)
        elif isinstance(node, ast.expr) and not may_read and _reads_environment(node):
            yield (
                node.lineno,
                "environment",
                "read the environment in python/mobula/_environment.py, pass it on",
            )
        if path.startswith("tests/python/"):
            yield from _check_real_time(node)


def _check_length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Finding]:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    if lines > rules.FUNCTION_LINES:
        yield node.lineno, "function-length", f"{node.name}: {lines} lines, {rules.FUNCTION_LINES} at most"


def _is_os(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr == name
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    )


def _reads_environment(node: ast.AST) -> bool:
    """os.getenv, os.environ.get, os.environ[...] as a value; to set a variable is something else."""
    if isinstance(node, ast.Subscript):
        return _is_os(node.value, "environ") and isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.Call):
        if _is_os(node.func, "getenv"):
            return True
        return (
            isinstance(node.func, ast.Attribute)
            and node.func.attr == "get"
            and _is_os(node.func.value, "environ")
        )
    return False


def _check_real_time(node: ast.AST) -> Iterator[Finding]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sleep":
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "time":
            yield (
                node.lineno,
                "real-time",
                "time.sleep: a unit test has no sleep; real processes are tested in tests/contract",
            )
    if isinstance(node, ast.Import) and any(name.name == "socket" for name in node.names):
        yield node.lineno, "real-time", "socket: a unit test has no socket"
