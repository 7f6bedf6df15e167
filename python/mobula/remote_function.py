"""Remote functions: what @mobula.remote makes of a function."""

from __future__ import annotations

from mobula import _core, _options, _signature
from mobula._definition import Definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RemoteFunction(_core.TaskCaller):
    """A function whose calls are tasks: `f.remote(...)` submits one, `f.options(...)` gives it other options.

    >>> @mobula.remote
    ... def double(x):
    ...     return 2 * x
    >>> mobula.get(double.remote(21))
    42
    """

    def __init__(self, function: Any, options: dict[str, Any], definition: Definition | None = None) -> None:
        if _signature.is_async(function) and not _signature.is_generator(function):
            raise ValueError(
                f"{_name_of(function)} is an async function, and tasks run one at a time: call "
                f"asyncio.run() in a plain "
                "function, or use an async actor"
            )
        self._function, self._options = function, options
        self.name = _name_of(function)
        self.signature = _signature.describe(function)
        self._definition = definition or Definition(function, self.name)
        self.__name__ = self.name
        self.__qualname__ = getattr(function, "__qualname__", self.name)
        self.__module__ = getattr(function, "__module__", None) or "__main__"
        self.__doc__ = getattr(function, "__doc__", None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"remote functions cannot be called directly: instead of {self.name}(...) write "
            f"{self.name}.remote(...)"
        )

    def __repr__(self) -> str:
        return f"<remote function {self.__module__}.{self.__qualname__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._function, self._options, self._definition.known())

    def options(self, **options: Any) -> RemoteFunction:
        """The same function with other options, which take the place of the decorator's.

        Options: num_cpus, num_gpus, memory, resources, num_returns, max_retries, retry_exceptions, name,
        runtime_env, scheduling_strategy, accelerator_type, label_selector. Unknown ones and wrong values
        raise at once.
        """
        _options.validate(_options.TASK_OPTIONS, options, "tasks")
        if "max_calls" in options:
            raise ValueError("option 'max_calls' can only be given in the decorator, not in .options()")
        if options.get("runtime_env") or options.get("scheduling_strategy") is not None:
            _check_now(options)
        merged = {**self._options, **options}
        other: RemoteFunction = RemoteFunction.__new__(RemoteFunction)
        other.__dict__.update(self.__dict__)
        other._options = merged
        return other

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """A node of a lazy graph that will run this function."""
        from mobula.dag import FunctionNode

        return FunctionNode(self, args, kwargs)

    def _prepare(self) -> None:
        """Called by remote() when the engine is another than at the last call."""
        options = self._options
        gpus = options.get("num_gpus") or 0
        retries = options.get("max_retries")
        kinds = options.get("retry_exceptions", False)
        backpressure = options.get("_generator_backpressure_num_objects")
        need = _options.amounts(options, 1)
        fields = {
            "function": self._definition.export(),
            "name": options.get("name") or self.name,
            "returns": _options.streaming(
                options.get("num_returns"), _signature.is_generator(self._function)
            ),
            "resources": need,
            "max_retries": 3 if retries is None else retries,
            "retry_exceptions": bool(kinds),
            "retry_on": _options.pack_exceptions(kinds),
            "backpressure": -1 if backpressure is None else backpressure,
            "max_calls": options.get("max_calls", 1 if gpus > 0 else 0),
            "runtime_env": _packed_environment(options.get("runtime_env")),
            "nested": self._definition.refs,
            **_options.placement(options, need),
        }
        self._fill(fields, self.signature)


def _name_of(function: Any) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def _restore(function: Any, options: dict[str, Any], known: tuple[int, bytes] | None) -> RemoteFunction:
    if known is not None and known[0] != _core.session():
        known = None
    return RemoteFunction(function, options, Definition(function, _name_of(function), known))


def _packed_environment(environment: dict[str, Any] | None) -> str:
    if not environment:
        return _core.runtime_env()
    from mobula import _environment

    return _environment.pack(environment)


def _check_now(options: dict[str, Any]) -> None:
    """Errors in these belong to the call of options(), not to that of remote()."""
    _packed_environment(options.get("runtime_env"))
    if isinstance(options.get("scheduling_strategy"), str):
        _options.placement({"scheduling_strategy": options["scheduling_strategy"]}, {})


def make(function: Any, options: dict[str, Any]) -> RemoteFunction:
    """A remote function with checked options."""
    _options.validate(_options.TASK_OPTIONS, options, "tasks")
    if options:
        _check_now(options)
    return RemoteFunction(function, options)
