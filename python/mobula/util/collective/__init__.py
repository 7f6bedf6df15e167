"""Collective operations between actors and tasks: NumPy arrays and torch's CPU tensors are combined through
shared memory.

Each member calls init_collective_group(world_size, rank, backend="gloo", group_name=...), or the driver
declares the group with create_collective_group(); then all call the same operations in the same order. A
member that dies makes the others raise CollectiveError, which names it.
"""

from __future__ import annotations

from mobula.util.collective.backend_registry import register_collective_backend
from mobula.util.collective.collective import (
    allgather,
    allgather_multigpu,
    allreduce,
    allreduce_multigpu,
    barrier,
    broadcast,
    broadcast_multigpu,
    create_collective_group,
    destroy_collective_group,
    get_collective_group_size,
    get_group_handle,
    get_rank,
    gloo_available,
    init_collective_group,
    is_backend_available,
    is_group_initialized,
    nccl_available,
    recv,
    recv_multigpu,
    reduce,
    reduce_multigpu,
    reducescatter,
    reducescatter_multigpu,
    send,
    send_multigpu,
)
from mobula.util.collective.types import CollectiveError, CollectiveTimeoutError, ReduceOp

__all__ = [
    "CollectiveError", "CollectiveTimeoutError", "ReduceOp", "allgather", "allgather_multigpu", "allreduce",
    "allreduce_multigpu", "barrier", "broadcast", "broadcast_multigpu", "create_collective_group",
    "destroy_collective_group", "get_collective_group_size", "get_group_handle", "get_rank", "gloo_available",
    "init_collective_group", "is_backend_available", "is_group_initialized", "nccl_available", "recv",
    "recv_multigpu", "reduce", "reduce_multigpu", "reducescatter", "reducescatter_multigpu",
    "register_collective_backend", "send", "send_multigpu",
]  # fmt: skip
