"""What a run did: rows, bytes, time and memory of each operator, where time went, and what was skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mobula.data.compute import ActorPoolStrategy
from mobula.data.exec.failure import summary_of

if TYPE_CHECKING:
    from mobula.data.plan.physical import PhysicalOp

LISTED_MAX = 20


def size_text(count: float) -> str:
    """Bytes for people: 1.5 MiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return ""


def time_text(ms: float) -> str:
    """Milli-seconds for people."""
    return f"{ms:.0f} ms" if ms < 1000 else f"{ms / 1000:.2f} s"


class RunStats:
    """The figures of one run, kept after it."""

    def __init__(self, ops: list[PhysicalOp], view: dict[str, Any], memory_bytes_max: int) -> None:
        self.names = [op.name for op in ops]
        self.kinds = [op.kind for op in ops]
        self.stage_names = [[stage.name for stage in op.stages] for op in ops]
        self.in_actors = [isinstance(op.compute, ActorPoolStrategy) for op in ops]
        self.view, self.memory_bytes_max = view, memory_bytes_max
        self.skipped = [summary_of(failure, ops) for failure in view["tolerated"][:LISTED_MAX]]

    def rows_out(self) -> int:
        """Rows that the last operator gave."""
        return int(self.view["operators"][-1]["rows"])

    def bottleneck(self) -> int | None:
        """The operator that was at work longest for each of the processes that it had."""
        shares = [
            (one["busy_ms"] / max(one["actors_most"] or one["tasks_most"], 1), place)
            for place, one in enumerate(self.view["operators"])
            if self.kinds[place] == "map"
        ]
        return max(shares)[1] if shares else None

    def text(self) -> str:
        """The report that Dataset.stats() gives."""
        lines = []
        for place, one in enumerate(self.view["operators"]):
            if self.kinds[place] == "map":
                lines += self._operator(place, one)
        peak = self.view["memory_bytes_peak"]
        lines.append(
            f"Run: {time_text(self.view['elapsed_ms'])}, blocks in memory at most {size_text(peak)} of "
            f"{size_text(self.memory_bytes_max)} allowed"
        )
        slowest = self.bottleneck()
        if slowest is not None and len(self.stage_names) > 1:
            lines.append(f"Bottleneck: {self.names[slowest]}")
        lines += self._skipped()
        return "\n".join(lines)

    def _operator(self, place: int, one: dict[str, Any]) -> list[str]:
        runs = "calls" if self.in_actors[place] else "tasks"
        where = f"{one['actors_most']} actors" if self.in_actors[place] else f"{one['tasks_most']} at once"
        lines = [
            f"Operator {place} {self.names[place]}: {one['tasks']} {runs} ({where}), {one['blocks']} blocks, "
            f"{one['rows']} rows, {size_text(one['bytes'])}",
            f"    at work {time_text(one['busy_ms'])}, held up {time_text(one['held_up_ms'])}; "
            "output in memory at most "
            f"{size_text(one['bytes_peak'])}; a worker's memory at most {size_text(one['rss_bytes_peak'])}",
        ]
        if len(one["stages"]) > 1:
            for name, (ms, rows) in zip(self.stage_names[place], one["stages"], strict=False):
                lines.append(f"    - {name}: {time_text(ms)}, {rows} rows")
        if one["retried"]:
            lines.append(f"    tried again after losing a worker: {one['retried']}")
        return lines

    def _skipped(self) -> list[str]:
        count = self.view["failures"]
        if not count:
            return []
        lines = [f"Skipped after errors: {count} blocks (max_errored_blocks allows it)"]
        lines += [f"    {line}" for line in self.skipped]
        if count > len(self.skipped):
            lines.append(f"    … and {count - len(self.skipped)} more")
        return lines
