"""Queue: a first-in first-out queue that tasks and actors share; it lives in an async actor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from queue import Empty, Full
from typing import Any

import mobula

__all__ = ["Empty", "Full", "Queue"]


class _QueueActor:
    def __init__(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    def qsize(self) -> int:
        return self.queue.qsize()

    def empty(self) -> bool:
        return self.queue.empty()

    def full(self) -> bool:
        return self.queue.full()

    async def put(self, item: Any, timeout: float | None = None) -> None:
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except TimeoutError:
            raise Full from None

    async def get(self, timeout: float | None = None) -> Any:
        try:
            return await asyncio.wait_for(self.queue.get(), timeout)
        except TimeoutError:
            raise Empty from None

    def put_nowait(self, item: Any) -> None:
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            raise Full from None

    def put_nowait_batch(self, items: list[Any]) -> None:
        if self.maxsize > 0 and len(items) + self.qsize() > self.maxsize:
            raise Full(f"{len(items)} items do not fit: {self.qsize()} of {self.maxsize} places are taken")
        for item in items:
            self.queue.put_nowait(item)

    def get_nowait(self) -> Any:
        try:
            return self.queue.get_nowait()
        except asyncio.QueueEmpty:
            raise Empty from None

    def get_nowait_batch(self, count: int) -> list[Any]:
        if count > self.qsize():
            raise Empty(f"there are {self.qsize()} items, not {count}")
        return [self.queue.get_nowait() for _ in range(count)]


class Queue:
    """A queue that any number of tasks and actors put into and get from; `maxsize` 0 is without limit.

    >>> queue = Queue(maxsize=10)
    >>> queue.put("a")
    >>> queue.get()
    'a'
    """

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        self.maxsize = maxsize
        options = {"num_cpus": 0, **(actor_options or {})}
        self.actor = mobula.remote(_QueueActor).options(**options).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        """The number of items."""
        return int(mobula.get(self.actor.qsize.remote()))

    def qsize(self) -> int:
        """The number of items."""
        return self.size()

    def empty(self) -> bool:
        """Whether there is no item."""
        return bool(mobula.get(self.actor.empty.remote()))

    def full(self) -> bool:
        """Whether there is no room."""
        return bool(mobula.get(self.actor.full.remote()))

    @staticmethod
    def _check_timeout(timeout: float | None) -> None:
        if timeout is not None and timeout < 0:
            raise ValueError(f"'timeout' must not be negative: {timeout}")

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item, waiting for room; Full when there is none in time."""
        self._check_timeout(timeout)
        call = self.actor.put.remote(item, timeout) if block else self.actor.put_nowait.remote(item)
        _get(call)

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """put() for event loops."""
        self._check_timeout(timeout)
        await (self.actor.put.remote(item, timeout) if block else self.actor.put_nowait.remote(item))

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the oldest item, waiting for one; Empty when none comes in time."""
        self._check_timeout(timeout)
        return _get(self.actor.get.remote(timeout) if block else self.actor.get_nowait.remote())

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        """get() for event loops."""
        self._check_timeout(timeout)
        return await (self.actor.get.remote(timeout) if block else self.actor.get_nowait.remote())

    def put_nowait(self, item: Any) -> None:
        """Adds an item, or raises Full."""
        self.put(item, block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Adds all items, or raises Full and adds none."""
        if not isinstance(items, Iterable):
            raise TypeError(f"put_nowait_batch() takes an iterable, not {items!r}")
        _get(self.actor.put_nowait_batch.remote(list(items)))

    def get_nowait(self) -> Any:
        """Takes the oldest item, or raises Empty."""
        return self.get(block=False)

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Takes so many items, or raises Empty and takes none."""
        if not isinstance(num_items, int):
            raise TypeError(f"'num_items' must be an int, not {num_items!r}")
        if num_items < 0:
            raise ValueError(f"'num_items' must not be negative: {num_items}")
        return list(_get(self.actor.get_nowait_batch.remote(num_items)))

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the queue's actor; without `force` what was called before is done first, for so many
        seconds."""
        if self.actor is not None:
            if not force:
                mobula.wait([self.actor.__ray_terminate__.remote()], timeout=grace_period_s)
            mobula.kill(self.actor)
        self.actor = None


def _get(ref: Any) -> Any:
    """The value, with Full and Empty as they are in the standard library."""
    try:
        return mobula.get(ref)
    except (Full, Empty) as error:
        kind: type[Exception] = Full if isinstance(error, Full) else Empty
        raise kind(str(getattr(error, "cause", ""))) from None
