"""Where a transform runs: in tasks (`TaskPoolStrategy`) or in a pool of actors (`ActorPoolStrategy`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["ActorPoolStrategy", "ComputeStrategy", "TaskPoolStrategy"]


class ComputeStrategy:
    """Either of the two."""


@dataclass(frozen=True)
class TaskPoolStrategy(ComputeStrategy):
    """Tasks, at most `size` at once (None: as many as resources allow)."""

    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise ValueError(f"TaskPoolStrategy(size={self.size}): size must be at least 1")


class ActorPoolStrategy(ComputeStrategy):
    """Actors, from `min_size` to `max_size` of them as the work needs; each keeps the function's state.

    >>> ActorPoolStrategy(min_size=1, max_size=4).max_size
    4
    """

    def __init__(
        self,
        legacy_min_size: int | None = None,
        legacy_max_size: int | None = None,
        *,
        size: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        initial_size: int | None = None,
        max_tasks_in_flight_per_actor: int | None = None,
    ) -> None:
        min_size = legacy_min_size if min_size is None else min_size
        max_size = legacy_max_size if max_size is None else max_size
        if size is not None:
            if min_size is not None or max_size is not None or initial_size is not None:
                raise ValueError(
                    "ActorPoolStrategy: give either size, or min_size, max_size and initial_size"
                )
            min_size = max_size = initial_size = size
        self.min_size = 1 if min_size is None else min_size
        self.max_size = max_size
        self.initial_size = self.min_size if initial_size is None else initial_size
        self.max_tasks_in_flight_per_actor = max_tasks_in_flight_per_actor
        if self.min_size < 1:
            raise ValueError(f"ActorPoolStrategy: min_size must be at least 1, got {self.min_size}")
        if max_size is not None and not self.min_size <= self.initial_size <= max_size:
            raise ValueError(
                f"ActorPoolStrategy: min_size <= initial_size <= max_size must hold, got {self.min_size}, "
                f"{self.initial_size}, {max_size}"
            )
        if max_tasks_in_flight_per_actor is not None and max_tasks_in_flight_per_actor < 1:
            raise ValueError("ActorPoolStrategy: max_tasks_in_flight_per_actor must be at least 1")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorPoolStrategy) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"ActorPoolStrategy(min_size={self.min_size}, max_size={self.max_size})"


def compute_strategy(fn: Any, compute: Any, concurrency: Any) -> ComputeStrategy:
    """What `compute=` and `concurrency=` of a transform mean for this function."""
    is_class = isinstance(fn, type)
    if compute is not None:
        return _from_compute(is_class, compute, concurrency)
    if concurrency is None:
        return ActorPoolStrategy(min_size=1, max_size=None) if is_class else TaskPoolStrategy()
    if isinstance(concurrency, bool) or not isinstance(concurrency, (int, tuple)):
        raise ValueError(
            f"concurrency={concurrency!r}: give an int, or a tuple (min, max) or (min, max, initial)"
        )
    if isinstance(concurrency, int):
        if concurrency < 1:
            raise ValueError(f"concurrency={concurrency}: must be at least 1")
        return ActorPoolStrategy(size=concurrency) if is_class else TaskPoolStrategy(concurrency)
    if not is_class:
        raise ValueError(f"concurrency={concurrency!r}: a tuple is for classes; for functions give an int")
    if len(concurrency) not in (2, 3) or not all(isinstance(part, int) for part in concurrency):
        raise ValueError(f"concurrency={concurrency!r}: give (min, max) or (min, max, initial)")
    names = ("min_size", "max_size", "initial_size")
    return ActorPoolStrategy(**dict(zip(names, concurrency, strict=False)))


def _from_compute(is_class: bool, compute: Any, concurrency: Any) -> ComputeStrategy:
    if concurrency is not None:
        raise ValueError("give either compute= or concurrency=, not both")
    if compute in ("tasks", "actors"):
        compute = TaskPoolStrategy() if compute == "tasks" else ActorPoolStrategy(min_size=1, max_size=None)
    if not isinstance(compute, ComputeStrategy):
        raise ValueError(f"compute={compute!r}: give TaskPoolStrategy(…) or ActorPoolStrategy(…)")
    if is_class and isinstance(compute, TaskPoolStrategy):
        raise ValueError(
            "a class keeps state and needs actors: compute=ActorPoolStrategy(…), or pass a function"
        )
    return compute
