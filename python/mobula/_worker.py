"""What a worker does in Python: entering the job, errors, actors' set-up. Tasks themselves run in C++
(python_runner.cc)."""

from __future__ import annotations

import os
import sys
from _signal import SIGINT, signal  # type: ignore[import-not-found]
from typing import Any

from mobula import _core, _environment

# PayloadKind of engine/engine.h
_TASK_ERROR, _WORKER_CRASHED, _ACTOR_DIED = 1, 2, 3
_MAIN, _LANES, _LOOP = 0, 1, 2

serving = False
info: dict[str, Any] = {}
job: dict[str, Any] = {}
_actor_class: type | None = None


def serve(boot: _core.WorkerBoot) -> None:
    """The life of a forked child. Never returns."""
    global serving, info, job
    status = 1
    try:
        serving = True
        info = _core.open_worker(boot)
        _enter_job(info.pop("job_config"))
        signal(SIGINT, _interrupt)
        os.register_at_fork(after_in_child=_forget)
        status = _core.run_worker()
        _leave()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _forget() -> None:
    """In a process that a task forked: the worker's engine is not its own."""
    global serving
    serving = False
    _core.forget()


def _enter_job(config: str) -> None:
    import json

    job.update(json.loads(config) if config else {})
    sys.path[:] = job.get("path", sys.path)
    sys.argv[:] = [job.get("argv0", "")]
    if job.get("as_ray"):
        from mobula import as_ray

        as_ray.install()
    _core.set_namespace(namespace())
    for library in job.get("libraries", []):
        _core.load_library(library)
    environment = job.get("environment")
    if environment:
        _environment.enter_job(environment)
    _environment.record_sites()
    random = sys.modules.get("numpy.random")
    if random is not None:
        random.seed()  # else all workers would draw the zygote's numbers


def _leave() -> None:
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


def _interrupt(number: int, frame: Any) -> None:
    """SIGINT: from cancel() for the running task; from a terminal it is not for us."""
    if _core.interrupt_due():
        raise KeyboardInterrupt("the task was cancelled")


def namespace() -> str:
    """The job's namespace."""
    return str(job.get("namespace", ""))


# -- errors --------------------------------------------------------------------------------------------------


def encode_failure(
    error: BaseException, name: str, retries: bool, kinds: bytes, is_actor: bool, creates: bool
) -> tuple[int, Any, bool, str | None]:
    """(payload kind, error object or text, may it be retried, why the worker ends or None)."""
    from mobula.actor import ActorExit

    if isinstance(error, ActorExit):
        return _ACTOR_DIED, f"The actor is dead: {error}.", False, str(error)
    if isinstance(error, SystemExit):
        reason = f"{name} called sys.exit({error.code!r})"
        return (
            _ACTOR_DIED if is_actor else _WORKER_CRASHED,
            f"{reason}, which ended its worker.",
            False,
            reason,
        )
    wrapped = _wrap(error, name)
    if creates:
        return (
            _ACTOR_DIED,
            f"The actor died because its constructor raised an error: {wrapped}",
            False,
            str(wrapped),
        )
    retriable = retries and (not kinds or isinstance(wrapped.cause, _core.decode(kinds)))
    return _TASK_ERROR, wrapped, retriable, None


def _wrap(error: BaseException, name: str) -> Any:
    import traceback

    from mobula.exceptions import RayError, RayTaskError

    text = "".join(traceback.format_exception(error))
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(error, RayTaskError):
        text = f"{error}\n\nThe error above was raised by get() in {name}:\n{text}"
    if not _travels(cause):
        cause = RayError(
            f"{type(cause).__name__}: {_text_of(cause)} (the exception itself cannot be pickled)"
        )
    actor = _core.actor_info()
    return RayTaskError(
        name, text, cause, pid=os.getpid(), actor_id=f"{actor['actor']:016x}" if actor else None
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as second:
        return f"its text cannot be had: {second!r}"


def _travels(error: BaseException) -> bool:
    """Whether it can be pickled and rebuilt, without its traceback."""
    try:
        _core.decode(_core.encode(error))
    except Exception:
        return False
    return True


# -- actors --------------------------------------------------------------------------------------------------


def actor_class() -> type:
    """The class of the actor that this process is."""
    assert _actor_class is not None
    return _actor_class


def create_actor(
    made: type, args: tuple[Any, ...], kwargs: dict[str, Any], concurrency: int, groups: str
) -> tuple[Any, int, list[tuple[str, int]]]:
    """(the instance, how its calls run, the lanes of a threaded one)."""
    global _actor_class
    from mobula.actor import is_async_class

    _actor_class = made
    lanes = _read_groups(groups) or [("", concurrency)]
    if is_async_class(made):
        from mobula import _loop

        return _loop.start(made, args, kwargs, dict(lanes)), _LOOP, []
    instance = made(*args, **kwargs)
    return instance, (_LANES if len(lanes) > 1 or lanes[0][1] > 1 else _MAIN), lanes


def _read_groups(groups: str) -> list[tuple[str, int]]:
    pairs = (entry.split("=") for entry in groups.split(",") if entry)
    return [(name, int(limit)) for name, limit in pairs]


def start_thread(lane: int) -> None:
    """A thread that runs calls of one lane."""
    import threading

    threading.Thread(target=_core.serve_lane, args=(lane,), daemon=True, name=f"mobula-lane-{lane}").start()


def call_special(instance: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Methods that every actor has."""
    if method == "__ray_ready__":
        return True
    if method == "__ray_terminate__":
        from mobula.actor import ActorExit

        raise ActorExit("__ray_terminate__ was called")
    if method == "__ray_call__":
        return args[0](instance, *args[1:], **kwargs)
    raise AttributeError(f"actors have no method {method!r}")


# -- tasks ---------------------------------------------------------------------------------------------------


def split_dynamic(generator: Any) -> Any:
    """The value of a task with num_returns="dynamic": each item is put by itself."""
    from mobula._refs import DynamicObjectRefGenerator

    return DynamicObjectRefGenerator([_core.put(item) for item in generator])


def apply_environment(packed: str) -> None:
    """The runtime environment of this worker's tasks, before the first of them."""
    _environment.apply(packed)


_visible_before = _environment.visible_devices()


def visible_gpus(ids: list[int]) -> list[str]:
    """The devices that logical GPUs stand for."""
    devices = [one for one in (_visible_before or "").split(",") if one]
    return [devices[number] if number < len(devices) else str(number) for number in ids]


def show_gpus(ids: list[int]) -> None:
    """Sets the accelerator's variable for the lease; without GPUs it is as it was."""
    _environment.show_devices(",".join(visible_gpus(ids)) if ids else _visible_before)
