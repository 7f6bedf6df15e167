"""C++ functions and actors from Python. Values pass in the plain form: numbers, text, lists, maps, arrays
(in place), Arrow tables, references and handles.

A C++ library registers its functions with MOBULA_REMOTE (include/mobula/api.h) and is loaded by its path:

>>> mobula.load_library("libcounting.so")
>>> add = mobula.cpp_function("Add")
>>> mobula.get(add.remote(1, 2))
3
>>> Counter = mobula.cpp_actor_class("Counter::Create", "Counter")
>>> counter = Counter.remote(10)
>>> mobula.get(counter.Add.remote(5))
15
"""

from __future__ import annotations

from mobula import _core, _options
from mobula.actor import Description, Method, unpack_description

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["CppActorClass", "CppFunction", "cpp_actor_class", "cpp_function", "load_library"]


def load_library(path: str) -> None:
    """Loads a shared library with C++ functions. Workers load it when they first run one of them."""
    import os

    _core.load_library(os.path.abspath(path) if os.path.exists(path) else path)


def cpp_function(function_name: str) -> CppFunction:
    """The C++ function registered under this name: its calls are tasks, as those of a Python function are."""
    return CppFunction(function_name, {})


def cpp_actor_class(create_function_name: str, class_name: str) -> CppActorClass:
    """The C++ class whose factory is registered under this name: its instances are actors."""
    return CppActorClass(create_function_name, class_name, {})


def _export(name: str) -> bytes:
    """Makes the engine know a C++ function; its digest."""
    found = _core.find_cpp(name)
    if found is None:
        known = ", ".join(_core.cpp_names()) or "none"
        raise ValueError(
            f"no C++ function is registered as {name!r} in this process; load its library first with "
            f"mobula.load_library(path). Known: {known}"
        )
    digest, definition = found
    _core.define_function(digest, definition, True)
    return digest


def _results(options: dict[str, Any]) -> dict[str, int]:
    """One value, or of a C++ generator a stream: num_returns="streaming"."""
    ahead = options.get("_generator_backpressure_num_objects")
    return {
        "returns": _options.streaming(options.get("num_returns"), False),
        "backpressure": -1 if ahead is None else ahead,
    }


class CppFunction(_core.TaskCaller):
    """A C++ function whose calls are tasks."""

    def __init__(self, name: str, options: dict[str, Any]) -> None:
        self.name, self.signature, self._options = name, None, options

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"remote functions cannot be called directly: write {self.name}.remote(...)")

    def options(self, **options: Any) -> CppFunction:
        """The same function with other options: num_cpus, num_gpus, resources, max_retries, name, ...;
        num_returns="streaming" for a generator."""
        _options.validate(_options.TASK_OPTIONS, options, "tasks")
        return CppFunction(self.name, {**self._options, **options})

    def _prepare(self) -> None:
        options = self._options
        retries = options.get("max_retries")
        fields = {
            "function": _export(self.name),
            "name": options.get("name") or self.name,
            "cpp": True,
            "resources": _options.amounts(options, 1),
            "max_retries": 3 if retries is None else retries,
            "retry_exceptions": bool(options.get("retry_exceptions")),
            **_results(options),
            "runtime_env": _core.runtime_env(),
            **_options.placement(options, _options.amounts(options, 1)),
        }
        self._fill(fields, None)


class OpenDescription(Description):
    """Of an actor whose methods are not known here: any name is taken for one."""

    def __init__(self, class_name: str, digest: bytes, is_cpp: bool, max_task_retries: int) -> None:
        super().__init__(class_name, digest, {}, max_task_retries, None, -1)
        self.is_cpp = is_cpp

    def packed(self) -> bytes:
        """As bytes, for handles that travel."""
        if self._packed is None:
            self._packed = _core.encode((self.class_name, self.digest, self.is_cpp, self.max_task_retries))
        return self._packed

    def missing(self, name: str) -> Method:
        """A method of that name."""
        method: Method = CppMethod(self, name) if self.is_cpp else Method(self, name, None, False, {})
        self.methods[name] = method
        return method


