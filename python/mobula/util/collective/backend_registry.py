"""Which class stands for which back end. Programs add their own with register_collective_backend(), in every
process that uses it."""

from __future__ import annotations

from mobula.util.collective import types
from mobula.util.collective.collective_group.base_collective_group import BaseGroup

_classes: dict[str, type[BaseGroup]] = {}


def register_collective_backend(name: str, group_cls: type[BaseGroup]) -> None:
    """Makes `backend=name` mean a group of class `group_cls`, in this process."""
    if not (isinstance(group_cls, type) and issubclass(group_cls, BaseGroup)):
        raise TypeError(f"{group_cls} is not a subclass of BaseGroup")
    upper = name.upper()
    if upper in _classes:
        raise ValueError(f"Backend {upper} already registered")
    _classes[upper] = group_cls
    if not hasattr(types.Backend, upper):
        setattr(types.Backend, upper, upper)


def canonical(name: str) -> str:
    """The name under which a back end is registered."""
    upper = str(name).upper()
    return "GLOO" if upper == "TORCH_GLOO" else upper


def is_available(name: str) -> bool:
    """Whether a back end is registered and works here."""
    found = _classes.get(canonical(name))
    return found is not None and bool(found.check_backend_availability())


def find(name: str) -> type[BaseGroup]:
    """The class of a back end that works here; RuntimeError says why there is none."""
    found = _classes.get(canonical(name))
    if found is None:
        known = ", ".join(sorted(_classes))
        raise RuntimeError(
            f"Backend {name} is not registered. There are {known}; add another with "
            f"register_collective_backend({name!r}, YourGroup) in every process that uses it"
        )
    if not found.check_backend_availability():
        raise RuntimeError(
            f"Backend {name} is not available here: it needs GPUs and their libraries. backend='gloo' passes "
            f"arrays and CPU tensors through shared memory"
        )
    return found
