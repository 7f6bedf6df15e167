"""Async actors: one event loop in a thread of its own runs all calls, as many at once as each group allows.

The extension queues calls without the GIL and wakes the loop by an eventfd; the loop takes them in batches.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import threading
from collections import deque
from typing import Any

from mobula import _core
from mobula.exceptions import TaskCancelledError

current_call: contextvars.ContextVar[_core.ActorCall | None] = contextvars.ContextVar(
    "mobula_call", default=None
)


class _Lane:
    """The calls of one concurrency group."""

    def __init__(self, limit: int) -> None:
        self.limit, self.running = limit, 0
        self.waiting: deque[_core.ActorCall] = deque()


class ActorLoop:
    """The event loop of the actor that this process is."""

    def __init__(self, lanes: dict[str, int]) -> None:
        self.lanes = {name: _Lane(limit) for name, limit in lanes.items()}
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.loop = asyncio.new_event_loop()

    def run(self) -> None:
        """The body of the loop's thread."""
        asyncio.set_event_loop(self.loop)
        self.loop.add_reader(_core.loop_fd(), self._take)
        self.loop.run_forever()

    def _take(self) -> None:
        for call in _core.take_calls():
            if isinstance(call, int):
                task = self.tasks.get(call)
                if task is not None:
                    task.cancel()
                continue
            lane = self.lanes.get(call.group) or self.lanes[""]
            if lane.running < lane.limit:
                self._start(call, lane)
            else:
                lane.waiting.append(call)

    def _start(self, call: _core.ActorCall, lane: _Lane) -> None:
        lane.running += 1
        self.tasks[call.task] = self.loop.create_task(self._drive(call, lane))

    async def _drive(self, call: _core.ActorCall, lane: _Lane) -> None:
        current_call.set(call)
        try:
            if call.cancelled:
                raise asyncio.CancelledError
            result = call.start()
            if call.streams:
                await _stream(call, result)
                return
            if inspect.isawaitable(result):
                result = await result
            call.finish(result)
        except BaseException as error:
            cancelled = isinstance(error, (asyncio.CancelledError, TaskCancelledError)) and call.cancelled
            call.fail(error, cancelled)
        finally:
            self.tasks.pop(call.task, None)
            lane.running -= 1
            if lane.waiting and lane.running < lane.limit:
                self._start(lane.waiting.popleft(), lane)


async def _stream(call: _core.ActorCall, result: Any) -> None:
    """Sends the items of a generator one by one; answers the call."""
    index = 0
    try:
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):
            async for item in result:
                if not await _send(call, index, item):
                    await result.aclose()
                    break
                index += 1
        else:
            for item in result:
                if not await _send(call, index, item):
                    break
                index += 1
    except BaseException as error:
        call.fail(error, isinstance(error, asyncio.CancelledError) and call.cancelled)
    else:
        call.end_stream()


async def _send(call: _core.ActorCall, index: int, item: Any) -> int:
    if not call.may_block:
        return call.stream(index, item)
    return await asyncio.get_running_loop().run_in_executor(None, call.stream, index, item)


def start(made: type, args: tuple[Any, ...], kwargs: dict[str, Any], lanes: dict[str, int]) -> Any:
    """Starts the loop and makes the actor's instance in it."""
    actor_loop = ActorLoop(lanes)
    threading.Thread(target=actor_loop.run, daemon=True, name="mobula-loop").start()

    async def construct() -> Any:
        return made(*args, **kwargs)

    future: concurrent.futures.Future[Any] = asyncio.run_coroutine_threadsafe(construct(), actor_loop.loop)
    return future.result()
