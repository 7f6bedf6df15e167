"""Actors: what @mobula.remote makes of a class, and handles of living ones."""

from __future__ import annotations

from types import FunctionType

from mobula import _core, _options, _signature
from mobula._core import ActorHandle, ActorMethod
from mobula._definition import Definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Options = dict[str, Any]

__all__ = ["ActorClass", "ActorHandle", "ActorMethod", "exit_actor", "method"]

ASYNC_CONCURRENCY = 1000
# Special methods that can be called remotely; the others belong to the handle itself.
_SPECIAL = {
    "__call__",
    "__len__",
    "__getitem__",
    "__setitem__",
    "__contains__",
    "__enter__",
    "__exit__",
    "__next__",
}
_HIDDEN = ("__ray_terminate__", "__ray_ready__", "__ray_call__")


class ActorExit(SystemExit):
    """Ends the actor after the call that raised it."""


def exit_actor() -> None:
    """Ends the actor that this is called in; its other calls fail with ActorDiedError. Never returns."""
    if _core.actor_info() is None:
        raise TypeError(
            "exit_actor() is only for actors' methods; elsewhere use sys.exit() or mobula.kill(actor)"
        )
    raise ActorExit("exit_actor() was called")


def method(*args: Any, **options: Any) -> Callable[[Any], Any]:
    """Gives a method of an actor class options of its own.

    Options: num_returns, concurrency_group, max_task_retries, retry_exceptions,
    _generator_backpressure_num_objects.

    >>> class Splitter:
    ...     @mobula.method(num_returns=2)
    ...     def halves(self, text): ...
    """
    if args or not options:
        raise TypeError("@method takes keyword options: @method(num_returns=2)")
    _options.validate(_options.METHOD_OPTIONS, options, "methods")

    def decorate(function: Any) -> Any:
        function.__mobula_method__ = options
        return function

    return decorate


# -- what is known of a class --------------------------------------------------------------------------------


class Method(_core.MethodTemplate):
    """One method of an actor class; shared by all handles."""

    def __init__(
        self, description: Description, name: str, signature: Any, generates: bool, options: Options
    ) -> None:
        self.description, self.method, self.signature = description, name, signature
        self.name = name
        self.generates, self.options = generates, options

    def with_options(self, options: Options) -> Method:
        """The same method with options of one call."""
        merged = {**self.options, **options}
        return Method(self.description, self.method, self.signature, self.generates, merged)

    def prepare(self) -> None:
        """Fills in the spec for the running engine."""
        options, about = self.options, self.description
        retries = options.get("max_task_retries")
        kinds = options.get("retry_exceptions", False)
        backpressure = options.get("_generator_backpressure_num_objects", -1)
        if about.backpressure is not None and about.backpressure > 0:
            backpressure = (
                about.backpressure if backpressure in (None, -1) else min(backpressure, about.backpressure)
            )
        fields = {
            "function": about.digest,
            "name": options.get("name") or f"{about.class_name}.{self.method}",
            "method": self.method,
            "returns": _options.streaming(options.get("num_returns"), self.generates),
            "max_retries": about.max_task_retries if retries is None else retries,
            "retry_exceptions": bool(kinds),
            "retry_on": _options.pack_exceptions(kinds),
            "group": options.get("concurrency_group") or "",
            "backpressure": -1 if backpressure is None else backpressure,
        }
        self._fill(fields, self.signature, about.max_pending_calls)


class Description:
    """What a handle has to know of its actor: the class's name and digest, the methods, a few options."""

    def __init__(
        self,
        class_name: str,
        digest: bytes,
        methods: dict[str, tuple[Any, bool, Options]],
        max_task_retries: int,
        backpressure: int | None,
        max_pending_calls: int,
    ) -> None:
        self.class_name, self.digest, self.max_pending_calls = class_name, digest, max_pending_calls
        self.max_task_retries, self.backpressure = max_task_retries, backpressure
        self.plain = methods
        self.methods = {name: Method(self, name, *fields) for name, fields in methods.items()}
        for name in _HIDDEN:
            self.methods[name] = Method(self, name, None, False, {})
        self._packed: bytes | None = None

    def missing(self, name: str) -> Method:
        """For a name that is no method."""
        raise AttributeError(f"the actor class {self.class_name} has no method {name!r}")

    def packed(self) -> bytes:
        """As bytes, for handles that travel."""
        if self._packed is None:
            fields = (self.class_name, self.digest, self.plain, self.max_task_retries, self.backpressure)
            self._packed = _core.encode((*fields, self.max_pending_calls))
        return self._packed


_descriptions: dict[bytes, Description] = {}


def unpack_description(packed: bytes) -> Description:
    """The description of a handle that came from elsewhere; one for all handles of a class."""
    found = _descriptions.get(packed)
    if found is None:
        if len(_descriptions) > 1000:
            _descriptions.clear()
        found = _descriptions[packed] = _unpack(packed)
        found._packed = packed
    return found


def _unpack(packed: bytes) -> Description:
    plain = _core.plain_actor(packed)
    fields = plain or _core.decode(packed)
    if plain is None and isinstance(fields[2], dict):
        return Description(*fields)
    from mobula import cross_language

    return cross_language.open_description(plain) if plain else cross_language.OpenDescription(*fields)


