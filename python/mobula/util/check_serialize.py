"""inspect_serializability: which part of a value cannot be pickled."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from mobula import _pickling

__all__ = ["FailureTuple", "inspect_serializability"]


class FailureTuple(NamedTuple):
    """A part that cannot be pickled: `obj`, its `name`, and the `parent` that holds it."""

    obj: Any
    name: str
    parent: Any


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: Any = None
) -> tuple[bool, set[FailureTuple]]:
    """(can it be pickled?, the parts that cannot), and prints the ways to them.

    >>> inspect_serializability(threading.Lock())[0]
    False
    """
    title: str = name or getattr(base_obj, "__qualname__", None) or str(base_obj)
    file = print_file or sys.stdout
    error = _pickling._fails(base_obj)
    if error is None:
        return True, set()
    culprits = _pickling.find_culprits(base_obj, depth, limit=20) or [(title, base_obj)]
    failures: set[Any] = set()
    print(f"{title} cannot be pickled: {error}", file=file)
    for path, culprit in culprits:
        print(f"    {path}: {_pickling._short(culprit)}", file=file)
        failures.add(_Failure(culprit, path, base_obj))
    return False, failures


class _Failure(FailureTuple):
    """Hashed by identity, for culprits are rarely hashable."""

    __slots__ = ()

    def __hash__(self) -> int:
        return hash((id(self.obj), self.name))

    def __eq__(self, other: object) -> bool:
        return self is other
