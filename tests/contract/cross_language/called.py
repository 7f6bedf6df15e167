"""What caller.cc calls."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def add(a: Any, b: Any) -> Any:
    return a + b


def scale(array: np.ndarray, factor: float) -> np.ndarray:
    return array * factor


def describe(array: np.ndarray) -> dict[str, Any]:
    return {"owns": bool(array.flags.owndata), "dtype": str(array.dtype)}


def points(count: int) -> list[dict[str, float]]:
    return [{"x": float(i), "y": 2.0 * i} for i in range(count)]


def halves(value: float) -> Iterator[float]:
    while value > 1:
        value /= 2
        yield value


def text(value: Any) -> str:
    return repr(value)


def fail(what: str) -> None:
    raise ValueError(f"no {what}")


class Model:
    def __init__(self, bias: int) -> None:
        self._bias = bias

    def shift(self, array: np.ndarray) -> np.ndarray:
        return array + self._bias

    def bias(self) -> int:
        return self._bias

    def fail(self) -> None:
        raise KeyError("k")