def methods_of(actor_class: type) -> dict[str, tuple[Any, bool, Options]]:
    """The methods that can be called remotely: (signature, generator?, options) by name."""
    found = {}
    for name in dir(actor_class):
        if name.startswith("__") and name.endswith("__") and name not in _SPECIAL:
            continue
        value = getattr(actor_class, name, None)
        if isinstance(value, type) or not callable(value):
            continue
        raw = next((vars(kind)[name] for kind in actor_class.__mro__ if name in vars(kind)), value)
        bound = not isinstance(raw, (staticmethod, classmethod))
        signature = _signature.describe(value, skip_first=bound and isinstance(value, FunctionType))
        found[name] = (signature, _signature.is_generator(value), getattr(value, "__mobula_method__", {}))
    return found


def is_async_class(actor_class: type) -> bool:
    """True when any method is `async def`: the actor then runs on an event loop."""
    return any(
        _signature.is_async(getattr(actor_class, name, None))
        for name in dir(actor_class)
        if not name.startswith("__") or name in _SPECIAL or name in ("__init__", "__aenter__", "__aexit__")
    )


# -- handles -------------------------------------------------------------------------------------------------


def _restore_handle(number: int, session: int, packed: bytes) -> ActorHandle:
    return ActorHandle(number, session, unpack_description(packed), False)


def find(name: str, namespace: str | None) -> ActorHandle:
    """The handle of a named actor."""
    from mobula import _driver, exceptions

    try:
        number, packed, session = _core.find_actor(name, namespace or _driver.namespace())
    except ValueError as error:
        raise exceptions.ActorHandleNotFoundError(str(error)) from None
    return ActorHandle(number, session, unpack_description(packed), True)


def _prepare_method(template: Method) -> None:
    template.prepare()


def _missing_method(description: Description, name: str) -> Method:
    if name.startswith("__"):
        raise AttributeError(name)
    return description.missing(name)


def _method_options(bound: ActorMethod, options: Options) -> ActorMethod:
    _options.validate(_options.METHOD_OPTIONS, options, "methods")
    return ActorMethod(bound._handle, bound._template.with_options(options))


def _method_bind(bound: ActorMethod, args: tuple[Any, ...], kwargs: Options) -> Any:
    from mobula.dag import ClassMethodNode

    return ClassMethodNode(bound, args, kwargs)


# -- classes -------------------------------------------------------------------------------------------------


