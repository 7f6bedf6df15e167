"""connect and disconnect, Ray's client of a cluster elsewhere: here they are init() and shutdown()."""

from __future__ import annotations

from typing import Any

import mobula


def connect(
    conn_str: str,
    secure: bool = False,
    metadata: list[tuple[str, str]] | None = None,
    connection_retries: int = 3,
    job_config: Any = None,
    namespace: str | None = None,
    *,
    ignore_version: bool = False,
    ray_init_kwargs: dict[str, Any] | None = None,
) -> Any:
    """init(address=conn_str); the options about the connection mean nothing."""
    return mobula.init(address=conn_str, namespace=namespace, **(ray_init_kwargs or {}))


def disconnect() -> None:
    """shutdown()."""
    mobula.shutdown()
