"""The functions of ray.util.collective: they check, find the process's group, and hand over to its back end.

A group is joined by init_collective_group(), or at the first call when create_collective_group() declared it:
what was declared lies in a named actor, so that a restarted member finds it again.
"""

from __future__ import annotations

import threading
from typing import Any

import mobula
from mobula import _driver
from mobula.util.collective import backend_registry, types
from mobula.util.collective.collective_group.base_collective_group import CollectiveGroup
from mobula.util.collective.collective_group.shared_memory_group import NcclGroup, SharedMemoryGroup
from mobula.util.collective.collective_group.tensors import is_tensor

backend_registry.register_collective_backend("GLOO", SharedMemoryGroup)
backend_registry.register_collective_backend("SHM", SharedMemoryGroup)
backend_registry.register_collective_backend("NCCL", NcclGroup)

_groups: dict[str, CollectiveGroup] = {}
_lock = threading.Lock()  # guards both dicts
_joining: dict[str, threading.Lock] = {}  # one thread joins a group, without holding up other groups


def nccl_available() -> bool:
    """Whether groups on GPUs can be made."""
    return is_backend_available("NCCL")


def gloo_available() -> bool:
    """Whether groups on the CPU can be made."""
    return is_backend_available("GLOO")


def is_backend_available(backend: str) -> bool:
    """Whether a back end is registered and works here."""
    return backend_registry.is_available(backend)


# -- groups ------------------------------------------------------------------------------------------------


def is_group_initialized(group_name: str) -> bool:
    """Whether this process is a member of the group."""
    with _lock:
        return group_name in _groups


