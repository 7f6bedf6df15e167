"""joblib's back end "ray": each batch of calls is a task. Parallel calls inside of one are tasks again, two
levels deep; a task that waits for others lends its CPU to them, so nesting cannot come to a standstill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from joblib._parallel_backends import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

import mobula
from mobula import _driver
from mobula._futures import call_when_ready

_LEVELS = 2  # of nested Parallel calls that become tasks; deeper ones run in their own process


def _run(batch: Callable[[], Any]) -> Any:
    return batch()


class RayBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """`ray_remote_args`, given to joblib.parallel_backend() or Parallel, are options of the tasks."""

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads, **kwargs)
        self.ray_remote_args = dict(ray_remote_args or {})
        self._task: Any = None
        self._open: set[Any] = set()

    @property
    def supports_retrieve_callback(self) -> bool:
        """False in a worker: there results are waited for in get(), which lends the CPU; joblib's own waiting
        does not."""
        return not _driver.is_worker()

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **more: Any,
    ) -> int:
        """Called by Parallel: how many batches run at once."""
        jobs = self.effective_n_jobs(n_jobs)
        if jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if ray_remote_args is not None:
            self.ray_remote_args = dict(ray_remote_args)
        made: Any = mobula.remote(_run)
        self._task = made.options(**{"name": "joblib", **self.ray_remote_args})
        self.parallel = parallel
        return jobs

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """-1: the CPUs that the engine has; -2: all but one; None: 1."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        if not mobula.is_initialized():
            mobula.init()
        cpus = int(mobula.cluster_resources().get("CPU", 1))
        return max(cpus + 1 + n_jobs, 1)

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None] | None = None) -> Any:
        """One batch as a task."""
        ref = self._task.remote(func)
        self._open.add(ref)

        def done() -> None:
            self._open.discard(ref)
            if callback is not None:
                callback(ref)

        call_when_ready(ref, done)
        return ref

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results of a batch that is done, or what it raised."""
        return mobula.get(out)

    def retrieve_result(self, out: Any, timeout: float | None = None) -> Any:
        """Waits for the results of a batch."""
        return mobula.get(out, timeout=timeout)

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """A batch has failed: the others need not run."""
        for ref in list(self._open):
            mobula.cancel(ref)
        self._open.clear()

    def terminate(self) -> None:
        """The end of a Parallel call."""
        self._open.clear()
        self.reset_batch_stats()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """What Parallel calls inside of a batch use."""
        level = (self.nesting_level or 0) + 1
        if level < _LEVELS:
            return RayBackend(nesting_level=level, ray_remote_args=self.ray_remote_args), None
        nested: tuple[Any, int | None] = super().get_nested_backend()
        return nested
