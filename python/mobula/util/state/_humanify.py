"""Numbers of the state API as people read them."""

from __future__ import annotations

import datetime
from typing import Any


class Humanify:
    """Numbers as people read them."""

    @staticmethod
    def timestamp(x: float) -> str:
        """Milliseconds since the epoch as a local time."""
        return str(datetime.datetime.fromtimestamp(x / 1000))

    @staticmethod
    def memory(x: float) -> str:
        """Bytes in the unit that fits."""
        for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
            if x >= unit:
                return f"{x / unit:.3f} {name}"
        return f"{x:.3f} B"

    @staticmethod
    def duration(x: float) -> str:
        """Milliseconds as hours, minutes and seconds."""
        return str(datetime.timedelta(milliseconds=x))

    @staticmethod
    def events(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Events with readable times."""
        return [{**one, "created_ms": Humanify.timestamp(one["created_ms"])} for one in events]

    @staticmethod
    def node_resources(resources: dict[str, Any]) -> dict[str, Any]:
        """Resources with readable amounts of memory."""
        return {
            name: Humanify.memory(amount) if "memory" in name else amount
            for name, amount in resources.items()
        }
