"""Failures of runs as exceptions: what a task recorded, or what the engine says, with the operator's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mobula.data.wire import read_failure

if TYPE_CHECKING:
    from mobula.data.plan.physical import PhysicalOp


def error_of(failure: Any, ops: list[PhysicalOp]) -> BaseException:
    """The exception to raise; it is an instance of the user's own class where there is one."""
    place, record, object_id, text = failure
    name = ops[place].name
    if record:
        return _from_record(record, name)
    if object_id is not None:
        return _from_object(object_id, name)
    from mobula.exceptions import RaySystemError

    return RaySystemError(f"{name}: {text}")


def _from_record(record: bytes, name: str) -> BaseException:
    from mobula.exceptions import RayError, RayTaskError

    text, cause = read_failure(record)
    if cause is None:
        cause = RayError(text.splitlines()[-1] if text else "unknown")
    return RayTaskError(name, text, cause).as_instanceof_cause()


def _from_object(object_id: bytes, name: str) -> BaseException:
    from mobula import _core

    try:
        _core.get(_core.ObjectRef(object_id))
    except BaseException as error:
        error.add_note(f"(in {name})")
        return error
    return RuntimeError(f"{name} failed for a reason that is gone")


def summary_of(failure: Any, ops: list[PhysicalOp]) -> str:
    """One line for the list of failures that were tolerated: the error and where it was."""
    error = error_of(failure, ops)
    text = getattr(error, "traceback_str", None) or str(error)
    lines = text.strip().splitlines() or [""]
    first = next(
        (place for place in range(len(lines) - 1, 0, -1) if lines[place].startswith((" ", "Traceback"))), -1
    )
    return f"{ops[failure[0]].name}: {' '.join(lines[first + 1 :])}"