def init_collective_group(
    world_size: int,
    rank: int,
    backend: str = types.Backend.NCCL,
    group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:
    """Makes this task or actor rank `rank` of a group; waits until all members have come.

    Args:
        world_size: how many members there are, at most 128.
        backend: "gloo" or "shm" for arrays and CPU tensors; "nccl" is not available.
        gloo_timeout: milliseconds that a member waits for another one before it fails, here and in every
            call.
    """
    _check_inside_worker()
    if not isinstance(group_name, str) or not group_name:
        raise ValueError(f"group_name must be a string that is not empty, not {group_name!r}")
    if world_size <= 0:
        raise ValueError(f"world_size must be greater than 0, not {world_size}")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must be from 0 to {world_size - 1}, not {rank}")
    with _joining_lock(group_name):
        if is_group_initialized(group_name):
            raise RuntimeError(f"this process is a member of the collective group {group_name!r} already")
        _join(backend, world_size, rank, group_name, gloo_timeout)


def _joining_lock(group_name: str) -> threading.Lock:
    with _lock:
        return _joining.setdefault(group_name, threading.Lock())


def _join(backend: str, world_size: int, rank: int, group_name: str, timeout: int) -> CollectiveGroup:
    made: Any = backend_registry.find(backend)
    more = {"gloo_timeout": timeout} if issubclass(made, SharedMemoryGroup) else {}
    group: CollectiveGroup = made(world_size, rank, group_name, **more)
    with _lock:
        _groups[group_name] = group
    return group


@mobula.remote(num_cpus=0)
class Declaration:
    """What create_collective_group() said, for the members to ask."""

    def __init__(self, *facts: Any) -> None:
        self.facts = facts

    def get_info(self) -> tuple[Any, ...]:
        """(actors' ids, world size, their ranks, back end, timeout)"""
        return self.facts


def create_collective_group(
    actors: list[Any],
    world_size: int,
    ranks: list[int],
    backend: str = types.Backend.NCCL,
    group_name: str = "default",
    gloo_timeout: int = 30000,
) -> None:
    """Declares actors a group, from outside; each joins with its first collective call."""
    name = f"info_{group_name}"
    try:
        mobula.get_actor(name)
    except ValueError:
        pass
    else:
        raise RuntimeError(f"there is a collective group {group_name!r} already")
    if len(ranks) != len(actors):
        raise RuntimeError(
            f"Each actor should correspond to one rank. Got {len(ranks)} ranks but {len(actors)} actors"
        )
    if set(ranks) != set(range(len(ranks))):
        raise RuntimeError(f"Ranks must be a permutation of 0 to {len(ranks) - 1}. Got {ranks}.")
    if world_size <= 0:
        raise RuntimeError(f"World size must be greater than zero. Got {world_size}.")
    if len(ranks) != world_size:
        raise RuntimeError(f"The group has {world_size} members, but {len(ranks)} ranks were given")
    backend_registry.find(backend)
    ids = [f"{actor._number:016x}" for actor in actors]
    store: Any = Declaration
    declared = store.options(name=name, lifetime="detached").remote(
        ids, world_size, list(ranks), backend, gloo_timeout
    )
    mobula.get(declared.get_info.remote())


def destroy_collective_group(group_name: str = "default") -> None:
    """Leaves the group, and forgets its declaration. Members that still wait for this one fail."""
    _check_inside_worker()
    with _lock:
        group = _groups.pop(group_name, None)
    if group is None:
        import warnings

        warnings.warn(f"there is no collective group {group_name!r} in this process", stacklevel=2)
        return
    group.destroy_group()
    try:
        mobula.kill(mobula.get_actor(f"info_{group_name}"))
    except ValueError:
        pass


def get_rank(group_name: str = "default") -> int:
    """This process's rank; -1 if it is no member."""
    _check_inside_worker()
    with _lock:
        group = _groups.get(group_name)
    return group.rank if group else -1


def get_collective_group_size(group_name: str = "default") -> int:
    """How many members there are; -1 if this process is none."""
    _check_inside_worker()
    with _lock:
        group = _groups.get(group_name)
    return group.world_size if group else -1


def get_group_handle(group_name: str = "default") -> CollectiveGroup:
    """The group of that name; joins it when it was declared for this actor."""
    _check_inside_worker()
    with _lock:
        group = _groups.get(group_name)
    if group is not None:
        return group
    with _joining_lock(group_name):
        with _lock:
            group = _groups.get(group_name)
        return group or _join_declared(group_name)


def _join_declared(group_name: str) -> CollectiveGroup:
    own = mobula.get_runtime_context().get_actor_id()
    try:
        ids, world_size, ranks, backend, timeout = mobula.get(
            mobula.get_actor(f"info_{group_name}").get_info.remote()
        )
        rank = ranks[ids.index(own)]
    except ValueError:
        raise RuntimeError(
            f"the collective group {group_name!r} is not initialized in this process: call "
            f"init_collective_group() in every member, or create_collective_group() with their handles"
        ) from None
    return _join(backend, world_size, rank, group_name, timeout)


# -- operations --------------------------------------------------------------------------------------------


def allreduce(tensor: Any, group_name: str = "default", op: types.ReduceOp = types.ReduceOp.SUM) -> None:
    """Every member's `tensor` becomes the combination of all."""
    _check_tensor(tensor)
    get_group_handle(group_name).allreduce([tensor], types.AllReduceOptions(reduceOp=op))


def barrier(group_name: str = "default") -> None:
    """Returns once all members have called it."""
    get_group_handle(group_name).barrier()


def reduce(
    tensor: Any, dst_rank: int = 0, group_name: str = "default", op: types.ReduceOp = types.ReduceOp.SUM
) -> None:
    """`tensor` of rank `dst_rank` becomes the combination of all; the others' stay as they are."""
    _check_tensor(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    group.reduce([tensor], types.ReduceOptions(reduceOp=op, root_rank=dst_rank))


def broadcast(tensor: Any, src_rank: int = 0, group_name: str = "default") -> None:
    """Every member's `tensor` becomes that of rank `src_rank`."""
    _check_tensor(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    group.broadcast([tensor], types.BroadcastOptions(root_rank=src_rank))


def allgather(tensor_list: list[Any], tensor: Any, group_name: str = "default") -> None:
    """`tensor_list[r]` becomes rank r's `tensor`, on every member."""
    _check_tensor(tensor)
    _check_tensors(tensor_list)
    group = get_group_handle(group_name)
    _check_count(group, tensor_list, "allgather")
    group.allgather([tensor_list], [tensor], types.AllGatherOptions())


def reducescatter(
    tensor: Any, tensor_list: list[Any], group_name: str = "default", op: types.ReduceOp = types.ReduceOp.SUM
) -> None:
    """`tensor` of rank r becomes the combination of all members' `tensor_list[r]`."""
    _check_tensor(tensor)
    _check_tensors(tensor_list)
    group = get_group_handle(group_name)
    _check_count(group, tensor_list, "reducescatter")
    group.reducescatter([tensor], [tensor_list], types.ReduceScatterOptions(reduceOp=op))


def send(tensor: Any, dst_rank: int, group_name: str = "default") -> None:
    """Sends `tensor` to one member, which receives it with recv()."""
    _check_tensor(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, dst_rank)
    if dst_rank == group.rank:
        raise RuntimeError(f"The destination rank '{dst_rank}' is self.")
    group.send([tensor], types.SendOptions(dst_rank=dst_rank))


def recv(tensor: Any, src_rank: int, group_name: str = "default") -> None:
    """`tensor` becomes what one member sends with send()."""
    _check_tensor(tensor)
    group = get_group_handle(group_name)
    _check_rank(group, src_rank)
    if src_rank == group.rank:
        raise RuntimeError(f"The source rank '{src_rank}' is self.")
    group.recv([tensor], types.RecvOptions(src_rank=src_rank))


# -- several GPUs in one process: refused ------------------------------------------------------------------


def _no_gpus(name: str) -> RuntimeError:
    return RuntimeError(
        f"{name}() passes tensors of several GPUs of one process: Multigpu calls requires NCCL and Cupy, "
        f"which are not available; {name.removesuffix('_multigpu')}() passes arrays and CPU tensors"
    )


def allreduce_multigpu(
    tensor_list: list[Any], group_name: str = "default", op: types.ReduceOp = types.ReduceOp.SUM
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("allreduce_multigpu")


def reduce_multigpu(
    tensor_list: list[Any],
    dst_rank: int = 0,
    dst_tensor: int = 0,
    group_name: str = "default",
    op: types.ReduceOp = types.ReduceOp.SUM,
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("reduce_multigpu")


def broadcast_multigpu(
    tensor_list: list[Any], src_rank: int = 0, src_tensor: int = 0, group_name: str = "default"
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("broadcast_multigpu")


def allgather_multigpu(
    output_tensor_lists: list[Any], input_tensor_list: list[Any], group_name: str = "default"
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("allgather_multigpu")


def reducescatter_multigpu(
    output_tensor_list: list[Any],
    input_tensor_lists: list[Any],
    group_name: str = "default",
    op: types.ReduceOp = types.ReduceOp.SUM,
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("reducescatter_multigpu")


def send_multigpu(
    tensor: Any, dst_rank: int, dst_gpu_index: int, group_name: str = "default", n_elements: int = 0
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("send_multigpu")


def recv_multigpu(
    tensor: Any, src_rank: int, src_gpu_index: int, group_name: str = "default", n_elements: int = 0
) -> None:
    """Refused: needs NCCL."""
    raise _no_gpus("recv_multigpu")


# -- checks ------------------------------------------------------------------------------------------------


def _check_inside_worker() -> None:
    if not _driver.is_worker():
        raise RuntimeError("The collective APIs shall be only used inside a Ray actor or task.")


def _check_tensor(tensor: Any) -> None:
    if not is_tensor(tensor):
        raise RuntimeError(
            f"Unrecognized tensor type '{type(tensor)}'. Supported types are: np.ndarray, torch.Tensor."
        )


def _check_tensors(tensors: Any) -> None:
    if not isinstance(tensors, list):
        raise RuntimeError(f"The input must be a list of tensors. Got '{type(tensors)}'.")
    if not tensors:
        raise RuntimeError("Got an empty list of tensors.")
    for tensor in tensors:
        _check_tensor(tensor)


def _check_count(group: CollectiveGroup, tensors: list[Any], operation: str) -> None:
    if len(tensors) != group.world_size:
        raise RuntimeError(
            f"The length of the tensor list operands to {operation} must be equal to world_size: it is "
            f"{len(tensors)}, not {group.world_size}"
        )


def _check_rank(group: CollectiveGroup, rank: int) -> None:
    if rank < 0:
        raise ValueError(f"rank '{rank}' is negative.")
    if rank >= group.world_size:
        raise ValueError(f"rank '{rank}' must be less than world size '{group.world_size}'")
