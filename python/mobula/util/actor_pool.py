"""ActorPool: work for a fixed set of actors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import mobula


class ActorPool:
    """Gives values to whichever of its actors is free.

    >>> pool = ActorPool([Worker.remote(), Worker.remote()])
    >>> list(pool.map(lambda actor, value: actor.double.remote(value), [1, 2, 3]))
    [2, 4, 6]
    """

    def __init__(self, actors: Iterable[Any]) -> None:
        self._idle = list(actors)
        self._actor_of: dict[Any, tuple[int, Any]] = {}  # by future: its number and its actor
        self._future_of: dict[int, Any] = {}
        self._next_submitted = self._next_returned = 0
        self._waiting: list[tuple[Callable[[Any, Any], Any], Any]] = []

    def map(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """Calls fn(actor, value) for each value; yields the results in the order of the values."""
        self._forget_results()
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield self.get_next()

        return results()

    def map_unordered(self, fn: Callable[[Any, Any], Any], values: Iterable[Any]) -> Iterator[Any]:
        """As map(), in the order in which the results are ready."""
        self._forget_results()
        for value in values:
            self.submit(fn, value)

        def results() -> Iterator[Any]:
            while self.has_next():
                yield self.get_next_unordered()

        return results()

    def _forget_results(self) -> None:
        """Results of earlier work that nobody took are not results of this map."""
        while self.has_next():
            try:
                self.get_next(timeout=0)
            except TimeoutError:
                pass

    def submit(self, fn: Callable[[Any, Any], Any], value: Any) -> None:
        """Starts fn(actor, value) on a free actor, or when one becomes free."""
        if not self._idle:
            self._waiting.append((fn, value))
            return
        actor = self._idle.pop()
        future = fn(actor, value)
        key = tuple(future) if isinstance(future, list) else future
        self._actor_of[key] = self._next_submitted, actor
        self._future_of[self._next_submitted] = future
        self._next_submitted += 1

    def has_next(self) -> bool:
        """Whether there are results to come."""
        return bool(self._actor_of)

    def get_next(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result of the earliest submission; TimeoutError after `timeout` seconds."""
        if not self.has_next():
            raise StopIteration("no more results to get")
        future = self._future_of.get(self._next_returned)
        if future is None:
            raise ValueError("get_next() after get_next_unordered() is not possible: its result is gone")
        if timeout is not None and not mobula.wait([future], timeout=timeout)[0]:
            if not ignore_if_timedout:
                raise TimeoutError(f"no result within {timeout} s")
            self._take(future)
            return None
        self._take(future)
        return mobula.get(future)

    def get_next_unordered(self, timeout: float | None = None, ignore_if_timedout: bool = False) -> Any:
        """The result that is ready first; TimeoutError after `timeout` seconds."""
        if not self.has_next():
            raise StopIteration("no more results to get")
        ready, _ = mobula.wait(list(self._actor_of), num_returns=1, timeout=timeout)
        if not ready:
            if ignore_if_timedout:
                return None
            raise TimeoutError(f"no result within {timeout} s")
        self._take(ready[0])
        return mobula.get(ready[0])

    def _take(self, future: Any) -> None:
        key = tuple(future) if isinstance(future, list) else future
        number, actor = self._actor_of.pop(key)
        self._future_of.pop(number)
        while self._next_returned < self._next_submitted and self._next_returned not in self._future_of:
            self._next_returned += 1
        self._return(actor)

    def _return(self, actor: Any) -> None:
        self._idle.append(actor)
        if self._waiting:
            self.submit(*self._waiting.pop(0))

    def has_free(self) -> bool:
        """Whether an actor is free and no work waits."""
        return bool(self._idle) and not self._waiting

    def pop_idle(self) -> Any:
        """Takes a free actor out of the pool; None if there is none."""
        return self._idle.pop() if self.has_free() else None

    def push(self, actor: Any) -> None:
        """Adds an actor."""
        if actor in self._idle or any(actor == busy for _, busy in self._actor_of.values()):
            raise ValueError("the actor is in the pool already")
        self._return(actor)
