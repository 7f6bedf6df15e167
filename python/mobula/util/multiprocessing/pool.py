"""Pool: the interface of multiprocessing.Pool; its processes are actors, its work goes to them in chunks."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import TimeoutError
from typing import Any

import mobula
from mobula._futures import call_when_ready

__all__ = ["AsyncResult", "Pool"]


class _PoolActor:
    def __init__(self, initializer: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
        if initializer is not None:
            initializer(*arguments)

    def ping(self) -> None:
        pass

    def run(
        self, function: Callable[..., Any], batch: list[tuple[tuple[Any, ...], dict[str, Any]]]
    ) -> list[Any]:
        """A pair for each call: (True, result) or (False, exception)."""
        results: list[Any] = []
        for args, kwargs in batch:
            try:
                results.append((True, function(*args, **kwargs)))
            except Exception as error:
                results.append((False, error))
        return results


class AsyncResult:
    """The results of calls that are under way."""

    def __init__(
        self,
        refs: list[Any],
        single: bool,
        callback: Callable[[Any], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> None:
        self._refs, self._single = refs, single
        self._callback, self._error_callback = callback, error_callback
        if callback or error_callback:
            self._left = len(refs)
            for ref in refs:
                call_when_ready(ref, self._one_ready)

    def _one_ready(self) -> None:
        self._left -= 1
        if self._left:
            return
        try:
            value = self.get()
        except Exception as error:
            if self._error_callback:
                self._error_callback(error)
        else:
            if self._callback:
                self._callback(value)

    def wait(self, timeout: float | None = None) -> None:
        """Waits until all are there, or `timeout` seconds have passed."""
        if self._refs:
            mobula.wait(self._refs, num_returns=len(self._refs), timeout=timeout)

    def get(self, timeout: float | None = None) -> Any:
        """The result, or the list of them; raises what the function raised, TimeoutError after `timeout`
        seconds."""
        self.wait(timeout)
        if not self.ready():
            raise TimeoutError(f"no result within {timeout} s")
        results = []
        for done, value in itertools.chain.from_iterable(mobula.get(self._refs)):
            if not done:
                raise value
            results.append(value)
        return results[0] if self._single else results

    def ready(self) -> bool:
        """Whether all are there."""
        return not self._refs or len(
            mobula.wait(self._refs, num_returns=len(self._refs), timeout=0)[0]
        ) == len(self._refs)

    def successful(self) -> bool:
        """Whether all are there without an exception; ValueError if not all are there."""
        if not self.ready():
            raise ValueError("the result is not ready")
        return all(done for done, _ in itertools.chain.from_iterable(mobula.get(self._refs)))


class _Results(Iterator[Any]):
    """The results of imap: chunks are submitted as results are taken, `ahead` of them at most."""

    def __init__(
        self, pool: Pool, function: Callable[..., Any], items: Iterable[Any], size: int, ordered: bool
    ) -> None:
        self._chunks = pool._chunks(items, size)
        self._pool, self._function, self._ordered = pool, function, ordered
        self._refs: list[Any] = []
        self._ready: collections.deque[Any] = collections.deque()
        for chunk in itertools.islice(self._chunks, 4 * pool._processes):
            self._refs.append(pool._submit(function, chunk))

    def __iter__(self) -> _Results:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next result; TimeoutError after `timeout` seconds."""
        if not self._ready:
            self._fetch(timeout)
        done, value = self._ready.popleft()
        if not done:
            raise value
        return value

    def __next__(self) -> Any:
        return self.next()

    def _fetch(self, timeout: float | None) -> None:
        if not self._refs:
            raise StopIteration
        ready, _ = mobula.wait(
            self._refs[:1] if self._ordered else self._refs, num_returns=1, timeout=timeout
        )
        if not ready:
            raise TimeoutError(f"no result within {timeout} s")
        self._refs.remove(ready[0])
        chunk = next(self._chunks, None)
        if chunk is not None:
            self._refs.append(self._pool._submit(self._function, chunk))
        self._ready.extend(mobula.get(ready[0]))


