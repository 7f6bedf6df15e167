"""The words of collective operations: back ends, ways to reduce, options of calls, errors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

unset_timeout_ms = timedelta(milliseconds=-1)


class CollectiveError(RuntimeError):
    """A collective call failed: a member ended or left, calls did not match, the group is broken. The message
    names the group and the rank."""


class CollectiveTimeoutError(CollectiveError):
    """A member did not come within the group's timeout."""


class Backend:
    """Names of back ends: GLOO and SHM are shared memory on the CPU, NCCL is for GPUs.

    >>> Backend("torch_gloo")
    'GLOO'
    """

    NCCL = "NCCL"
    GLOO = "GLOO"
    SHM = "SHM"
    UNRECOGNIZED = "unrecognized"

    def __new__(cls, name: str) -> str:  # type: ignore[misc]
        upper = name.upper()
        if upper == "TORCH_GLOO":
            return cls.GLOO
        found = getattr(cls, upper, cls.UNRECOGNIZED)
        if found == cls.UNRECOGNIZED:
            raise ValueError(f"Unrecognized backend: {name!r}. There are GLOO, SHM and NCCL")
        return str(found)


class ReduceOp(Enum):
    """How the members' values become one."""

    SUM = 0
    PRODUCT = 1
    MIN = 2
    MAX = 3


@dataclass
class AllReduceOptions:
    """Of allreduce."""

    reduceOp: ReduceOp = ReduceOp.SUM
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class BarrierOptions:
    """Of barrier."""

    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class ReduceOptions:
    """Of reduce."""

    reduceOp: ReduceOp = ReduceOp.SUM
    root_rank: int = 0
    root_tensor: int = 0
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class AllGatherOptions:
    """Of allgather."""

    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class BroadcastOptions:
    """Of broadcast."""

    root_rank: int = 0
    root_tensor: int = 0
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class ReduceScatterOptions:
    """Of reducescatter."""

    reduceOp: ReduceOp = ReduceOp.SUM
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class SendOptions:
    """Of send."""

    dst_rank: int = 0
    dst_gpu_index: int = 0
    n_elements: int = 0
    timeout_ms: timedelta = unset_timeout_ms


@dataclass
class RecvOptions:
    """Of recv."""

    src_rank: int = 0
    src_gpu_index: int = 0
    n_elements: int = 0
    timeout_ms: timedelta = unset_timeout_ms


def torch_available() -> bool:
    """Whether torch can be imported."""
    import importlib.util

    return importlib.util.find_spec("torch") is not None


def cupy_available() -> bool:
    """Whether cupy can be imported."""
    import importlib.util

    return importlib.util.find_spec("cupy") is not None
