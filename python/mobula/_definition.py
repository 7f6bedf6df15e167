"""A function or class as it travels: pickled once, known to the engine by the digest of its bytes."""

from __future__ import annotations

import sys

from mobula import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WARN_BYTES = 10 << 20
MAX_BYTES = 100 << 20


class Definition:
    """One function or class. References that its closure captured are kept here, and named by each of its
    tasks."""

    def __init__(self, target: Any, name: str, known: tuple[int, bytes] | None = None) -> None:
        self.target, self.name = target, name
        self.refs: list[Any] = []
        self._session, self.digest = known or (0, b"")
        self._blob: bytes | None = None

    def known(self) -> tuple[int, bytes] | None:
        """(session, digest) once the engine has it."""
        return (self._session, self.digest) if self._session else None

    def export(self) -> bytes:
        """Makes the running engine know it; its digest. Only the first call in a session costs something."""
        session = _core.session()
        if self._session == session:
            return self.digest
        pickling = sys.modules.get("mobula._pickling")
        arrived = pickling.loaded.get(id(self.target)) if pickling else None
        if arrived is not None:
            self._session, self.digest = session, arrived[1]
            return self.digest
        self._pickle()
        assert self._blob is not None
        _core.define_function(self.digest, self._blob, False)
        self._session = session
        return self.digest

    def _pickle(self) -> None:
        if self._blob is not None and not self.refs:
            return
        blob, self.refs = _core.encode_definition(self.target, f"the definition of {self.name}")
        if len(blob) > MAX_BYTES:
            raise ValueError(
                f"the definition of {self.name} has {len(blob) >> 20} MiB, above the limit of "
                f"{MAX_BYTES >> 20} MiB: "
                "it captures something large. put() that and pass the reference as an argument."
            )
        if len(blob) > WARN_BYTES:
            import warnings

            warnings.warn(
                f"the definition of {self.name} has {len(blob) >> 20} MiB: it captures something large, "
                f"which every "
                "worker will read. put() it and pass the reference as an argument.",
                stacklevel=4,
            )
        self._blob, self.digest = blob, _core.digest(blob)