class CppMethod(Method):
    """A method of a C++ actor."""

    def __init__(self, description: Description, name: str) -> None:
        super().__init__(description, name, None, False, {})

    def prepare(self) -> None:
        """Fills in the spec for the running engine."""
        retries = self.options.get("max_task_retries")
        fields = {
            "function": self.description.digest,
            "name": self.options.get("name") or self.method,
            "method": self.method,
            "cpp": True,
            "max_retries": self.description.max_task_retries if retries is None else retries,
            **_results(self.options),
        }
        self._fill(fields, None)

    def with_options(self, options: dict[str, Any]) -> Method:
        """The same method with options of one call."""
        other = CppMethod(self.description, self.method)
        other.options = {**self.options, **options}
        return other


class CppActorClass:
    """A C++ class whose instances are actors."""

    def __init__(self, factory: str, class_name: str, options: dict[str, Any]) -> None:
        self.factory, self.class_name, self._options = factory, class_name, options

    def options(self, **options: Any) -> CppActorClass:
        """The same class with other options: name, num_cpus, resources, max_restarts, max_concurrency, ..."""
        _options.validate(_options.ACTOR_OPTIONS, options, "actors")
        return CppActorClass(self.factory, self.class_name, {**self._options, **options})

    def remote(self, *args: Any) -> _core.ActorHandle:
        """Creates an actor by calling the factory; its handle at once."""
        from mobula import _driver

        _driver.ensure()
        options = self._options
        named = any(options.get(key) is not None for key in ("num_cpus", "num_gpus", "resources", "memory"))
        held = _options.amounts(options, 1 if named else 0)
        need = held if named else {**held, "CPU": 1}
        spec = {
            "function": _export(self.factory),
            "name": f"{self.class_name}.__init__",
            "cpp": True,
            "resources": held,
            "placement_resources": need,
            "runtime_env": _core.runtime_env(),
            **_options.placement(options, need),
        }
        retries, concurrency = options.get("max_task_retries") or 0, options.get("max_concurrency") or 1
        description = OpenDescription(self.class_name, spec["function"], True, retries)
        actor = {
            "name": options.get("name") or "",
            "space": options.get("namespace") or _driver.namespace(),
            "class_name": self.class_name,
            "handle": description.packed(),
            "detached": options.get("lifetime") == "detached",
            "get_if_exists": bool(options.get("get_if_exists")),
            "ordered": concurrency == 1,
            "max_restarts": options.get("max_restarts") or 0,
            "max_task_retries": retries,
            "max_concurrency": concurrency,
            "max_pending_calls": -1,
        }
        number, packed, session = _core.create_actor(spec, actor, args, {})
        return _core.ActorHandle(number, session, unpack_description(packed or description.packed()), True)


def open_description(fields: Any) -> Description:
    """From what C++ says of an actor: (class name, C++?, digest, max_task_retries, Python's part)."""
    class_name, is_cpp, digest, retries, packed = fields
    if packed and not is_cpp:
        return unpack_description(packed)
    return OpenDescription(class_name, digest, is_cpp, retries)


def _plain_handle(handle: _core.ActorHandle) -> tuple[Any, ...]:
    """A handle for C++: (number, session, C++?, max_task_retries, digest, class name, Python's part)."""
    about = handle._description
    is_cpp = getattr(about, "is_cpp", False)
    own = b"" if is_cpp else about.packed()
    return (
        handle._number,
        handle._session,
        is_cpp,
        about.max_task_retries,
        about.digest,
        about.class_name,
        own,
    )


def _restore_plain_actor(number: int, session: int, fields: Any) -> _core.ActorHandle:
    return _core.ActorHandle(number, session, open_description(fields), False)
