"""The tree of exceptions, and errors that are two classes at once; without an engine."""

from __future__ import annotations

import pickle

import pytest

from mobula import exceptions
from mobula.exceptions import RayError, RayTaskError


class OrderError(Exception):
    def __init__(self, number, reason):
        super().__init__(number, reason)
        self.number, self.reason = number, reason


class Final(Exception):
    def __init_subclass__(cls, **more):
        raise TypeError("no subclasses")


def dual(cause):
    return RayTaskError(
        "f", f"Traceback\n{type(cause).__name__}: {cause}", cause, pid=1
    ).as_instanceof_cause()


@pytest.mark.parametrize(
    "cause",
    [
        ValueError("v"),
        KeyError("k"),
        OSError(2, "gone"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        SystemExit(3),
        ImportError("i", name="m"),
        StopIteration(4),
        OrderError(7, "late"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_an_error_is_a_task_error_and_its_cause_at_once(cause):
    error = dual(cause)
    assert isinstance(error, RayTaskError) and isinstance(error, RayError)
    assert isinstance(error, type(cause))
    assert type(error).__name__ == f"RayTaskError({type(cause).__name__})"
    assert error.cause is cause
    assert "Traceback" in str(error)


def test_attributes_of_the_cause_are_seen_on_the_error():
    assert (dual(OrderError(7, "late")).number, dual(OrderError(7, "late")).reason) == (7, "late")
    assert dual(OSError(2, "gone")).errno == 2
    assert dual(SystemExit(3)).code == 3
    with pytest.raises(AttributeError):
        _ = dual(ValueError("v")).nothing


def test_an_error_pickles():
    error = pickle.loads(pickle.dumps(dual(OrderError(7, "late"))))
    assert isinstance(error, OrderError) and isinstance(error, RayTaskError)
    assert error.number == 7


def test_a_cause_without_subclasses_stays_a_plain_task_error():
    error = dual(Final("f"))
    assert type(error) is RayTaskError
    assert isinstance(error.cause, Final)


def test_an_exception_group_keeps_its_exceptions():
    error = dual(ExceptionGroup("two", [ValueError("v"), KeyError("k")]))
    assert isinstance(error, RayTaskError) and isinstance(error, ExceptionGroup)
    assert [type(inner) for inner in error.exceptions] == [ValueError, KeyError]


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("GetTimeoutError", TimeoutError),
        ("ActorDiedError", exceptions.RayActorError),
        ("OwnerDiedError", exceptions.ObjectLostError),
        ("ActorAlreadyExistsError", ValueError),
        ("ActorHandleNotFoundError", ValueError),
        ("RayChannelTimeoutError", TimeoutError),
        ("ReferenceCountingAssertionError", AssertionError),
    ],
)
def test_the_tree_is_rays(child, parent):
    kind = getattr(exceptions, child)
    assert issubclass(kind, parent) and issubclass(kind, RayError)


def test_each_code_of_the_engine_has_an_exception():
    assert isinstance(exceptions._status_error(1, "m"), ValueError)
    assert isinstance(exceptions._status_error(8, "m"), exceptions.GetTimeoutError)
    assert isinstance(exceptions._payload_error(3, "m"), exceptions.ActorDiedError)
    assert isinstance(exceptions._payload_error(99, "m"), exceptions.RaySystemError)
    assert "m" in str(exceptions._payload_error(5, "m"))


def test_an_error_of_another_language_names_its_type():
    error = exceptions._task_error(
        {"type": "std::runtime_error", "message": "why", "function": "Add", "pid": 5}
    )
    assert isinstance(error, exceptions.CrossLanguageError)
    assert "std::runtime_error: why" in str(error) and "Add" in str(error)
