"""Callbacks around the tasks of a Dask graph. Three run in the driver (presubmit, postsubmit, postsubmit_all,
finish), two in the worker (pretask, posttask)."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dask.callbacks import Callback

import mobula


class RayCallback(NamedTuple):
    """The callbacks of one RayDaskCallback; None for those it has not."""

    ray_presubmit: Any = None
    ray_postsubmit: Any = None
    ray_pretask: Any = None
    ray_posttask: Any = None
    ray_postsubmit_all: Any = None
    ray_finish: Any = None


class RayCallbacks(NamedTuple):
    """The callbacks of all that are active, by kind; None for a kind that nobody has."""

    ray_presubmit_cbs: Any = ()
    ray_postsubmit_cbs: Any = ()
    ray_pretask_cbs: Any = ()
    ray_posttask_cbs: Any = ()
    ray_postsubmit_all_cbs: Any = ()
    ray_finish_cbs: Any = ()


_WIDTH = 40  # of the progress bar
_STRAGGLERS_SECONDS = 0.5  # how long the last tasks' counts may be under way after their results
_PAIRED = ("ray_pretask", "ray_posttask")  # their lists keep None, so that a result meets its own pretask


class RayDaskCallback(Callback):  # type: ignore[misc]
    """Dask's Callback with more hooks, as methods of a subclass or as arguments:

    _ray_presubmit(task, key, deps): what it returns, unless None, is taken for the task's result.
    _ray_postsubmit(task, key, deps, object_ref): the task is submitted.
    _ray_pretask(key, object_refs): in the worker, before the task.
    _ray_posttask(key, result, pre_state): in the worker, after it; with what _ray_pretask returned.
    _ray_postsubmit_all(object_refs, dsk): all are submitted.
    _ray_finish(result): all are done.

    Used as a context manager, or register()ed for all computations.
    """

    ray_active: set[RayCallback] = set()

    def __init__(self, **kwargs: Any) -> None:
        for name in RayCallback._fields:
            function = kwargs.pop(name, None)
            if function is not None:
                setattr(self, f"_{name}", function)
        super().__init__(**kwargs)

    @property
    def _ray_callback(self) -> RayCallback:
        return RayCallback(*(getattr(self, f"_{name}", None) for name in RayCallback._fields))

    def __enter__(self) -> RayDaskCallback:
        self._entered = self._ray_callback
        RayDaskCallback.ray_active.add(self._entered)
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        RayDaskCallback.ray_active.discard(self._entered)

    def register(self) -> None:
        """Active for every computation, until unregister()."""
        RayDaskCallback.ray_active.add(self._ray_callback)
        super().register()

    def unregister(self) -> None:
        """Undoes register()."""
        RayDaskCallback.ray_active.remove(self._ray_callback)
        super().unregister()


def normalize(callback: Any) -> RayCallback:
    """A callback in either form."""
    if isinstance(callback, RayDaskCallback):
        return callback._ray_callback
    if isinstance(callback, RayCallback):
        return callback
    raise TypeError(f"Callbacks must be either 'RayDaskCallback' or 'RayCallback', not {callback!r}")


def unpack_ray_callbacks(cbs: Iterable[RayCallback]) -> RayCallbacks:
    """The callbacks by kind."""
    cbs = list(cbs or ())
    if not cbs:
        return RayCallbacks()
    kinds = []
    for name, kind in zip(RayCallback._fields, zip(*cbs, strict=True), strict=True):
        some = [one for one in kind if one is not None]
        kinds.append((list(kind) if name in _PAIRED else some) if some else None)
    return RayCallbacks(*kinds)


@contextlib.contextmanager
def local_ray_callbacks(callbacks: Iterable[Any] | None = None) -> Iterator[Iterable[RayCallback]]:
    """The callbacks of one computation: those given, or the active ones, which a computation inside then does
    not see."""
    if callbacks is not None:
        yield [normalize(one) for one in callbacks]
        return
    active, RayDaskCallback.ray_active = RayDaskCallback.ray_active, set()
    try:
        yield active
    finally:
        RayDaskCallback.ray_active = active


@mobula.remote(num_cpus=0)
class Progress:
    """Counts the tasks of a computation."""

    def __init__(self) -> None:
        self.finished = 0

    def finish(self) -> None:
        """One more is done."""
        self.finished += 1

    def count(self) -> int:
        """How many are done."""
        return self.finished


class ProgressBarCallback(RayDaskCallback):
    """Shows on stderr how many tasks are done."""

    def __init__(self) -> None:
        super().__init__()
        made: Any = Progress
        self.progress = made.remote()
        self.submitted = 0

    def __reduce__(self) -> Any:
        return _rebuild, (self.progress,)

    def _ray_postsubmit(self, task: Any, key: Any, deps: Any, object_ref: Any) -> None:
        self.submitted += 1

    def _ray_posttask(self, key: Any, result: Any, pre_state: Any) -> None:
        self.progress.finish.remote()

    def _ray_postsubmit_all(self, object_refs: Any, dsk: Any) -> None:
        refs = refs_in(object_refs)
        last = None  # when all is done: what a failed task does not count is waited for no longer
        while self._show() < self.submitted and (last is None or time.monotonic() < last):
            ready, _ = mobula.wait(refs, num_returns=len(refs), timeout=0.1) if refs else ([], None)
            if last is None and len(ready) == len(refs):
                last = time.monotonic() + _STRAGGLERS_SECONDS
        sys.stderr.write("\n")

    def _show(self) -> int:
        finished = int(mobula.get(self.progress.count.remote()))
        done = _WIDTH * finished // max(self.submitted, 1)
        sys.stderr.write(f"\r[{'#' * done:{_WIDTH}}] {finished}/{self.submitted} tasks")
        sys.stderr.flush()
        return finished


def _rebuild(progress: Any) -> ProgressBarCallback:
    """In a worker: only the counter is of use there."""
    made = ProgressBarCallback.__new__(ProgressBarCallback)
    Callback.__init__(made)
    made.progress, made.submitted = progress, 0
    return made


def refs_in(value: Any) -> list[Any]:
    """The references in nested lists and tuples."""
    if isinstance(value, mobula.ObjectRef):
        return [value]
    if isinstance(value, (list, tuple)):
        return [ref for one in value for ref in refs_in(one)]
    return []
