"""Collective operations between real processes: results on arrays of many kinds, groups declared from
outside, and members that die, leave or do not come."""

from __future__ import annotations

import os
import re
import signal
import time

import numpy as np
import pytest

import mobula as ray
from mobula.util import collective
from mobula.util.collective.types import Backend, ReduceOp


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(num_cpus=4, log_to_driver=False)
    yield
    ray.shutdown()


@ray.remote(num_cpus=0)
class Member:
    def join(self, world, rank, name="default", backend="gloo", timeout=20_000):
        self.rank, self.name = rank, name
        collective.init_collective_group(world, rank, backend, name, gloo_timeout=timeout)
        return collective.get_rank(name), collective.get_collective_group_size(name)

    def pid(self):
        return os.getpid()

    def do(self, function, *args):
        """function(rank, group's name, *args)"""
        return function(self.rank, self.name, *args)

    def run(self, function, *args):
        return function(*args)


class Group:
    """Members that have joined."""

    def __init__(self, world, name="default", **options):
        self.members = [Member.remote() for _ in range(world)]
        joined = ray.get(
            [m.join.remote(world, r, name, **options) for r, m in enumerate(self.members)], timeout=60
        )
        assert joined == [(rank, world) for rank in range(world)]

    def do(self, function, *args):
        return ray.get([m.do.remote(function, *args) for m in self.members], timeout=120)

    def end(self):
        for member in self.members:
            ray.kill(member)


@pytest.fixture(scope="module")
def trio():
    group = Group(3, "trio")
    yield group
    group.end()


@pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 1_000_003])
@pytest.mark.parametrize(("op", "expected"), [("SUM", 6), ("PRODUCT", 6), ("MIN", 1), ("MAX", 3)])
def test_allreduce_gives_all_the_same(trio, size, op, expected):
    def act(rank, name):
        array = np.full(size, rank + 1, np.float32)
        collective.allreduce(array, name, ReduceOp[op])
        return array.size, set(array.tolist())

    assert trio.do(act) == [(size, {float(expected)} if size else set())] * 3


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int32", "int64", "uint64", "float16", "float64", "complex128"]
)
def test_every_type_of_element_is_summed_as_numpy_does(trio, dtype):
    def act(rank, name):
        array = (np.arange(2000) % 7 + rank).astype(dtype)
        collective.allreduce(array, name)
        return array

    parts = [(np.arange(2000) % 7 + rank).astype(dtype) for rank in range(3)]
    for result in trio.do(act):
        assert result.dtype == dtype
        assert np.array_equal(result, parts[0] + parts[1] + parts[2])


def test_arrays_that_are_not_contiguous_are_written_in_place(trio):
    def act(rank, name):
        whole = np.zeros((50, 40))
        part = whole[::2, 5:10]
        part[...] = rank + 1
        collective.allreduce(part, name)
        return whole

    expected = np.zeros((50, 40))
    expected[::2, 5:10] = 6
    assert all(np.array_equal(result, expected) for result in trio.do(act))


def test_read_only_arrays_can_be_given_but_not_written(trio):
    def act(rank, name, shared):
        with pytest.raises(ValueError, match="read-only"):
            collective.allreduce(shared, name)
        target = shared if rank == 1 else np.zeros_like(shared)
        collective.broadcast(target, 1, name)
        return float(target[-1])

    assert trio.do(act, ray.put(np.full(1000, 5.0))) == [5.0] * 3


def test_reduce_changes_the_destination_alone(trio):
    def act(rank, name):
        array = np.full(100_000, rank + 1)
        collective.reduce(array, 2, name)
        return int(array[0]), int(array[-1])

    assert trio.do(act) == [(1, 1), (2, 2), (6, 6)]


def test_allgather_and_reducescatter(trio):
    def act(rank, name):
        parts = [np.zeros((300, 70), np.int32) for _ in range(3)]
        collective.allgather(parts, np.full((300, 70), rank, np.int32), name)
        mine = np.zeros(150_000)
        collective.reducescatter(mine, [np.full(150_000, 10.0 * target + rank) for target in range(3)], name)
        return [int(part[0, 0]) for part in parts], {int(value) for value in mine}

    assert trio.do(act) == [([0, 1, 2], {30 * rank + 3}) for rank in range(3)]


def test_send_and_recv_in_order_and_in_pieces(trio):
    def act(rank, name):
        array = np.full(500_000, float(rank))
        if rank == 0:
            collective.send(np.arange(500_000.0), 2, name)
            collective.send(np.arange(500_000.0) * 2, 2, name)
        elif rank == 2:
            collective.recv(array, 0, name)
            first = array.sum()
            collective.recv(array, 0, name)
            return array.sum() == 2 * first == 2 * np.arange(500_000.0).sum()
        return None

    assert trio.do(act) == [None, None, True]


