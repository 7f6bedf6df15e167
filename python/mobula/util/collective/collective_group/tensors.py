"""NumPy arrays and torch's CPU tensors as contiguous memory, without a copy where that can be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass
class Memory:
    """A tensor's values as a contiguous array; `store` brings them back where the array is a copy."""

    array: Any
    type: str  # "float32", "bfloat16", ...
    shape: tuple[int, ...]
    store: Callable[[], None] | None = None


def is_tensor(value: Any) -> bool:
    """Whether it is of a kind that travels."""
    torch = sys.modules.get("torch")
    return isinstance(value, np.ndarray) or (torch is not None and isinstance(value, torch.Tensor))


def memory_of(tensor: Any, written: bool) -> Memory:
    """The memory of an array or tensor; `written` says that a call changes it."""
    return _of_array(tensor, written) if isinstance(tensor, np.ndarray) else _of_torch(tensor, written)


def _of_array(tensor: Any, written: bool) -> Memory:
    if not tensor.dtype.isnative:
        raise TypeError(f"arrays of {tensor.dtype} have foreign byte order: use tensor.astype(...) first")
    if written and not tensor.flags.writeable:
        raise ValueError(
            "the array is read-only, as what get() gives is: make a copy() of it to receive a result in"
        )
    if tensor.flags.c_contiguous and tensor.flags.aligned:
        return Memory(tensor, tensor.dtype.name, tensor.shape)
    copied = np.array(tensor, order="C")

    def store() -> None:
        tensor[...] = copied

    return Memory(copied, tensor.dtype.name, tensor.shape, store if written else None)


def _of_torch(tensor: Any, written: bool) -> Memory:
    import torch

    if tensor.device.type != "cpu":
        raise RuntimeError(
            f"the tensor is on {tensor.device}: this back end passes CPU tensors; use tensor.cpu()"
        )
    plain = tensor.detach()
    whole = plain if plain.is_contiguous() else plain.contiguous()
    kind = str(plain.dtype).removeprefix("torch.")
    array = whole.view(torch.int16).numpy() if plain.dtype == torch.bfloat16 else whole.numpy()

    def store() -> None:
        plain.copy_(whole)

    return Memory(array, kind, tuple(plain.shape), store if written and whole is not plain else None)
