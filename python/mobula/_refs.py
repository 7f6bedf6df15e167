"""Generators of references: what a streaming task, and one with num_returns="dynamic", give."""

from __future__ import annotations

from mobula import _core
from mobula._core import ObjectRef
from mobula._ids import TaskID

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class ObjectRefGenerator(_core.Stream):
    """Yields an ObjectRef for each value of a generator task, as soon as it is there; with `async for` too.

    An error of the task comes as one last reference, whose get() raises. Not thread-safe, cannot be sent
    elsewhere.
    """

    def __aiter__(self) -> ObjectRefGenerator:
        return self

    async def __anext__(self) -> ObjectRef[Any]:
        from mobula import _futures

        asked = self._asked()
        if asked is not None:
            await _futures.ready(asked)
            item = self._next(None)
            if item is not None:
                return item
        raise StopAsyncIteration

    def task_id(self) -> TaskID:
        """The task that yields."""
        return TaskID(self._first()[:8])

    def next_ready(self) -> bool:
        """True when the next value, or the end, is there."""
        asked = self._asked()
        return asked is None or bool(_core.wait([asked], 1, 0, True)[0])

    def _next_sync(self, timeout_s: float | None = None) -> ObjectRef[Any]:
        """The next reference, or a nil one when `timeout_s` passes first."""
        from mobula.exceptions import GetTimeoutError

        try:
            item = self._next(None if timeout_s is None or timeout_s < 0 else timeout_s)
        except GetTimeoutError:
            return ObjectRef.nil()
        if item is None:
            raise StopIteration
        return item

    def send(self, value: Any) -> Any:
        """Not supported: the generator runs elsewhere."""
        raise NotImplementedError("send() does not reach the generator, which runs in another process")

    def throw(self, *error: Any) -> Any:
        """Not supported: the generator runs elsewhere."""
        raise NotImplementedError("throw() does not reach the generator, which runs in another process")

    def close(self) -> None:
        """Not supported: drop the generator, or cancel() it."""
        raise NotImplementedError("drop the generator, or mobula.cancel() it, instead of close()")

    def __repr__(self) -> str:
        return f"ObjectRefGenerator({self.task_id().hex()})"

    def __reduce__(self) -> Any:
        raise TypeError("an ObjectRefGenerator cannot be sent elsewhere; send the references that it yields")


class DynamicObjectRefGenerator:
    """The references that a task with num_returns="dynamic" made, once it has ended. Iterate over it."""

    def __init__(self, refs: list[ObjectRef[Any]]) -> None:
        self._refs = refs

    def __iter__(self) -> Iterator[ObjectRef[Any]]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)


def make_stream(number: int) -> ObjectRefGenerator:
    """The generator of task `number`."""
    return ObjectRefGenerator(number)
