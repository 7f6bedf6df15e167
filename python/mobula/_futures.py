"""References as futures: awaiting them on an event loop, and concurrent.futures for everybody else.

Engine threads never run Python: they signal a Waker. Each event loop reads its own, and one daemon thread,
started when first needed, reads the one behind `ref.future()`.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
import weakref
from collections.abc import Callable
from typing import Any

from mobula import _core

_tokens = itertools.count(1)


class _LoopFutures:
    """The futures of one event loop that wait for objects."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.waker = _core.Waker()
        self.pending: dict[int, tuple[asyncio.Future[Any], _core.ObjectRef[Any], bool]] = {}
        loop.add_reader(self.waker.fileno(), self.take)

    def add(
        self, loop: asyncio.AbstractEventLoop, ref: _core.ObjectRef[Any], read: bool
    ) -> asyncio.Future[Any]:
        """A future of the value of `ref`, or, without `read`, only of its being there."""
        future = loop.create_future()
        token = next(_tokens)
        self.pending[token] = future, ref, read
        self.waker.notify(token, ref)
        return future

    def take(self) -> None:
        for token in self.waker.take():
            future, ref, read = self.pending.pop(token)
            if not future.done():
                _settle(future, ref, read)


def _settle(future: Any, ref: _core.ObjectRef[Any], read: bool) -> None:
    try:
        value = _core.get(ref) if read else None
    except StopIteration as error:  # a future cannot carry it
        future.set_exception(RuntimeError(f"the task raised {error!r}"))
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)


_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopFutures] = weakref.WeakKeyDictionary()


def _add(ref: _core.ObjectRef[Any], read: bool) -> asyncio.Future[Any]:
    loop = asyncio.get_running_loop()
    futures = _loops.get(loop)
    if futures is None:
        futures = _loops[loop] = _LoopFutures(loop)
    return futures.add(loop, ref, read)


def await_ref(ref: _core.ObjectRef[Any]) -> asyncio.Future[Any]:
    """An asyncio.Future of the value, in the running loop."""
    return _add(ref, True)


def ready(ref: _core.ObjectRef[Any]) -> asyncio.Future[Any]:
    """An asyncio.Future that is done when the object is there."""
    return _add(ref, False)


class _ThreadFutures:
    """The thread behind ref.future(); ended at the interpreter's end."""

    def __init__(self) -> None:
        self.waker = _core.Waker()
        self.pending: dict[int, Callable[[], None]] = {}
        self.ended = False
        self.thread = threading.Thread(target=self._run, daemon=True, name="mobula-futures")
        self.thread.start()

    def add(self, ref: _core.ObjectRef[Any], then: Callable[[], None]) -> None:
        token = next(_tokens)
        self.pending[token] = then
        self.waker.notify(token, ref)

    def end(self) -> None:
        self.ended = True
        self.waker.signal(0)
        self.thread.join(1)

    def _run(self) -> None:
        while not self.ended:
            self.waker.wait(-1)
            for token in self.waker.take():
                then = self.pending.pop(token, None)
                if then is not None:
                    then()


_thread: _ThreadFutures | None = None
_lock = threading.Lock()


def call_when_ready(ref: _core.ObjectRef[Any], then: Callable[[], None]) -> None:
    """Calls `then()` on a thread of its own once the object is there."""
    global _thread
    with _lock:
        if _thread is None:
            _thread = _ThreadFutures()
    _thread.add(ref, then)


def ref_future(ref: _core.ObjectRef[Any]) -> concurrent.futures.Future[Any]:
    """A concurrent.futures.Future of the value."""
    future: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def settle() -> None:
        if future.set_running_or_notify_cancel():
            _settle(future, ref, True)

    call_when_ready(ref, settle)
    return future


def end() -> None:
    """Ends the thread, if there is one."""
    global _thread
    if _thread is not None:
        _thread.end()
        _thread = None


def forget() -> None:
    """In a forked child: threads and loops are the parent's."""
    global _thread
    _thread = None
    _loops.clear()