def test_a_barrier_waits_for_the_last(trio):
    def act(rank, name):
        time.sleep(0.2 * rank)
        came = time.monotonic()
        collective.barrier(name)
        return came, time.monotonic()

    times = trio.do(act)
    assert min(left for _, left in times) >= max(came for came, _ in times)


def test_wrong_arguments_are_refused(trio):
    def act(rank, name):
        with pytest.raises(RuntimeError, match="Unrecognized tensor type"):
            collective.allreduce([1, 2], name)
        with pytest.raises(ValueError, match="must be less than world size"):
            collective.broadcast(np.zeros(1), 3, name)
        with pytest.raises(RuntimeError, match="is self"):
            collective.send(np.zeros(1), rank, name)
        with pytest.raises(RuntimeError, match="equal to world_size"):
            collective.allgather([np.zeros(1)], np.zeros(1), name)
        with pytest.raises(RuntimeError, match="tensor 1 of the list"):
            collective.allgather([np.zeros(1), np.zeros(2), np.zeros(1)], np.zeros(1), name)
        with pytest.raises(TypeError, match="MAX of complex64"):
            collective.allreduce(np.zeros(3, np.complex64), name, ReduceOp.MAX)
        with pytest.raises(TypeError, match="object"):
            collective.allreduce(np.array([None]), name)
        with pytest.raises(RuntimeError, match="member of the collective group 'trio' already"):
            collective.init_collective_group(3, rank, "gloo", name)
        with pytest.raises(RuntimeError, match="not initialized in this process"):
            collective.barrier("unheard of")
        with pytest.raises(RuntimeError, match="requires NCCL and Cupy"):
            collective.allreduce_multigpu([np.zeros(1)], name)
        with pytest.raises(RuntimeError, match="needs GPUs"):
            collective.init_collective_group(3, rank, "nccl", "on gpus")
        return collective.get_rank("unheard of"), collective.is_group_initialized("unheard of")

    assert trio.do(act) == [(-1, False)] * 3


def test_backends():
    assert collective.gloo_available() and collective.is_backend_available("torch_gloo")
    assert not collective.nccl_available() and not collective.is_backend_available("mpi")
    assert Backend("torch_gloo") == Backend("gloo") == Backend.GLOO
    with pytest.raises(ValueError, match="Unrecognized backend"):
        Backend("mpi")
    with pytest.raises(RuntimeError, match="inside a Ray actor or task"):
        collective.init_collective_group(1, 0, "gloo")


def test_tasks_form_groups_too():
    @ray.remote
    def task(rank):
        collective.init_collective_group(2, rank, "shm", "tasks")
        array = np.array([rank + 1])
        collective.allreduce(array, "tasks")
        collective.destroy_collective_group("tasks")
        return int(array[0])

    for _ in range(3):
        assert ray.get([task.remote(rank) for rank in range(2)], timeout=60) == [3, 3]


def test_two_groups_share_members():
    group = Group(3, "all")
    first = ray.get([group.members[r].run.remote(_join_and_sum, 2, r, "pair") for r in range(2)], timeout=60)
    assert first == [1, 1]
    assert group.do(_sum) == [3, 3, 3]
    group.end()


def _join_and_sum(world, rank, name):
    collective.init_collective_group(world, rank, "gloo", name)
    return _sum(rank, name)


def _sum(rank, name):
    array = np.array([rank])
    collective.allreduce(array, name)
    return int(array[0])


def _declared_sum(name):
    array = np.array([1.0])
    collective.allreduce(array, name)
    rank, size = collective.get_rank(name), collective.get_collective_group_size(name)
    return float(array[0]), rank, size


def test_a_group_declared_by_the_driver_is_joined_at_the_first_call():
    members = [Member.remote() for _ in range(3)]
    collective.create_collective_group(members, 3, [2, 0, 1], "gloo", "declared")
    with pytest.raises(RuntimeError, match="already"):
        collective.create_collective_group(members, 3, [2, 0, 1], "gloo", "declared")
    answers = ray.get([m.run.remote(_declared_sum, "declared") for m in members], timeout=60)
    assert answers == [(3.0, 2, 3), (3.0, 0, 3), (3.0, 1, 3)]
    ray.get([m.run.remote(collective.destroy_collective_group, "declared") for m in members])
    assert ray.get(members[0].run.remote(collective.is_group_initialized, "declared")) is False
    collective.create_collective_group(members, 3, [0, 1, 2], "gloo", "declared")
    assert ray.get(members[1].run.remote(collective.get_rank, "declared")) == -1
    for member in members:
        ray.kill(member)


def test_what_is_wrong_with_a_declaration_is_said():
    with pytest.raises(RuntimeError, match="permutation"):
        collective.create_collective_group([1, 2], 2, [0, 0], "gloo", "wrong")
    with pytest.raises(RuntimeError, match="correspond to one rank"):
        collective.create_collective_group([1, 2], 2, [0], "gloo", "wrong")
    with pytest.raises(RuntimeError, match="not registered"):
        collective.create_collective_group([1], 1, [0], "mpi", "wrong")


