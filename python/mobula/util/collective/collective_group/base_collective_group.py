"""What every back end's group offers. Tensors come in lists, one for each device of the process: on the CPU,
one."""

from __future__ import annotations

from typing import Any

from mobula.util.collective.types import (
    AllGatherOptions,
    AllReduceOptions,
    BarrierOptions,
    BroadcastOptions,
    RecvOptions,
    ReduceOptions,
    ReduceScatterOptions,
    SendOptions,
)


class CollectiveGroup:
    """A process's membership in a group; known as BaseGroup, which own back ends inherit."""

    def __init__(self, world_size: int, rank: int, group_name: str) -> None:
        self._world_size, self._rank, self._group_name = world_size, rank, group_name

    @property
    def rank(self) -> int:
        """This process's rank."""
        return self._rank

    @property
    def world_size(self) -> int:
        """How many members there are."""
        return self._world_size

    @property
    def group_name(self) -> str:
        """The group's name."""
        return self._group_name

    def destroy_group(self) -> None:
        """Gives back what the group holds."""

    @classmethod
    def backend(cls) -> str:
        """The back end's name."""
        raise NotImplementedError(f"{cls.__name__} has no backend()")

    @classmethod
    def check_backend_availability(cls) -> bool:
        """Whether the back end works on this machine."""
        raise NotImplementedError(f"{cls.__name__} has no check_backend_availability()")

    def _missing(self, operation: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {operation}()")

    def allreduce(self, tensor: list[Any], allreduce_options: AllReduceOptions | None = None) -> None:
        """Reduces in place, on all ranks."""
        raise self._missing("allreduce")

    def barrier(self, barrier_options: BarrierOptions | None = None) -> None:
        """Waits for all ranks."""
        raise self._missing("barrier")

    def reduce(self, tensor: list[Any], reduce_options: ReduceOptions | None = None) -> None:
        """Reduces in place, on one rank."""
        raise self._missing("reduce")

    def allgather(
        self,
        tensor_list: list[list[Any]],
        tensor: list[Any],
        allgather_options: AllGatherOptions | None = None,
    ) -> None:
        """Collects every rank's tensor on all ranks."""
        raise self._missing("allgather")

    def broadcast(self, tensor: list[Any], broadcast_options: BroadcastOptions | None = None) -> None:
        """Copies one rank's tensor to all."""
        raise self._missing("broadcast")

    def reducescatter(
        self,
        tensor: list[Any],
        tensor_list: list[list[Any]],
        reducescatter_options: ReduceScatterOptions | None = None,
    ) -> None:
        """Reduces a list of tensors, of which each rank gets its own."""
        raise self._missing("reducescatter")

    def send(self, tensor: list[Any], send_options: SendOptions) -> None:
        """Sends to one rank."""
        raise self._missing("send")

    def recv(self, tensor: list[Any], recv_options: RecvOptions) -> None:
        """Receives from one rank."""
        raise self._missing("recv")


BaseGroup = CollectiveGroup
