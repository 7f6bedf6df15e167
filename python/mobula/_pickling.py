"""Pickling: cloudpickle's rules with the speed of one kept pickler, custom serializers, and errors that say
what it was."""

from __future__ import annotations

import copyreg
import io
import pickle
from collections.abc import Callable
from types import FunctionType, SimpleNamespace
from typing import Any

import cloudpickle

from mobula import _core

HINT = (
    "Values travel to other processes by pickle. Make such things inside the task or actor, give the class a "
    "__reduce__ or __getstate__, or teach it to mobula.util.register_serializer; "
    "mobula.util.inspect_serializability(value) shows the way to the culprit."
)

_custom: dict[type, Callable[[Any], Any]] = {}


_table: dict[type, Callable[[Any], Any]] = {}


def merge_reducers() -> None:
    """Makes the table of reducers anew: ours, then cloudpickle's, then copyreg's as they are now."""
    _table.update({**copyreg.dispatch_table, **cloudpickle.CloudPickler._dispatch_table, **_custom})


class Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """cloudpickle's pickler, made to be used again; the extension keeps some."""

    dispatch_table = _table

    dump_fast = pickle.Pickler.dump

    def forget(self) -> None:
        """Makes it ready for the next value."""
        self.clear_memo()
        self.globals_ref.clear()


def make_pickler(write: Callable[[bytes], int], buffer: Callable[[Any], bool]) -> Pickler:
    """A pickler that writes to the extension's sink."""
    pickler = Pickler(SimpleNamespace(write=write), protocol=5, buffer_callback=buffer)
    pickler.reducer_override = _core.Reducer(
        pickler.reducer_override, cloudpickle.cloudpickle._PICKLE_BY_VALUE_MODULES
    )
    return pickler


# -- custom serializers -----------------------------------------------------------------------------------


def register_serializer(
    cls: type, *, serializer: Callable[[Any], Any], deserializer: Callable[[Any], Any]
) -> None:
    """Values of class `cls` travel as `serializer(value)` and are rebuilt by `deserializer`."""
    if not isinstance(cls, type):
        raise TypeError(f"register_serializer() takes a class, not {cls!r}")
    _custom[cls] = _table[cls] = lambda value: (deserializer, (serializer(value),))


def deregister_serializer(cls: type) -> None:
    """Forgets what register_serializer() was told about `cls`."""
    if _custom.pop(cls, None) is not None:
        _table.pop(cls, None)
        merge_reducers()


# -- explaining failures ------------------------------------------------------------------------------------


def _fails(value: Any) -> Exception | None:
    try:
        Pickler(io.BytesIO(), protocol=5, buffer_callback=lambda buffer: None).dump(value)
    except Exception as error:
        return error
    return None


def _parts(value: Any) -> list[tuple[str, Any]]:
    """The named things that a value is made of."""
    if isinstance(value, FunctionType):
        code = value.__code__
        cells = zip(code.co_freevars, value.__closure__ or (), strict=False)
        parts = [
            (f"variable {name!r} captured by {value.__name__}()", cell.cell_contents) for name, cell in cells
        ]
        for name in code.co_names:
            if name in value.__globals__:
                parts.append(
                    (f"global variable {name!r} used by {value.__name__}()", value.__globals__[name])
                )
        return parts
    if isinstance(value, dict):
        return [(f"the value of key {key!r}", item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"item {place}", item) for place, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        return [("a member", item) for item in value]
    inside = getattr(value, "__dict__", None)
    if isinstance(value, type):
        return [
            (f"attribute {name!r} of class {value.__name__}", item)
            for name, item in vars(value).items()
            if isinstance(item, FunctionType) or not name.startswith("__")
        ]
    if isinstance(inside, dict):
        return [(f"attribute {name!r} of {type(value).__name__}", item) for name, item in inside.items()]
    return []


def find_culprits(value: Any, depth: int = 4, limit: int = 1) -> list[tuple[str, Any]]:
    """The ways to the innermost parts that cannot be pickled, as (path, part)."""
    found: list[tuple[str, Any]] = []
    if depth == 0:
        return found
    try:
        parts = _parts(value)
    except ValueError:  # an empty cell of a closure
        return found
    for name, part in parts[:1000]:
        if part is value or _fails(part) is None:
            continue
        inner = find_culprits(part, depth - 1, limit)
        found += [(f"{name}, {path}", culprit) for path, culprit in inner] or [(name, part)]
        if len(found) >= limit:
            break
    return found


def explain(value: Any, where: str, error: BaseException) -> TypeError:
    """The error of a value that cannot be pickled: where it is, what it is, what to do."""
    text = f"{where} cannot be pickled"
    culprits = find_culprits(value)
    if culprits:
        path, culprit = culprits[0]
        text += f": {path} is {_short(culprit)}"
    else:
        text += f": it is {_short(value)}"
    explained = TypeError(f"{text} ({type(error).__name__}: {error}). {HINT}")
    explained.__suppress_context__ = True
    return explained


def _short(value: Any) -> str:
    try:
        shown = repr(value)
    except Exception:
        shown = "?"
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return f"{shown}, of type {type(value).__module__}.{type(value).__qualname__}"


# -- reading ------------------------------------------------------------------------------------------------

loaded: dict[int, tuple[Any, bytes]] = {}
"""Functions and classes that came by definition: by id(), with the digest under which the engine knows
them."""


def load_function(definition: bytes) -> Any:
    """A function or class from its definition; remembered, so that it is not exported again from here."""
    if not definition:
        raise RuntimeError("the definition of a function did not arrive")
    function = (
        _by_name(definition.decode())
        if definition[:1].isalpha() or definition[:1] == b"_"
        else _core.decode(definition)
    )
    loaded[id(function)] = function, _core.digest(definition)
    return function


def _by_name(text: str) -> Any:
    """What C++ names "module:function" or "module:Class"."""
    import importlib

    module_name, _, path = text.partition(":")
    target: Any = importlib.import_module(module_name)
    for name in path.split("."):
        target = getattr(target, name)
    return getattr(target, "_function", None) or getattr(target, "_class", None) or target


# ElementType of wire/plain.h, in its order.
_ELEMENT_TYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


def make_array(buffer: Any, element_type: int, shape: tuple[int, ...]) -> Any:
    """A tensor of another language as a read-only NumPy array, in place."""
    import numpy as np

    return np.frombuffer(buffer, _ELEMENT_TYPES[element_type]).reshape(shape)


def write_arrow(table: Any) -> Any:
    """An Arrow table, batch or array as an IPC stream."""
    import pyarrow as pa

    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if not isinstance(table, pa.Table):
        raise TypeError(f"C++ takes Arrow tables and record batches, not {type(table).__name__}")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def read_arrow(buffer: Any) -> Any:
    """An Arrow IPC stream as a table; its columns are views."""
    import pyarrow as pa

    return pa.ipc.open_stream(pa.py_buffer(buffer)).read_all()
