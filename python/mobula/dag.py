"""Lazy graphs: `f.bind(...)` makes a node, `node.execute(...)` runs the graph and gives references.

>>> with InputNode() as x:
...     graph = add.bind(double.bind(x), x)
>>> mobula.get(graph.execute(3))
9
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ClassMethodNode", "ClassNode", "DAGNode", "FunctionNode", "InputAttributeNode", "InputNode",
    "MultiOutputNode",
]  # fmt: skip


class _Run:
    """One execution: its inputs, and what each node gave; a node used twice runs once."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs
        self.given: dict[int, Any] = {}

    def value(self, node: DAGNode) -> Any:
        if id(node) not in self.given:
            self.given[id(node)] = node._run(self)
        return self.given[id(node)]

    def filled(self, thing: Any) -> Any:
        """An argument with the nodes in it replaced by what they gave."""
        if isinstance(thing, DAGNode):
            return self.value(thing)
        if type(thing) in (list, tuple):
            return type(thing)(self.filled(item) for item in thing)
        if type(thing) is dict:
            return {key: self.filled(item) for key, item in thing.items()}
        return thing


class DAGNode:
    """A node of a graph."""

    def __init__(self, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> None:
        self._bound_args, self._bound_kwargs = args, kwargs or {}

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the graph that ends here on these inputs; a reference, or a list of them."""
        return _Run(args, kwargs).value(self)

    def experimental_compile(self, *args: Any, **kwargs: Any) -> Any:
        """Compiled graphs are not available yet."""
        raise NotImplementedError("compiled graphs are not available yet; use execute()")

    def _run(self, run: _Run) -> Any:
        raise NotImplementedError

    def _call(self, target: Any, run: _Run) -> Any:
        args = [run.filled(argument) for argument in self._bound_args]
        kwargs = {name: run.filled(argument) for name, argument in self._bound_kwargs.items()}
        return target.remote(*args, **kwargs)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a node of a graph cannot be sent elsewhere; execute() the graph and send the reference"
        )


class FunctionNode(DAGNode):
    """A call of a remote function."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(args, kwargs)
        self._function = function

    def _run(self, run: _Run) -> Any:
        return self._call(self._function, run)


class ClassNode(DAGNode):
    """An actor that each execution makes; its methods can be bound."""

    def __init__(self, actor_class: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(args, kwargs)
        self._actor_class = actor_class

    def _run(self, run: _Run) -> Any:
        return self._call(self._actor_class, run)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return _UnboundMethod(self, name)


class _UnboundMethod:
    """`node.method`, on which bind() is called."""

    def __init__(self, node: ClassNode, name: str) -> None:
        self._node, self._name = node, name

    def bind(self, *args: Any, **kwargs: Any) -> ClassMethodNode:
        """A call of the method."""
        return ClassMethodNode((self._node, self._name), args, kwargs)


class ClassMethodNode(DAGNode):
    """A call of a method, of a living actor or of one that the graph makes."""

    def __init__(self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(args, kwargs)
        self._method = method

    def _run(self, run: _Run) -> Any:
        if isinstance(self._method, tuple):
            node, name = self._method
            return self._call(getattr(run.value(node), name), run)
        return self._call(self._method, run)


class InputNode(DAGNode):
    """The input of an execution; `input[0]` and `input.name` are its parts."""

    def __enter__(self) -> InputNode:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __getitem__(self, key: int | str) -> InputAttributeNode:
        return InputAttributeNode(key)

    def __getattr__(self, name: str) -> InputAttributeNode:
        if name.startswith("_"):
            raise AttributeError(name)
        return InputAttributeNode(name)

    def _run(self, run: _Run) -> Any:
        if len(run.args) == 1 and not run.kwargs:
            return run.args[0]
        raise ValueError(
            f"the graph uses its input as a whole, but execute() was given {len(run.args)} positional and "
            f"{len(run.kwargs)} keyword arguments"
        )


class InputAttributeNode(DAGNode):
    """A part of the input: a positional argument, a keyword argument, or an item of the only argument."""

    def __init__(self, key: int | str) -> None:
        super().__init__()
        self._key = key

    def _run(self, run: _Run) -> Any:
        if isinstance(self._key, str) and self._key in run.kwargs:
            return run.kwargs[self._key]
        if isinstance(self._key, int) and (len(run.args) > 1 or run.kwargs):
            return run.args[self._key]
        whole = run.args[0]
        if isinstance(self._key, str) and hasattr(whole, self._key):
            return getattr(whole, self._key)
        return whole[self._key]


class MultiOutputNode(DAGNode):
    """Several nodes as one: execute() gives a list."""

    def __init__(self, nodes: list[DAGNode]) -> None:
        super().__init__(tuple(nodes))

    def _run(self, run: _Run) -> Any:
        return [run.value(node) for node in self._bound_args]
