"""The exceptions of tasks, actors and objects: one tree under RayError, with Ray's names.

What user code raises in a task arrives as one exception that is both RayTaskError and the cause's own
class, so that `except ValueError` catches a remote ValueError. What the engine reports comes from the two
tables at the end.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RayError(Exception):
    """Root of everything that tasks, actors and objects raise."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(args or (_first_line(type(self)),)))

    def to_bytes(self) -> bytes:
        """The error as bytes, for from_bytes() in any process of this program."""
        from mobula import _core

        return _core.encode(self)

    @staticmethod
    def from_bytes(b: bytes) -> Any:
        """The error that to_bytes() wrote."""
        from mobula import _core

        return _core.decode(b)

    @staticmethod
    def from_ray_exception(ray_exception: Any) -> Any:
        """The error whose bytes are `ray_exception.serialized_exception`."""
        return RayError.from_bytes(ray_exception.serialized_exception)


def _first_line(kind: type) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0]


# -- errors of user code --------------------------------------------------------------------------------


class RayTaskError(RayError):
    """User code raised in a task or actor call. `cause` is the exception, `traceback_str` the remote
    traceback."""

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException,
        proctitle: str | None = None,
        pid: int | None = None,
        ip: str | None = None,
        actor_repr: str | None = None,
        actor_id: str | None = None,
    ) -> None:
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.proctitle = proctitle or f"ray::{function_name}"
        self.pid = pid if pid is not None else os.getpid()
        self.ip = ip or "127.0.0.1"
        self._actor_repr, self._actor_id = actor_repr, actor_id
        Exception.__init__(self, function_name, traceback_str, cause)

    def __reduce__(self) -> tuple[Any, ...]:
        fields = (self.function_name, self.traceback_str, self.cause, self.proctitle, self.pid, self.ip)
        return _restore_task_error, (*fields, self._actor_repr, self._actor_id)

    def __str__(self) -> str:
        head = f"{self.proctitle} (pid={self.pid}, ip={self.ip}"
        if self._actor_id:
            head += f", actor_id={self._actor_id}"
        return f"{head})\n{self.traceback_str.strip()}"

    def as_instanceof_cause(self) -> RayTaskError:
        """The same error as an instance of the cause's class too; itself where that class forbids it."""
        cause = self.cause
        if isinstance(cause, RayTaskError):
            return cause
        try:
            if isinstance(cause, BaseExceptionGroup):
                return _dual_group(self, cause)
            dual = _dual_type(type(cause))(self)
        except Exception:
            return self
        return dual  # type: ignore[no-any-return]


def _restore_task_error(*fields: Any) -> RayTaskError:
    return RayTaskError(*fields)


def _restore_dual(error: RayTaskError) -> RayTaskError:
    return error.as_instanceof_cause()


_dual_types: dict[type, type] = {}


def _dual_type(cause_class: type) -> Any:
    """The class named RayTaskError(X) for a cause of class X."""
    found = _dual_types.get(cause_class)
    if found is not None:
        return found
    builtin: Any = next(kind for kind in cause_class.__mro__ if kind.__module__ == "builtins")

    def init(self: Any, error: RayTaskError) -> None:
        try:
            builtin.__init__(self, *error.cause.args)  # fills errno, code, name, ... of the built-in class
        except Exception:
            pass
        for name, value in vars(error).items():
            object.__setattr__(self, name, value)
        self.error, self.args = error, (error.cause,)

    def new(cls: type, error: RayTaskError) -> Any:
        return builtin.__new__(cls, *error.cause.args)  # OSError reads its arguments here

    name = f"RayTaskError({cause_class.__name__})"
    members = {
        "__init__": init,
        "__new__": new,
        "__getattr__": lambda self, name: getattr(object.__getattribute__(self, "cause"), name),
        "__str__": lambda self: str(self.error),
        "__reduce__": lambda self: (_restore_dual, (self.error,)),
        "__doc__": f"{cause_class.__name__}, raised in a task.",
        "__module__": __name__,
        "__qualname__": name,
    }
    made = type(name, (RayTaskError, cause_class), members)
    if len(_dual_types) < 10_000:
        _dual_types[cause_class] = made
    return made


def _dual_group(error: RayTaskError, cause: BaseExceptionGroup[Any]) -> RayTaskError:
    """An ExceptionGroup keeps its exceptions, so that `except*` and `split` work."""
    group_class: Any = ExceptionGroup if isinstance(cause, ExceptionGroup) else BaseExceptionGroup
    name = f"RayTaskError({type(cause).__name__})"
    members = {
        "__new__": lambda cls, *args: group_class.__new__(cls, cause.message, cause.exceptions),
        "__init__": lambda self, *args: None,
        "__str__": lambda self: str(error),
        "__reduce__": lambda self: (_restore_dual, (error,)),
        "__module__": __name__,
        "__qualname__": name,
    }
    dual: Any = type(name, (RayTaskError, group_class), members)()
    for key, value in vars(error).items():
        setattr(dual, key, value)
    return dual  # type: ignore[no-any-return]


class TaskCancelledError(RayError):
    """The task was cancelled."""

    def __init__(self, task_id: Any = None, error_message: str | None = None) -> None:
        self.task_id, self.error_message = task_id, error_message
        super().__init__(
            error_message or (str(task_id) if task_id is not None else "The task was cancelled.")
        )


class UserCodeException(RayError):
    """User code failed inside of a library."""


class UnserializableException(RayError):
    """The error of a task cannot be rebuilt here; its text is all there is."""


class CrossLanguageError(RayError):
    """A task in another language failed."""


class AsyncioActorExit(RayError):
    """Raised by exit_actor() in async actors."""


# -- actors ------------------------------------------------------------------------------------------------


