"""RuntimeEnv: a runtime environment as an object; a dict with checked fields."""

from __future__ import annotations

from typing import Any

from mobula import _environment


class RuntimeEnv(dict[str, Any]):
    """runtime_env=RuntimeEnv(env_vars={"A": "1"}) is the same as runtime_env={"env_vars": {"A": "1"}}."""

    def __init__(self, **fields: Any) -> None:
        super().__init__({name: value for name, value in fields.items() if value is not None})
        _environment._check(self)

    def to_dict(self) -> dict[str, Any]:
        """As a plain dict."""
        return dict(self)


class RuntimeEnvConfig(dict[str, Any]):
    """How an environment is set up: setup_timeout_seconds, eager_install. Accepted; nothing here takes that
    long."""

    def __init__(self, setup_timeout_seconds: int = 600, eager_install: bool = True, **more: Any) -> None:
        super().__init__(setup_timeout_seconds=setup_timeout_seconds, eager_install=eager_install, **more)
