"""Progress bars: one line for each operator, on a terminal only."""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from mobula.data.exec.stats import size_text

if TYPE_CHECKING:
    from mobula.data.context import DataContext
    from mobula.data.exec.run import Execution

SHOW_AFTER_S = 1.0  # short runs show nothing
EVERY_S = 0.25


class Progress:
    """Shows a run while it lasts."""

    @staticmethod
    def is_wanted(context: DataContext) -> bool:
        """Are bars enabled, and is there somebody to see them?"""
        if not context.enable_progress_bars or threading.current_thread() is not threading.main_thread():
            return False
        try:
            return sys.stderr.isatty()
        except (AttributeError, ValueError):
            return False

    def __init__(self, execution: Execution) -> None:
        self._execution = weakref.ref(execution)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="dataset progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Takes the bars away."""
        self._ended.set()
        self._thread.join(timeout=2)

    def _show(self) -> None:
        if self._ended.wait(SHOW_AFTER_S):
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        bars = Bars(
            TextColumn("{task.description}"), BarColumn(bar_width=8), TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(), console=Console(stderr=True), transient=True,
        )  # fmt: skip
        with bars:
            rows: dict[int, Any] = {}
            while not self._ended.wait(EVERY_S):
                execution = self._execution()
                if execution is None or execution.final is not None:
                    return
                self._update(bars, rows, execution)
                del execution

    def _update(self, bars: Any, rows: dict[int, Any], execution: Execution) -> None:
        view = execution.view()
        for place, one in enumerate(view["operators"]):
            op = execution.ops[place]
            if op.kind != "map":
                continue
            if place not in rows:
                name = op.name if len(op.name) <= 32 else op.name[:31] + "…"
                rows[place] = bars.add_task(name, total=None, figures="")
            under_way = one["queued"] + one["running"]
            moving = f"{one['running']} running, {one['queued']} queued"
            figures = f"{one['rows']:,} rows, {size_text(one['bytes'])}; {moving}"
            total = (
                one["bundles"] + under_way
                if op.upstream and execution.ops[op.upstream[0]].kind == "input"
                else None
            )
            bars.update(rows[place], total=total, completed=one["bundles"], figures=figures)