class RayActorError(RayError):
    """The actor died, or cannot be reached."""

    actor_id: str | None = None
    error_msg: str = ""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.error_msg = str(self)


class ActorDiedError(RayActorError):
    """The actor has died and will not come back."""


class ActorUnavailableError(RayActorError):
    """The actor cannot be reached now; it may come back. The call may or may not have run."""


class PendingCallsLimitExceeded(RayError):
    """As many calls wait for the actor as its max_pending_calls allows."""


class ActorUnschedulableError(RayError):
    """The actor can never be placed."""


class ActorPlacementGroupRemoved(RayError):
    """The actor's placement group was removed."""


class ActorAlreadyExistsError(ValueError, RayError):
    """An actor of that name lives already."""


class ActorHandleNotFoundError(ValueError, RayError):
    """No actor of that name lives."""


# -- workers, nodes, memory --------------------------------------------------------------------------------


class WorkerCrashedError(RayError):
    """The worker died while it ran the task."""


class LocalRayletDiedError(RayError):
    """The node died."""


class NodeDiedError(RayError):
    """The node died."""


class OutOfMemoryError(RayError):
    """The machine ran out of memory, and the task was ended to make room."""


class OutOfDiskError(RayError):
    """No room is left on the disk that objects spill to."""


class ObjectStoreFullError(RayError):
    """The object does not fit into the object store."""


class PlasmaObjectNotAvailable(RayError):
    """The object is not in the object store yet."""


class TaskUnschedulableError(RayError):
    """The task can never be placed."""


class TaskPlacementGroupRemoved(RayError):
    """The task's placement group was removed."""


class RuntimeEnvSetupError(RayError):
    """The runtime environment could not be made."""

    def __init__(self, error_message: str | None = None) -> None:
        super().__init__(*([error_message] if error_message else []))


# -- objects -----------------------------------------------------------------------------------------------


class ObjectLostError(RayError):
    """The object was lost and cannot be made again."""


class ObjectFetchTimedOutError(ObjectLostError):
    """The object could not be fetched in time."""


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was freed while it was referenced."""


class ObjectFreedError(ObjectLostError):
    """The object was freed by hand."""


class OwnerDiedError(ObjectLostError):
    """The process that made the object died."""


class ObjectReconstructionFailedError(ObjectLostError):
    """The object was lost, and its task could not be run again."""


class ObjectRefStreamEndOfStreamError(RayError):
    """The generator has no such item."""


class OufOfBandObjectRefSerializationException(RayError):
    """A reference was pickled outside of a task's arguments, results or put()."""


class GetTimeoutError(RayError, TimeoutError):
    """get() ran out of time."""


# -- the system --------------------------------------------------------------------------------------------


class RaySystemError(RayError):
    """The engine failed."""

    def __init__(self, client_exc: object = "The engine failed.", traceback_str: str | None = None) -> None:
        self.client_exc, self.traceback_str = client_exc, traceback_str
        super().__init__(str(client_exc) + (f"\n{traceback_str}" if traceback_str else ""))


class RayChannelError(RaySystemError):
    """A channel of a compiled graph failed."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel of a compiled graph ran out of time."""


class RayCgraphCapacityExceeded(RaySystemError):
    """Too many executions of a compiled graph are under way."""


class RayDirectTransportError(RaySystemError):
    """A direct transport of tensors failed."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator that ran again gave other items."""


class AuthenticationError(RayError):
    """The token is missing or wrong."""


class RpcError(RayError):
    """A message got no answer."""


# -- from the engine's codes; each table is the only place that maps them ------------------------------------

# Code of base/status.h, in its order.
_STATUS: tuple[type[Exception], ...] = (
    RaySystemError,  # ok: never raised
    ValueError,  # invalid
    ValueError,  # not_found
    ActorAlreadyExistsError,  # exists
    PermissionError,  # denied
    NotImplementedError,  # unsupported
    PendingCallsLimitExceeded,  # busy
    ObjectStoreFullError,  # full
    GetTimeoutError,  # timeout
    RaySystemError,  # cancelled
    ObjectLostError,  # lost
    RaySystemError,  # internal
)

# PayloadKind of engine/engine.h, in its order.
_PAYLOAD: tuple[type[Exception], ...] = (
    RaySystemError,  # a value: never raised
    RaySystemError,  # task error: _task_error
    WorkerCrashedError,
    ActorDiedError,
    ActorUnavailableError,
    TaskCancelledError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfMemoryError,
    OutOfDiskError,
    RaySystemError,
    ObjectRefStreamEndOfStreamError,
    PendingCallsLimitExceeded,
    TaskUnschedulableError,
    TaskPlacementGroupRemoved,
    ActorPlacementGroupRemoved,
    ActorUnschedulableError,
)


def _status_error(code: int, message: str) -> Exception:
    return _STATUS[code](message)


def _payload_error(kind: int, message: str) -> Exception:
    made = _PAYLOAD[kind] if kind < len(_PAYLOAD) else RaySystemError
    if made is TaskCancelledError:
        return TaskCancelledError(error_message=message)
    return made(message)


def _task_error(what: object) -> BaseException:
    """The exception for what a failed task left: a RayTaskError, or the text of a task in another
    language."""
    if isinstance(what, RayTaskError):
        return what.as_instanceof_cause()
    if isinstance(what, BaseException):
        return what
    if not isinstance(what, dict):
        return CrossLanguageError(str(what))
    text = f"{what.get('type', 'error')}: {what.get('message', '')}"
    cause = CrossLanguageError(text)
    trace = "\n".join(part for part in (str(what.get("traceback", "")), text) if part)
    error = RayTaskError(str(what.get("function", "a task")), trace, cause, pid=what.get("pid") or None)
    return error.as_instanceof_cause()
