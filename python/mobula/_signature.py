"""The arguments that a function takes, read once so that the extension can check each call.

Plain functions are read from their code object: `inspect` is not imported for them.
"""

from __future__ import annotations

from types import FunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_VARARGS, _VARKEYWORDS, _GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x08, 0x20, 0x80, 0x200

# names, positional-only, required, keyword-only names, required keyword-only names, *args?, **kwargs?
Description = tuple[tuple[str, ...], int, int, tuple[str, ...], tuple[str, ...], bool, bool]


def _flags(function: Any) -> int:
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None and hasattr(function, "func"):
        return _flags(function.func)
    return getattr(code, "co_flags", 0)


def is_generator(function: Any) -> bool:
    """True for functions with `yield`, async ones too."""
    return bool(_flags(function) & (_GENERATOR | _ASYNC_GENERATOR))


def is_async(function: Any) -> bool:
    """True for `async def`, with or without `yield`."""
    return bool(_flags(function) & (_COROUTINE | _ASYNC_GENERATOR))


def describe(function: Any, skip_first: bool = False) -> Description | None:
    """What Signature::read in the extension takes; None where it cannot be known. `skip_first` leaves out
    `self`."""
    if (
        not isinstance(function, FunctionType)
        or hasattr(function, "__wrapped__")
        or hasattr(function, "__signature__")
    ):
        return _describe_slowly(function, skip_first)
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = len(function.__defaults__ or ())
    keyword_defaults = function.__kwdefaults__ or {}
    required, positional_only = len(names) - defaults, code.co_posonlyargcount
    if skip_first and names:
        names, required, positional_only = names[1:], max(0, required - 1), max(0, positional_only - 1)
    return (
        names,
        positional_only,
        required,
        keyword_only,
        tuple(name for name in keyword_only if name not in keyword_defaults),
        bool(code.co_flags & _VARARGS),
        bool(code.co_flags & _VARKEYWORDS),
    )


def _describe_slowly(function: Any, skip_first: bool) -> Description | None:
    import inspect

    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    kinds = inspect.Parameter
    if (
        skip_first
        and parameters
        and parameters[0].kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)
    ):
        del parameters[0]
    positional = [p for p in parameters if p.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)]
    keyword_only = [p for p in parameters if p.kind is kinds.KEYWORD_ONLY]
    return (
        tuple(p.name for p in positional),
        sum(p.kind is kinds.POSITIONAL_ONLY for p in positional),
        sum(p.default is kinds.empty for p in positional),
        tuple(p.name for p in keyword_only),
        tuple(p.name for p in keyword_only if p.default is kinds.empty),
        any(p.kind is kinds.VAR_POSITIONAL for p in parameters),
        any(p.kind is kinds.VAR_KEYWORD for p in parameters),
    )


def check_arguments(
    name: str, description: Description | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Raises the TypeError of a call that does not fit; used where the fast check in C said no, and for
    actors."""
    if description is None:
        return
    names, positional_only, required, keyword_only, keyword_required, varargs, varkeywords = description
    if len(args) > len(names) and not varargs:
        raise TypeError(f"{name}: too many positional arguments: takes {len(names)}, got {len(args)}")
    taken = set(names[: len(args)])
    for key in kwargs:
        if key in taken and key not in names[:positional_only]:
            raise TypeError(f"{name}: multiple values for argument {key!r}")
        known = key in names[positional_only:] or key in keyword_only
        if not known and not varkeywords:
            raise TypeError(f"{name}: got an unexpected keyword argument {key!r}")
    for place, key in enumerate(names[:required]):
        if place >= len(args) and (place < positional_only or key not in kwargs):
            raise TypeError(f"{name}: missing a required argument: {key!r}")
    for key in keyword_required:
        if key not in kwargs:
            raise TypeError(f"{name}: missing a required keyword-only argument: {key!r}")


def check_call(caller: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """For the extension: `caller` is a remote function or a method template."""
    check_arguments(caller.name, caller.signature, args, kwargs)