# -- members that end --------------------------------------------------------------------------------------


def _reduce_many(rank, name, size):
    array = np.ones(size)
    for _ in range(10_000):
        collective.allreduce(array, name)


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_a_killed_member_is_named_to_the_others_at_once(size):
    group = Group(3, f"killed {size}")
    pid = ray.get(group.members[1].pid.remote())
    refs = [m.do.remote(_reduce_many, size) for m in group.members]
    time.sleep(0.5)
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for rank in (0, 2):
        with pytest.raises(
            collective.CollectiveError, match=rf"'killed {size}'.*rank 1 \(pid {pid}\) has ended"
        ):
            ray.get(refs[rank], timeout=30)
    assert time.monotonic() - killed < 5
    group.end()


def test_a_member_that_never_calls_is_named_after_the_timeout():
    group = Group(2, "late", timeout=300)
    began = time.monotonic()
    with pytest.raises(collective.CollectiveTimeoutError, match="waited 300 ms for rank 1"):
        ray.get(group.members[0].do.remote(_sum), timeout=30)
    assert 0.25 < time.monotonic() - began < 5
    with pytest.raises(collective.CollectiveError, match="destroy the group and make it again"):
        ray.get(group.members[1].do.remote(_sum), timeout=30)
    group.end()


def test_a_member_that_never_joins_is_named():
    member = Member.remote()
    with pytest.raises(collective.CollectiveTimeoutError, match="rank 0 still missed rank 1"):
        ray.get(member.join.remote(2, 0, "alone", timeout=300), timeout=30)
    with pytest.raises(collective.CollectiveTimeoutError, match="rank 0, which has not come"):
        ray.get(member.join.remote(2, 1, "alone", timeout=300), timeout=30)
    ray.kill(member)


def test_a_member_killed_while_the_group_forms_fails_the_others():
    members = [Member.remote() for _ in range(2)]
    before = _sockets()
    refs = [m.join.remote(3, rank, "forming", timeout=60_000) for rank, m in enumerate(members)]
    deadline = time.monotonic() + 30
    while _sockets() < before + 2:  # rank 0 listens, and rank 1 has been let in
        assert time.monotonic() < deadline
        time.sleep(0.01)
    ray.kill(members[0])
    with pytest.raises(collective.CollectiveError, match="ended or gave up"):
        ray.get(refs[1], timeout=10)
    ray.kill(members[1])


def test_a_member_that_leaves_is_named_and_the_group_can_be_made_again():
    group = Group(2, "again")
    ray.get(group.members[1].run.remote(collective.destroy_collective_group, "again"))
    with pytest.raises(collective.CollectiveError, match=r"rank 1 .* has left the group"):
        ray.get(group.members[0].do.remote(_sum), timeout=30)
    ray.get(group.members[0].run.remote(collective.destroy_collective_group, "again"))
    ray.get([m.join.remote(2, rank, "again") for rank, m in enumerate(group.members)], timeout=60)
    assert group.do(_sum) == [1, 1]
    group.end()


def test_calls_that_do_not_match_fail_on_both_sides():
    def act(rank, name):
        if rank == 0:
            collective.allreduce(np.zeros(10), name)
        else:
            collective.broadcast(np.zeros(10), 1, name)

    group = Group(2, "mismatch")
    refs = [m.do.remote(act) for m in group.members]
    with pytest.raises(collective.CollectiveError, match=r"rank \d called .* but rank \d called "):
        ray.get(refs[0], timeout=30)
    group.end()


def test_a_cancelled_task_comes_out_of_a_barrier():
    @ray.remote
    def wait(rank):
        collective.init_collective_group(2, rank, "gloo", "cancelled")
        if rank == 0:
            collective.barrier("cancelled")
        time.sleep(30)

    refs = [wait.remote(rank) for rank in range(2)]
    time.sleep(0.5)
    began = time.monotonic()
    for ref in refs:
        ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(refs[0], timeout=20)
    assert time.monotonic() - began < 10


def _sockets():
    with open("/proc/net/unix") as file:
        return file.read().count("@mobula-collective-")


def _segments():
    """Shared memory of groups that some process of this user still maps."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/maps") as file:
                found.update(re.findall(r"memfd:mobula-collective.*", file.read()))
        except OSError:
            continue
    return found


def test_no_shared_memory_is_left():
    group = Group(2, "leftover")
    assert group.do(_sum) == [1, 1] and _segments()
    pids = ray.get([m.pid.remote() for m in group.members])
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}/maps") and _maps(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _maps(pid):
    try:
        with open(f"/proc/{pid}/maps") as file:
            return "mobula-collective" in file.read()
    except OSError:
        return False