class Pool:
    """multiprocessing.Pool whose processes are actors.

    >>> with Pool(processes=2) as pool:
    ...     pool.map(abs, [-1, -2])
    [1, 2]
    """

    def __init__(
        self,
        processes: int | None = None,
        initializer: Callable[..., None] | None = None,
        initargs: Iterable[Any] | None = None,
        maxtasksperchild: int | None = None,
        context: Any = None,
        ray_address: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
    ) -> None:
        if not mobula.is_initialized():
            mobula.init(ray_address)
        available = int(mobula.cluster_resources().get("CPU", 1))
        self._processes = available if processes is None else processes
        if self._processes < 1:
            raise ValueError(f"a pool has at least one process, not {processes}")
        self._closed = False
        options = {"num_cpus": 1 if self._processes <= available else 0, **(ray_remote_args or {})}
        made = mobula.remote(_PoolActor).options(**options)
        self._initial = initializer, tuple(initargs or ())
        self._actors = [made.remote(*self._initial) for _ in range(self._processes)]
        mobula.get([actor.ping.remote() for actor in self._actors])
        self._turn = itertools.cycle(self._actors)
        self._open: list[Any] = []

    def _check(self) -> None:
        if self._closed:
            raise ValueError("the pool is closed")

    def _submit(self, function: Callable[..., Any], batch: list[Any]) -> Any:
        if len(self._open) > 1000:
            self._open = mobula.wait(self._open, num_returns=len(self._open), timeout=0)[1]
        ref = next(self._turn).run.remote(function, batch)
        self._open.append(ref)
        return ref

    def _chunks(self, items: Iterable[Any], size: int) -> Iterator[list[Any]]:
        iterator = iter(items)
        while items_now := list(itertools.islice(iterator, size)):
            yield [((item,), {}) for item in items_now]

    def _map(
        self, function: Callable[..., Any], calls: list[Any], chunksize: int | None, *callbacks: Any
    ) -> AsyncResult:
        self._check()
        size = chunksize or max(1, math.ceil(len(calls) / (4 * self._processes)))
        if size < 1:
            raise ValueError(f"chunksize must be at least 1, not {chunksize}")
        refs = [self._submit(function, calls[at : at + size]) for at in range(0, len(calls), size)]
        return AsyncResult(refs, False, *callbacks)

    def apply(
        self, func: Callable[..., Any], args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """func(*args, **kwargs) in one of the processes."""
        return self.apply_async(func, args, kwargs).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwargs: dict[str, Any] | None = None,
        callback: Callable[[Any], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> AsyncResult:
        """As apply(), at once."""
        self._check()
        return AsyncResult(
            [self._submit(func, [(tuple(args), kwargs or {})])], True, callback, error_callback
        )

    def map(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """func(item) for each item, in order."""
        return list(self.map_async(func, iterable, chunksize).get())

    def map_async(
        self,
        func: Callable[[Any], Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> AsyncResult:
        """As map(), at once."""
        return self._map(func, [((item,), {}) for item in iterable], chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None
    ) -> list[Any]:
        """func(*item) for each item, in order."""
        return list(self.starmap_async(func, iterable, chunksize).get())

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], None] | None = None,
        error_callback: Callable[[BaseException], None] | None = None,
    ) -> AsyncResult:
        """As starmap(), at once."""
        return self._map(func, [(tuple(item), {}) for item in iterable], chunksize, callback, error_callback)

    def imap(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> Iterator[Any]:
        """As map(), as an iterator over results in order."""
        self._check()
        return _Results(self, func, iterable, chunksize or 1, True)

    def imap_unordered(
        self, func: Callable[[Any], Any], iterable: Iterable[Any], chunksize: int | None = 1
    ) -> Iterator[Any]:
        """As imap(), in the order in which results are ready."""
        self._check()
        return _Results(self, func, iterable, chunksize or 1, False)

    def __enter__(self) -> Pool:
        self._check()
        return self

    def __exit__(self, *error: object) -> None:
        self.terminate()

    def close(self) -> None:
        """No more work is taken."""
        self._closed = True

    def terminate(self) -> None:
        """Ends the processes at once."""
        self.close()
        for actor in self._actors:
            mobula.kill(actor)
        self._actors = []

    def join(self) -> None:
        """Waits for all work; the pool must be closed."""
        if not self._closed:
            raise ValueError("join() comes after close() or terminate()")
        if self._actors and self._open:
            mobula.wait(self._open, num_returns=len(self._open))
        self._actors = []