class ActorClass:
    """A class whose instances are actors: `A.remote(...)` creates one, `A.options(...)` gives it other
    options.

    >>> @mobula.remote
    ... class Counter:
    ...     def __init__(self):
    ...         self.value = 0
    ...     def increment(self):
    ...         self.value += 1
    ...         return self.value
    >>> counter = Counter.remote()
    >>> mobula.get(counter.increment.remote())
    1
    """

    def __init__(self, actor_class: type, options: Options, definition: Definition | None = None) -> None:
        self._class, self._options = actor_class, options
        self._definition = definition or Definition(actor_class, actor_class.__qualname__)
        self.__name__, self.__qualname__ = actor_class.__name__, actor_class.__qualname__
        self.__module__, self.__doc__ = actor_class.__module__, actor_class.__doc__
        self._facts: tuple[Any, bool, dict[str, Any]] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = self.__name__
        raise TypeError(f"actors cannot be made directly: instead of {name}(...) write {name}.remote(...)")

    def __mro_entries__(self, bases: Any) -> Any:
        raise TypeError(
            f"inheriting from the actor class {self.__name__} is not possible: inherit from a plain class, "
            f"and decorate "
            "the subclass"
        )

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_class":
            raise AttributeError(name)
        return getattr(self._class, name)

    def __repr__(self) -> str:
        return f"<actor class {self.__module__}.{self.__qualname__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_class, (self._class, self._options, self._definition.known())

    def options(self, **options: Any) -> ActorClass:
        """The same class with other options, which take the place of the decorator's.

        Options: num_cpus, num_gpus, memory, resources, name, namespace, lifetime, get_if_exists,
        max_restarts, max_task_retries, max_concurrency, concurrency_groups, max_pending_calls, runtime_env,
        scheduling_strategy.
        """
        check_options(options)
        other = ActorClass(self._class, {**self._options, **options}, self._definition)
        other._facts = self._facts
        return other

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        """Creates an actor and returns its handle at once; errors of the constructor come with the first
        call."""
        return create(self, args, kwargs)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a lazy graph that will create this actor."""
        from mobula.dag import ClassNode

        return ClassNode(self, args, kwargs)

    def facts(self) -> tuple[Any, bool, dict[str, Any]]:
        """(the constructor's signature, whether it is async, the methods)."""
        if self._facts is None:
            constructor: Any = self._class.__init__  # type: ignore[misc]
            signature: Any = _signature.describe(constructor, skip_first=True)
            if not any("__init__" in vars(kind) for kind in self._class.__mro__[:-1]):
                takes_any = any("__new__" in vars(kind) for kind in self._class.__mro__[:-1])
                signature = None if takes_any else ((), 0, 0, (), (), False, False)
            self._facts = signature, is_async_class(self._class), methods_of(self._class)
        return self._facts


def _restore_class(actor_class: type, options: Options, known: tuple[int, bytes] | None) -> ActorClass:
    if known is not None and known[0] != _core.session():
        known = None
    return ActorClass(actor_class, options, Definition(actor_class, actor_class.__qualname__, known))


def check_options(options: Options) -> None:
    """Raises for unknown options, wrong values, and pairs that exclude each other."""
    _options.validate(_options.ACTOR_OPTIONS, options, "actors")
    if options.get("get_if_exists") and not options.get("name"):
        raise ValueError("option 'get_if_exists' needs a 'name'")
    if options.get("runtime_env"):
        from mobula import _environment

        _environment.pack(options["runtime_env"])


def make(actor_class: type, options: Options) -> ActorClass:
    """An actor class with checked options."""
    check_options(options)
    return ActorClass(actor_class, options)


def _concurrency(options: Options, is_async: bool) -> tuple[int, dict[str, int]]:
    """(calls at once outside of groups, calls at once by group)."""
    groups = options.get("concurrency_groups") or {}
    if not isinstance(groups, dict):
        groups = {group["name"]: group["max_concurrency"] for group in groups}
    return options.get("max_concurrency") or (ASYNC_CONCURRENCY if is_async else 1), groups


def _is_ordered(options: Options, concurrent: bool) -> bool:
    out_of_order = options.get("allow_out_of_order_execution")
    if out_of_order is False and concurrent:
        raise ValueError("allow_out_of_order_execution=False is impossible for async and threaded actors")
    return not (concurrent if out_of_order is None else out_of_order)


def _spec_fields(made: ActorClass, groups: str) -> Options:
    from mobula.remote_function import _packed_environment

    options = made._options
    named = any(options.get(key) is not None for key in ("num_cpus", "num_gpus", "resources", "memory"))
    held = _options.amounts(options, 1 if named else 0)
    need = held if named else {**held, "CPU": 1}
    return {
        "function": made._definition.export(),
        "name": f"{made.__name__}.__init__",
        "resources": held,
        "placement_resources": need,
        "runtime_env": _packed_environment(options.get("runtime_env")),
        "nested": made._definition.refs,
        "group": groups,
        **_options.placement(options, need),
    }


def create(made: ActorClass, args: tuple[Any, ...], kwargs: Options) -> ActorHandle:
    """Creates the actor."""
    from mobula import _driver

    _driver.ensure()
    options = made._options
    signature, is_async, methods = made.facts()
    _signature.check_arguments(made.__name__, signature, args, kwargs)
    default, groups = _concurrency(options, is_async)
    for name, (_, _, chosen) in methods.items():
        group = chosen.get("concurrency_group")
        if group and group not in groups and group != "_ray_system":
            raise ValueError(
                f"{made.__name__}.{name} names concurrency group {group!r}, which the class does not have"
            )
    lanes = ",".join(f"{name}={limit}" for name, limit in {"": default, **groups}.items()) if groups else ""
    spec = _spec_fields(made, lanes)
    retries = options.get("max_task_retries") or 0
    ahead = options.get("_actor_generator_backpressure_num_objects")
    pending = options.get("max_pending_calls")
    pending = -1 if pending is None else pending
    fresh = Description(made.__name__, spec["function"], methods, retries, ahead, pending)
    description = unpack_description(fresh.packed())
    actor = {
        "name": options.get("name") or "",
        "space": options.get("namespace") or _driver.namespace(),
        "class_name": made.__name__,
        "handle": description.packed(),
        "detached": options.get("lifetime") == "detached",
        "get_if_exists": bool(options.get("get_if_exists")),
        "ordered": _is_ordered(options, is_async or default > 1 or bool(groups)),
        "max_restarts": options.get("max_restarts") or 0,
        "max_task_retries": retries,
        "max_concurrency": default + sum(groups.values()),
        "max_pending_calls": -1,  # counted by each caller: pending.h
    }
    number, packed, session = _core.create_actor(spec, actor, args, kwargs)
    return ActorHandle(number, session, unpack_description(packed or description.packed()), True)


def own_handle() -> ActorHandle:
    """The handle of the actor that this process is."""
    from mobula import _pickling, _worker

    info = _core.actor_info()
    if info is None:
        raise RuntimeError("current_actor is only there in an actor's methods")
    actor_class = _worker.actor_class()
    digest = _pickling.loaded[id(actor_class)][1]
    description = Description(actor_class.__name__, digest, methods_of(actor_class), 0, None, -1)
    return ActorHandle(info["actor"], _core.session(), unpack_description(description.packed()), False)


_ELSEWHERE = {  # names that Ray's module has too
    "ActorAlreadyExistsError": "mobula.exceptions",
    "AsyncioActorExit": "mobula.exceptions",
    "ObjectRefGenerator": "mobula._refs",
    "PlacementGroupSchedulingStrategy": "mobula.util.scheduling_strategies",
}


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'mobula.actor' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ELSEWHERE[name]), name)
