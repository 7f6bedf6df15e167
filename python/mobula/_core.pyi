from asyncio import Future as AsyncFuture
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from typing_extensions import CapsuleType

from mobula._ids import TaskID


class Reducer:
    """reducer_override with a memory."""
    def __init__(self, slow: Callable[[Any], Any], by_value_modules: set[str], /) -> None: ...
    def __call__(self, obj: Any, /) -> Any: ...

class View:
    """Read-only bytes of an object, which stays in memory as long as this does."""
    def __len__(self) -> int: ...
    def __buffer__(self, flags: int, /) -> memoryview: ...


T_co = TypeVar("T_co", covariant=True)

class ObjectRef(Generic[T_co]):
    """A future: the name of a value that a task makes or that put() stored."""
    def __init__(self, id: bytes) -> None: ...
    def hex(self) -> str: ...
    def binary(self) -> bytes: ...
    def is_nil(self) -> bool: ...
    def size(self) -> int: ...
    def task_id(self) -> TaskID: ...
    def call_site(self) -> str: ...
    def future(self) -> Future[T_co]: ...
    def as_future(self) -> AsyncFuture[T_co]: ...
    @staticmethod
    def nil() -> ObjectRef[Any]: ...
    def __await__(self) -> Generator[Any, None, T_co]: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class Stream:
    """The reading end of a generator task: yields an ObjectRef for each value."""
    def __init__(self, task: int, /) -> None: ...
    def __iter__(self) -> Stream: ...
    def __next__(self) -> ObjectRef[Any]: ...
    def _next(self, timeout: float | None, /) -> ObjectRef[Any] | None: ...
    def _asked(self) -> ObjectRef[Any] | None: ...
    def _first(self) -> bytes: ...
    def completed(self) -> ObjectRef[Any]: ...
    def is_finished(self) -> bool: ...

class TaskCaller:
    """What a remote function is made of: a prepared task."""
    def remote(self, *args: Any, **kwargs: Any) -> Any: ...
    def _fill(self, fields: dict[str, Any], signature: Any, pending_max: int = -1, /) -> None: ...

class MethodTemplate:
    """A method of an actor's class: a prepared call, shared by all handles."""
    def _fill(self, fields: dict[str, Any], signature: Any, pending_max: int = -1, /) -> None: ...

class ActorHandle:
    """A living actor: actor.method.remote(...) calls it."""
    _description: Any
    _number: int
    _session: int
    def __init__(self, number: int, session: int, description: Any, owned: bool, /) -> None: ...
    def __getattr__(self, name: str) -> ActorMethod: ...
    def __hash__(self) -> int: ...
    def __eq__(self, other: object) -> bool: ...

class ActorMethod:
    """A method of a living actor: call it with .remote(...)."""
    _handle: ActorHandle
    _template: Any
    def __init__(self, handle: ActorHandle, template: MethodTemplate, /) -> None: ...
    def remote(self, *args: Any, **kwargs: Any) -> Any: ...
    def options(self, **options: Any) -> ActorMethod: ...
    def bind(self, *args: Any, **kwargs: Any) -> Any: ...

def put(value: Any, /) -> ObjectRef[Any]: ...

def get(refs: Any, timeout: float | None = None, /) -> Any: ...

def wait(refs: list[Any], num_returns: int, timeout: float | None, fetch: bool, /) -> tuple[list[Any], list[Any]]: ...

def open_driver(
    resources: dict[str, float], arena_bytes: int, labels: Mapping[str, str], zygote_command: Sequence[str],
    zygote_environment: Sequence[str], job_config: str, space: str, spill_folder: str, log_to_driver: bool,
    workers_max: int,
) -> dict[str, Any]:
    """Starts an embedded engine and makes it this process's."""

def close() -> None:
    """Ends the engine; nothing is left of it but its metrics."""

def forget() -> None:
    """In a forked child: the engine is the parent's."""

def is_open() -> bool:
    """Whether there is an engine."""

def session() -> int:
    """The engine's number; 0 without one."""

def runtime_env() -> str:
    """What tasks of this process inherit, encoded."""

def preload(module: str) -> None:
    """Has a module imported before workers are forked."""

def engine_capsule() -> CapsuleType:
    """
    The running engine, for mobula._data; it must not be used after close().
    """

def cluster() -> list[dict[str, Any]]:
    """The nodes, their resources and labels."""

def stats() -> dict[str, int]:
    """Figures of the store and the tables."""

def record_sites(own_folder: str) -> None:
    """
    From now on the engine is told where tasks and values are made: outside of this folder.
    """

def snapshot(table: str) -> str:
    """A table of the state API, as JSON."""

def digest(definition: bytes) -> bytes:
    """The 16 bytes that a definition is known by."""

def define_function(id: bytes, definition: bytes, cpp: bool) -> None:
    """Makes a definition known."""

