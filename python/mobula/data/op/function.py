"""Users' functions as stages of a fragment carry them: what to call, with which arguments, and its instance.

A class is instantiated once in each process that runs it. Async functions run several items at a time on an
event loop of their own. Tests: tests/python/test_data_fragment.py.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

ASYNC_WIDTH = 8  # items of an async function under way at once


class UserFunction:
    """A function, callable object or class with the arguments that belong to it."""

    def __init__(
        self,
        fn: Any,
        fn_args: Iterable[Any] | None = None,
        fn_kwargs: dict[str, Any] | None = None,
        constructor_args: Iterable[Any] | None = None,
        constructor_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if not callable(fn):
            raise ValueError(f"expected a function or a class with __call__, got {fn!r} of {type(fn)}")
        self.fn = fn
        self.args = tuple(fn_args or ())
        self.kwargs = dict(fn_kwargs or {})
        self.constructor_args = tuple(constructor_args or ())
        self.constructor_kwargs = dict(constructor_kwargs or {})
        self._instance: Any = None
        self.is_class = isinstance(fn, type)  # an instance is made in each process
        self.is_async = _is_async(fn)
        if not self.is_class and (self.constructor_args or self.constructor_kwargs):
            raise ValueError(
                f"fn_constructor_args and fn_constructor_kwargs are for classes, {self.name} is none"
            )
        if self.is_class and not callable(getattr(fn, "__call__", None)):  # noqa: B004
            raise ValueError(f"the class {self.name} needs a __call__ method")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_instance": None}

    @property
    def name(self) -> str:
        """As stats and errors show it."""
        fn = getattr(self.fn, "func", self.fn)  # functools.partial
        return getattr(fn, "__name__", type(fn).__name__)

    def open(self) -> None:
        """Fetches arguments that are references, and makes the instance of a class; once in a process."""
        self.args, self.kwargs = _fetched(self.args), _fetched(self.kwargs)
        self.constructor_args = _fetched(self.constructor_args)
        self.constructor_kwargs = _fetched(self.constructor_kwargs)
        if self.is_class and self._instance is None:
            self._instance = self.fn(*self.constructor_args, **self.constructor_kwargs)

    @property
    def target(self) -> Callable[..., Any]:
        """What is called for each item."""
        return self._instance if self.is_class else self.fn  # type: ignore[no-any-return]

    def __call__(self, item: Any) -> Any:
        return self.target(item, *self.args, **self.kwargs)

    def results(self, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """Each item with the function's answer to it, in order."""
        if not self.is_async:
            for item in items:
                yield item, self(item)
            return
        yield from _async_results(self, items)


Arguments = TypeVar("Arguments", tuple[Any, ...], dict[str, Any])


def _fetched(arguments: Arguments) -> Arguments:
    """The arguments with references in place replaced by their values, as for a remote function."""
    values = arguments.values() if isinstance(arguments, dict) else arguments
    if not any(type(value).__name__ == "ObjectRef" for value in values):
        return arguments
    from mobula import _core

    def fetch(value: Any) -> Any:
        return _core.get(value) if isinstance(value, _core.ObjectRef) else value

    if isinstance(arguments, dict):
        return {name: fetch(value) for name, value in arguments.items()}
    return tuple(fetch(value) for value in arguments)


def _is_async(fn: Any) -> bool:
    """Is it a coroutine function or an async generator function, or does a class or object have such a
    __call__?
    """
    candidates = (fn, getattr(fn, "__call__", None))  # noqa: B004
    return any(inspect.iscoroutinefunction(one) or inspect.isasyncgenfunction(one) for one in candidates)


def _async_results(function: UserFunction, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    loop = asyncio.new_event_loop()
    under_way: deque[tuple[Any, asyncio.Task[Any]]] = deque()
    try:
        for item in items:
            under_way.append((item, loop.create_task(_answer(function, item))))
            if len(under_way) >= ASYNC_WIDTH:
                first, task = under_way.popleft()
                yield first, loop.run_until_complete(task)
        while under_way:
            first, task = under_way.popleft()
            yield first, loop.run_until_complete(task)
    finally:
        for _, task in under_way:
            task.cancel()
        if under_way:
            loop.run_until_complete(asyncio.gather(*(task for _, task in under_way), return_exceptions=True))
        loop.close()


async def _answer(function: UserFunction, item: Any) -> Any:
    answer = function(item)
    if inspect.isasyncgen(answer):
        return iter([part async for part in answer])
    return await answer
