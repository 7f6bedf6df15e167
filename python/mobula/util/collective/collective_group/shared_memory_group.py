"""The groups of the back ends GLOO and SHM: src/collective, through shared memory. NCCL is refused."""

from __future__ import annotations

from typing import Any

from mobula import _core
from mobula.util.collective.collective_group.base_collective_group import CollectiveGroup
from mobula.util.collective.collective_group.tensors import Memory, memory_of
from mobula.util.collective.types import (
    AllGatherOptions,
    AllReduceOptions,
    BarrierOptions,
    BroadcastOptions,
    CollectiveError,
    CollectiveTimeoutError,
    RecvOptions,
    ReduceOptions,
    ReduceScatterOptions,
    SendOptions,
)


def _meeting(group_name: str) -> str:
    """The name of the socket on which members of this job and namespace meet."""
    import hashlib

    from mobula import _driver, _worker

    scope = f"{_core.session()}/{_worker.info.get('job_id')}/{_driver.namespace()}/{group_name}"
    return "mobula-collective-" + hashlib.sha256(scope.encode()).hexdigest()


def _check(failure: tuple[str, str] | None) -> None:
    if failure is None:
        return
    code, text = failure
    if code == "unsupported":
        raise TypeError(text)
    raise (CollectiveTimeoutError if code == "timeout" else CollectiveError)(text)


def _alike(tensors: list[Memory], like: Memory, operation: str) -> None:
    for place, tensor in enumerate(tensors):
        if (tensor.type, tensor.array.size) != (like.type, like.array.size):
            raise RuntimeError(
                f"{operation}: tensor {place} of the list has shape {tensor.shape} and type {tensor.type}, "
                f"the single one {like.shape} and {like.type}"
            )


class SharedMemoryGroup(CollectiveGroup):
    """A group whose arrays pass through one bounded segment of shared memory."""

    def __init__(self, world_size: int, rank: int, group_name: str, gloo_timeout: int | None = 30000) -> None:
        super().__init__(world_size, rank, group_name)
        timeout = 30000 if gloo_timeout is None else int(gloo_timeout)
        self._group, failure = _core.join_collective_group(
            _meeting(group_name), group_name, world_size, rank, timeout
        )
        _check(failure)

    @classmethod
    def backend(cls) -> str:
        """SHM."""
        return "SHM"

    @classmethod
    def check_backend_availability(cls) -> bool:
        """Always: it needs nothing."""
        return True

    def destroy_group(self) -> None:
        """Leaves; the memory is gone when the last member has."""
        self._group.leave()

    def allreduce(self, tensor: list[Any], allreduce_options: AllReduceOptions | None = None) -> None:
        """Reduces in place, on all ranks."""
        options = allreduce_options or AllReduceOptions()
        memory = memory_of(tensor[0], True)
        _check(self._group.all_reduce(memory.array, memory.type, options.reduceOp.value))
        _store(memory)

    def barrier(self, barrier_options: BarrierOptions | None = None) -> None:
        """Waits for all ranks."""
        _check(self._group.barrier())

    def reduce(self, tensor: list[Any], reduce_options: ReduceOptions | None = None) -> None:
        """Reduces in place, on the root."""
        options = reduce_options or ReduceOptions()
        memory = self._for_root(tensor[0], options.root_rank == self.rank)
        _check(self._group.reduce(memory.array, memory.type, options.reduceOp.value, options.root_rank))
        _store(memory)

    def allgather(
        self,
        tensor_list: list[list[Any]],
        tensor: list[Any],
        allgather_options: AllGatherOptions | None = None,
    ) -> None:
        """Collects every rank's tensor on all ranks."""
        results = [memory_of(one, True) for one in tensor_list[0]]
        memory = memory_of(tensor[0], False)
        _alike(results, memory, "allgather")
        _check(self._group.all_gather(memory.array, [one.array for one in results], memory.type))
        _store(*results)

    def broadcast(self, tensor: list[Any], broadcast_options: BroadcastOptions | None = None) -> None:
        """Copies the root's tensor to all."""
        options = broadcast_options or BroadcastOptions()
        memory = self._for_root(tensor[0], options.root_rank != self.rank)
        _check(self._group.broadcast(memory.array, memory.type, options.root_rank))
        _store(memory)

    def reducescatter(
        self,
        tensor: list[Any],
        tensor_list: list[list[Any]],
        reducescatter_options: ReduceScatterOptions | None = None,
    ) -> None:
        """Reduces a list of tensors, of which each rank gets its own."""
        options = reducescatter_options or ReduceScatterOptions()
        inputs = [memory_of(one, False) for one in tensor_list[0]]
        memory = memory_of(tensor[0], True)
        _alike(inputs, memory, "reducescatter")
        _check(
            self._group.reduce_scatter(
                [one.array for one in inputs], memory.array, memory.type, options.reduceOp.value
            )
        )
        _store(memory)

    def send(self, tensor: list[Any], send_options: SendOptions) -> None:
        """Sends to one rank."""
        memory = memory_of(tensor[0], False)
        _check(self._group.send(memory.array, memory.type, send_options.dst_rank))

    def recv(self, tensor: list[Any], recv_options: RecvOptions) -> None:
        """Receives from one rank."""
        memory = memory_of(tensor[0], True)
        _check(self._group.receive(memory.array, memory.type, recv_options.src_rank))
        _store(memory)

    @staticmethod
    def _for_root(tensor: Any, written: bool) -> Memory:
        """Ranks that only give may give what is read-only."""
        memory = memory_of(tensor, written)
        if not written and not memory.array.flags.writeable:
            memory.array = memory.array.copy()
        return memory


def _store(*memories: Memory) -> None:
    for memory in memories:
        if memory.store is not None:
            memory.store()


class NcclGroup(CollectiveGroup):
    """The back end of GPUs: not available, and says so."""

    @classmethod
    def backend(cls) -> str:
        """NCCL."""
        return "NCCL"

    @classmethod
    def check_backend_availability(cls) -> bool:
        """Never yet."""
        return False
