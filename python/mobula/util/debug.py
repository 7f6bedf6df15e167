"""Messages that are to appear once: `if log_once("key"): log(...)`. By process."""

from __future__ import annotations

import time

_logged: set[str] = set()
_PERIOD_SECONDS = 60.0


class _Switches:
    disabled = False
    periodic = False
    last = 0.0


def log_once(key: str) -> bool:
    """True for the first call with a key; with enable_periodic_logging(), again after a minute."""
    if _Switches.disabled:
        return False
    now = time.monotonic()
    if key not in _logged:
        _logged.add(key)
        _Switches.last = now
        return True
    if _Switches.periodic and now - _Switches.last > _PERIOD_SECONDS:
        _logged.clear()
        _Switches.last = now
    return False


def disable_log_once_globally() -> None:
    """Makes log_once() False for all keys."""
    _Switches.disabled = True


def enable_periodic_logging() -> None:
    """Makes log_once() forget its keys every minute."""
    _Switches.periodic = True


def reset_log_once(key: str | None = None) -> None:
    """Makes log_once() forget a key, or all."""
    if key is None:
        _logged.clear()
    else:
        _logged.discard(key)