def create_actor(
    spec: dict[str, Any], actor: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[int, bytes, int]:
    """(number, handle, session)"""

def find_actor(name: str, space: str) -> tuple[int, bytes, int]:
    """(number, handle, session)"""

def create_group(bundles: Sequence[dict], nodes: Sequence[str], strategy: int, name: str, space: str, detached: bool) -> tuple:
    """Asks for a placement group: (number, whether it can ever be placed)."""

def remove_group(group: int) -> None:
    """Removes a placement group."""

def watch_group(group: int, value: bytes) -> ObjectRef[Any]:
    """A reference that becomes the value once the group is placed."""

def wait_group(group: int, timeout: object | None) -> bool:
    """Whether the group is placed in time."""

def groups() -> list:
    """All placement groups."""

def kill_actor(actor: int, no_restart: bool) -> None:
    """Ends an actor's process."""

def cancel(id: bytes, force: bool, recursive: bool) -> None:
    """Cancels the task of an object."""

class WorkerBoot:
    """What a forked child needs to become a worker."""

class ActorCall:
    """A call that an event loop runs."""

    @property
    def task(self) -> int:
        """The task's number."""

    @property
    def group(self) -> str:
        """Its concurrency group."""

    @property
    def method(self) -> str:
        """The method's name."""

    @property
    def streams(self) -> bool:
        """Whether its items are sent one by one."""

    @property
    def may_block(self) -> bool:
        """Whether sending an item may wait for the consumer."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for its end."""

    def describe(self) -> dict[str, Any]:
        """For get_runtime_context()."""

    def start(self) -> Any:
        """Calls the method: a coroutine, an async generator or a value."""

    def finish(self, result: object | None) -> None:
        """Answers with a value."""

    def fail(self, error: object, cancelled: bool) -> None:
        """Answers with an exception."""

    def stream(self, index: int, item: object | None) -> int:
        """Sends an item; 0 when nobody reads any more."""

    def end_stream(self) -> None:
        """Ends the stream."""

def is_zygote() -> bool:
    """Whether this process was started as a zygote."""

def run_zygote(preload: Callable[[str], None], at_end: Callable[[], None]) -> WorkerBoot:
    """Forks workers until the node is gone; returns in each child."""

def open_worker(boot: WorkerBoot) -> dict[str, Any]:
    """Makes this process a worker."""

def run_worker() -> int:
    """Serves tasks until told to exit; the exit status."""

def set_namespace(space: str) -> None:
    """The namespace that C++ tasks look for actors in."""

def serve_lane(lane: int) -> None:
    """The body of an actor's thread."""

def take_calls() -> list[ActorCall | int]:
    """Calls for the event loop, and the numbers of those to cancel."""

def loop_fd() -> int:
    """Readable when take_calls() has something."""

def interrupt_due() -> bool:
    """Whether the main thread's task is to get a KeyboardInterrupt."""

def is_cancelled(task: int) -> bool:
    """Whether somebody asked for the end of the task."""

def current_call() -> dict[str, Any] | None:
    """What get_runtime_context() knows of the running task."""

def current_target() -> tuple[Any, str] | None:
    """(function or actor class, method) of the running task; None: none."""

def current_task() -> int:
    """The running task's number; 0: none."""

def actor_info() -> dict[str, Any] | None:
    """What created this actor; None elsewhere."""

class Waker:
    """Tells an event loop or a thread which objects have become ready."""

    def __init__(self) -> None: ...

    def fileno(self) -> int:
        """Readable when take() has something."""

    def notify(self, token: int, ref: object) -> None:
        """take() gives the token once the object is there."""

    def signal(self, token: int) -> None:
        """take() gives the token."""

    def take(self) -> list[int]:
        """The tokens of what became ready."""

    def wait(self, timeout_ms: int) -> None:
        """Blocks until take() has something."""

def load_library(path: str) -> None:
    """Loads a shared library with C++ functions."""

def cpp_names() -> list[str]:
    """The C++ functions that this process knows."""

def find_cpp(name: str) -> tuple[bytes, bytes] | None:
    """(digest, definition) of a C++ function; None if there is none."""

def plain_actor(handle: bytes) -> tuple[str, bool, bytes, int, bytes] | None:
    """
    (class name, C++?, definition, max_task_retries, Python's part) of a handle that C++ made; else None.
    """

class MetricSeries:
    """One metric with one set of tags, as this process sees it."""

    def add(self, amount: float) -> None:
        """Raises a counter."""

    def set(self, value: float) -> None:
        """Sets a gauge."""

    def observe(self, value: float) -> None:
        """Counts a value of a histogram."""

def metric_series(kind: int, key: str, bounds: Sequence[float]) -> object:
    """
    The series of a key (1 counter, 2 gauge, 3 histogram); None when the table is full.
    """

def metric_rows() -> list:
    """
    (kind, key, pid of a gauge's process, bounds, values) of this process and its workers.
    """

def metrics_refused() -> int:
    """How many series found no room."""

class CollectiveGroup:
    """A member's place in a group; every call gives None or (code, message)."""

    def all_reduce(self, array: object, type: str, op: int) -> object:
        """In place, on all ranks."""

    def reduce(self, array: object, type: str, op: int, root: int) -> object:
        """In place, on rank `root`."""

    def reduce_scatter(self, arrays: list, result: object, type: str, op: int) -> object:
        """`result` gets the combination of all ranks' arrays[own rank]."""

    def all_gather(self, array: object, results: list, type: str) -> object:
        """results[r] gets rank r's array."""

    def broadcast(self, array: object, type: str, root: int) -> object:
        """All get rank `root`'s array."""

    def barrier(self) -> object:
        """Waits for all ranks."""

    def send(self, array: object, type: str, to: int) -> object:
        """Sends to one rank."""

    def receive(self, array: object, type: str, source: int) -> object:
        """Receives from one rank."""

    def leave(self) -> None:
        """Tells the others that this rank does not come any more."""

def join_collective_group(meeting: str, name: str, world: int, rank: int, timeout_ms: int) -> tuple:
    """Waits for all ranks: (group, None) or (None, (code, message))."""

def encode(value: object | None) -> bytes:
    """A value as the bytes of an envelope."""

def encode_definition(value: object, where: str) -> tuple[bytes, list[Any]]:
    """(envelope, captured references and handles)"""

def decode(envelope: bytes) -> Any:
    """The value of an envelope."""
