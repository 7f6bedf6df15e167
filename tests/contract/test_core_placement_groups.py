"""Placement groups on a running engine: what they reserve, who is in them, and what removal does."""

from __future__ import annotations

import os
import pickle
import time
import warnings

import pytest

import mobula as ray
from mobula import _core
from mobula.exceptions import (
    ActorPlacementGroupRemoved,
    ActorUnschedulableError,
    GetTimeoutError,
    RayActorError,
    TaskPlacementGroupRemoved,
    TaskUnschedulableError,
)
from mobula.util.placement_group import (
    PlacementGroup,
    get_placement_group,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from mobula.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

CPUS = 4


@pytest.fixture(scope="module", autouse=True)
def engine():
    ray.init(
        num_cpus=CPUS, num_gpus=4, resources={"disk": 2}, labels={"zone": "one"},
        object_store_memory=64 << 20, log_to_driver=False,
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    for row in placement_group_table().values():
        if row["state"] != "REMOVED":
            remove_placement_group(PlacementGroup(ray.PlacementGroupID.from_hex(row["placement_group_id"])))
    eventually(lambda: free("CPU") == CPUS and free("GPU") == 4 and free("disk") == 2)


def eventually(question, seconds=10):
    deadline = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def free(name):
    return ray.available_resources().get(name, 0)


def inside(group, index=-1, captures=None):
    return {"scheduling_strategy": PlacementGroupSchedulingStrategy(group, index, captures)}


def current():
    group = ray.util.get_current_placement_group()
    return group.id.hex() if group else None


@ray.remote
def where():
    return current()


@ray.remote
def where_is_my_child(**options):
    return ray.get(where.options(num_cpus=0, **options).remote())


@ray.remote
def pause(seconds):
    time.sleep(seconds)
    return os.getpid()


@ray.remote
def gpus():
    return ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")


@ray.remote
class Member:
    def where(self):
        return current()

    def pid(self):
        return os.getpid()

    def gpus(self):
        return ray.get_gpu_ids()

    def child(self):
        return ray.get(where.options(num_cpus=0).remote())

    def captures(self):
        return ray.get_runtime_context().should_capture_child_tasks_in_placement_group


def table(group):
    return placement_group_table(group)


# -- the life of a group -------------------------------------------------------------------------------------


def test_bundles_are_taken_from_the_node_and_given_back():
    group = placement_group([{"CPU": 1}, {"CPU": 2, "disk": 1}])
    assert group.wait(10) is True
    assert free("CPU") == 1 and free("disk") == 1
    assert ray.cluster_resources()["CPU"] == CPUS
    remove_placement_group(group)
    assert free("CPU") == CPUS and free("disk") == 2


def test_ready_is_a_reference_to_the_group_itself():
    group = placement_group([{"CPU": 1}])
    ref = group.ready()
    assert isinstance(ref, ray.ObjectRef)
    assert ray.wait([ref], timeout=10) == ([ref], [])
    assert ray.get(ref) == group
    assert ray.get(group.ready(), timeout=10).bundle_specs == [{"CPU": 1}]
    same = ray.remote(lambda one: one.id).remote(group.ready())
    assert ray.get(same) == group.id


def test_what_a_group_says_of_itself():
    group = placement_group([{"CPU": 1}, {"CPU": 0.5}], strategy="SPREAD")
    assert group.bundle_specs == [{"CPU": 1}, {"CPU": 0.5}] and group.bundle_count == 2
    assert not group.is_empty and PlacementGroup.empty().is_empty
    assert PlacementGroup.empty().bundle_count == 0
    assert isinstance(group.id, ray.PlacementGroupID)
    copy = pickle.loads(pickle.dumps(group))
    assert copy == group and hash(copy) == hash(group) and copy.bundle_specs == group.bundle_specs
    assert group != placement_group([{"CPU": 1}]) and group != "default"
    known = PlacementGroup(group.id)
    assert known.bundle_specs == [{"CPU": 1}, {"CPU": 0.5}]


def test_the_table_names_state_bundles_and_nodes():
    group = placement_group([{"CPU": 1}, {"disk": 1}], strategy="STRICT_PACK", name="table")
    assert group.wait(10)
    row = table(group)
    assert row["placement_group_id"] == group.id.hex() and row["name"] == "table"
    assert row["state"] == "CREATED" and row["strategy"] == "STRICT_PACK"
    assert row["bundles"] == {0: {"CPU": 1.0}, 1: {"disk": 1.0}}
    here = ray.get_runtime_context().get_node_id()
    assert row["bundles_to_node_id"] == {0: here, 1: here}
    assert row["stats"]["scheduling_state"] == "FINISHED"
    assert placement_group_table()[group.id.hex()] == row
    remove_placement_group(group)
    assert table(group)["state"] == "REMOVED"
    assert placement_group_table(PlacementGroup(ray.PlacementGroupID.from_number(99))) == {}


def test_bundles_are_listed_among_the_resources():
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert group.wait(10)
    total, available = ray.cluster_resources(), ray.available_resources()
    assert total[f"CPU_group_1_{group.id.hex()}"] == 2 and total[f"CPU_group_{group.id.hex()}"] == 3
    assert available[f"bundle_group_{group.id.hex()}"] == 2000
    remove_placement_group(group)
    assert not any("_group_" in name for name in ray.cluster_resources())


def test_a_group_waits_for_room_whole_and_gets_it():
    first = placement_group([{"CPU": 1}, {"CPU": 2}])
    second = placement_group([{"CPU": 2}, {"CPU": 2}])
    assert first.wait(10) and second.wait(0.05) is False
    assert table(second)["state"] == "PENDING"
    assert table(second)["stats"]["scheduling_state"] == "NO_RESOURCES"
    assert free("CPU") == 1, "it holds nothing while it waits"
    ready = second.ready()
    remove_placement_group(first)
    assert second.wait(10) and ray.get(ready) == second


def test_a_group_gets_its_turn_beside_a_queue_of_tasks():
    refs = [pause.options(num_cpus=4).remote(0.002) for _ in range(200)]
    group = placement_group([{"CPU": 2}])
    assert group.wait(10)
    assert len(ray.wait(refs, num_returns=len(refs), timeout=0)[1]) > 0
    remove_placement_group(group)
    ray.get(refs)


def test_names_are_unique_while_their_group_lives():
    group = placement_group([{"CPU": 1}], name="unique")
    assert get_placement_group("unique") == group
    assert get_placement_group("unique").bundle_specs == [{"CPU": 1}]
    assert ray.get(ray.remote(lambda: get_placement_group("unique").id).remote()) == group.id
    with pytest.raises(ValueError, match="'unique' exists"):
        placement_group([{"CPU": 1}], name="unique")
    remove_placement_group(group)
    with pytest.raises(ValueError, match="no placement group is called 'unique'"):
        get_placement_group("unique")
    assert placement_group([{"CPU": 1}], name="unique").wait(10)
    with pytest.raises(ValueError, match="takes a name"):
        get_placement_group("")


def test_removal_twice_and_of_nonsense():
    group = placement_group([{"CPU": 1}])
    remove_placement_group(group)
    remove_placement_group(group)
    with pytest.raises(ValueError, match="takes a PlacementGroup"):
        remove_placement_group(None)
    with pytest.raises(TaskPlacementGroupRemoved, match=group.id.hex()):
        group.wait(10)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(group.ready())


def test_who_waits_for_a_group_that_is_removed_is_told():
    first = placement_group([{"CPU": 4}])
    second = placement_group([{"CPU": 4}])
    ready = second.ready()
    remove_placement_group(second)
    with pytest.raises(TaskPlacementGroupRemoved, match="before it had its resources"):
        ray.get(ready, timeout=10)
    assert first.wait(10)


def test_the_names_of_ray_util():
    assert ray.util.placement_group([{"CPU": 1}]).wait(10), "the module can be called"
    assert ray.util.placement_group_table and ray.util.get_placement_group
    assert ray.util.remove_placement_group is remove_placement_group
    assert ray.util.get_current_placement_group() is None
    module = ray.util.placement_group
    assert ray.get(ray.remote(lambda: module.__name__).remote()) == "mobula.util.placement_group"


# -- strategies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["PACK", "SPREAD", "STRICT_PACK"])
def test_on_one_node_all_bundles_are_there(strategy):
    assert placement_group([{"CPU": 1}, {"CPU": 1}], strategy=strategy).wait(10)


def test_strict_spread_takes_a_node_for_each_bundle():
    assert placement_group([{"CPU": 1}], strategy="STRICT_SPREAD").wait(10)
    with pytest.warns(UserWarning, match="can never be placed by STRICT_SPREAD"):
        group = placement_group([{"CPU": 1}, {"CPU": 1}], strategy="STRICT_SPREAD")
    assert group.wait(0.05) is False
    assert table(group)["stats"]["scheduling_state"] == "INFEASIBLE"


def test_a_bundle_larger_than_the_machine_waits_with_a_warning():
    with pytest.warns(UserWarning, match=r"huge can never be placed.*'CPU': 64"):
        group = placement_group([{"CPU": 64}], name="huge")
    assert group.wait(0.05) is False
    with pytest.raises(GetTimeoutError):
        ray.get(group.ready(), timeout=0.05)
    refs = [where.options(**inside(group)).remote()]
    assert ray.wait(refs, timeout=0.05)[0] == []
    remove_placement_group(group)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(refs[0], timeout=10)


def test_a_group_that_fits_comes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        placement_group([{"CPU": 4}])


def test_labels_of_bundles_and_topology():
    assert placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "one"}]).wait(10)
    with pytest.warns(UserWarning, match="can never be placed"):
        nowhere = placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "two"}])
    assert not nowhere.wait(0.05)
    with pytest.raises(ValueError, match="list of 1 dicts"):
        placement_group([{"CPU": 1}], bundle_label_selector=[{}, {}])
    assert placement_group([{"CPU": 1}] * 2, topology_strategy={"zone": "STRICT_PACK"}).wait(10)
    with pytest.raises(ValueError, match="takes the place of strategy"):
        placement_group([{"CPU": 1}], strategy="PACK", topology_strategy={"zone": "PACK"})


def test_labels_of_a_task_do_not_take_it_out_of_its_group():
    group = placement_group([{"CPU": 1}])
    fitting = where.options(label_selector={"zone": "one"}, **inside(group))
    assert ray.get(fitting.remote(), timeout=10) == group.id.hex()
    elsewhere = where.options(label_selector={"zone": "two"}, **inside(group))
    with pytest.raises(TaskUnschedulableError, match="no such node"):
        ray.get(elsewhere.remote(), timeout=10)


# -- mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bundles", "words"),
    [
        ([], "at least one bundle"),
        ({"CPU": 1}, "must be a list"),
        ("CPU", "must be a list"),
        ([1], "bundle 0 must be a dict"),
        ([{"CPU": 1}, {}], "bundle 1 asks for nothing"),
        ([{"CPU": 0}], "bundle 0 asks for nothing"),
        ([{"CPU": -1}], "cannot be -1"),
        ([{"CPU": "1"}], "must be a number"),
        ([{"CPU": True}], "must be a number"),
        ([{"CPU": float("nan")}], "cannot be nan"),
        ([{"CPU": float("inf")}], "cannot be inf"),
        ([{1: 1}], "non-empty strings"),
        ([{"GPU": 1.5}], "fraction of GPUs"),
    ],
)
def test_senseless_bundles_are_refused_at_once(bundles, words):
    with pytest.raises(ValueError, match=words):
        placement_group(bundles)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"strategy": "NONSENSE"}, "must be one of PACK, SPREAD"),
        ({"lifetime": "forever"}, "None or 'detached'"),
        ({"name": 7}, "must be a string"),
        ({"_soft_target_node_id": "ab", "strategy": "PACK"}, "STRICT_PACK alone"),
        ({"topology_strategy": {}}, "one label"),
    ],
)
def test_senseless_options_are_refused_at_once(options, words):
    with pytest.raises(ValueError, match=words):
        placement_group([{"CPU": 1}], **options)


def test_senseless_places_are_refused_at_once():
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    for index in (2, -2):
        with pytest.raises(ValueError, match=r"0 to 1"):
            where.options(**inside(group, index)).remote()
        with pytest.raises(ValueError, match=r"0 to 1"):
            Member.options(**inside(group, index)).remote()
    with pytest.raises(ValueError, match="does not fit into any bundle"):
        where.options(num_cpus=3, **inside(group)).remote()
    with pytest.raises(ValueError, match="does not fit into bundle 0"):
        where.options(num_cpus=2, **inside(group, 0)).remote()
    with pytest.raises(ValueError, match="does not fit into any bundle"):
        Member.options(num_gpus=1, **inside(group)).remote()
    with pytest.raises(ValueError, match="needs a"):
        where.options(placement_group_bundle_index=0).remote()
    with pytest.raises(ValueError, match="exclude each other"):
        where.options(placement_group=group, scheduling_strategy="SPREAD")
    with pytest.raises(ValueError, match="PlacementGroup, 'default' or None"):
        where.options(placement_group="mine").remote()
    with pytest.raises(TypeError, match="must be a PlacementGroup"):
        where.options(**inside(7)).remote()


# -- tasks in bundles ----------------------------------------------------------------------------------------


def test_tasks_know_their_group_and_others_have_none():
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    assert ray.get(where.remote()) is None
    for index in (-1, 0, 1):
        assert ray.get(where.options(**inside(group, index)).remote(), timeout=10) == group.id.hex()
    old = where.options(placement_group=group, placement_group_bundle_index=1).remote()
    assert ray.get(old, timeout=10) == group.id.hex()
    decorated = ray.remote(num_cpus=1, **inside(group))(current)
    assert ray.get(decorated.remote(), timeout=10) == group.id.hex()


def test_tasks_may_be_submitted_before_the_group_has_its_bundles():
    first = placement_group([{"CPU": 4}])
    second = placement_group([{"CPU": 2}])
    ref = where.options(**inside(second)).remote()
    assert first.wait(10) and ray.wait([ref], timeout=0.05)[0] == []
    remove_placement_group(first)
    assert ray.get(ref, timeout=10) == second.id.hex()


def test_a_full_bundle_makes_its_tasks_wait_though_the_machine_is_free():
    group = placement_group([{"CPU": 1}])
    refs = [pause.options(**inside(group)).remote(0.15) for _ in range(3)]
    begun = time.monotonic()
    ray.get(refs)
    assert time.monotonic() - begun > 0.4
    assert free("CPU") == CPUS - 1


def test_any_bundle_is_the_one_that_has_room():
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    begun = time.monotonic()
    ray.get([pause.options(**inside(group)).remote(0.3) for _ in range(2)])
    assert time.monotonic() - begun < 0.58


def test_a_task_that_waits_lends_its_cpu_inside_of_its_bundle():
    group = placement_group([{"CPU": 1}])

    @ray.remote(num_cpus=1)
    def parent(depth):
        return 1 if depth == 0 else 1 + ray.get(parent.remote(depth - 1))

    assert ray.get(parent.options(**inside(group, 0, True)).remote(3), timeout=20) == 4
    assert free(f"CPU_group_{group.id.hex()}") == 1


def test_a_task_sees_the_gpus_of_its_bundle():
    group = placement_group([{"CPU": 1, "GPU": 1}, {"CPU": 1, "GPU": 2}])
    assert group.wait(10)
    own = ray.get(gpus.options(num_gpus=1, **inside(group, 0)).remote(), timeout=10)
    pair = ray.get(gpus.options(num_gpus=2, **inside(group, 1)).remote(), timeout=10)
    outside = ray.get(gpus.options(num_gpus=1).remote(), timeout=10)
    assert len(own[0]) == 1 and len(pair[0]) == 2 and pair[1] == ",".join(pair[0])
    assert len({*own[0], *pair[0], *outside[0]}) == 4, "none is in two places"
    again = [gpus.options(num_gpus=0.5, num_cpus=0.5, **inside(group, 0)).remote() for _ in range(2)]
    assert [ids for ids, _ in ray.get(again, timeout=10)] == [own[0]] * 2
    member = Member.options(num_gpus=1, num_cpus=0, **inside(group, 0)).remote()
    assert ray.get(member.gpus.remote(), timeout=10) == own[0]


def test_custom_resources_of_a_bundle():
    group = placement_group([{"CPU": 1, "disk": 2}])
    assert group.wait(10) and free("disk") == 0
    assert (
        ray.get(where.options(resources={"disk": 2}, **inside(group)).remote(), timeout=10) == group.id.hex()
    )
    waits = where.options(resources={"disk": 1}).remote()
    assert ray.wait([waits], timeout=0.05)[0] == []
    remove_placement_group(group)
    assert ray.get(waits, timeout=10) is None


def test_generators_and_retries_in_a_bundle(tmp_path):
    group = placement_group([{"CPU": 1}])

    @ray.remote
    def items():
        yield from [current(), current()]

    stream = items.options(**inside(group)).remote()
    assert [ray.get(ref) for ref in stream] == [group.id.hex()] * 2

    @ray.remote(max_retries=1)
    def dies_once(marker):
        if not os.path.exists(marker):
            open(marker, "w").close()
            os._exit(1)
        return current()

    dying = dies_once.options(**inside(group, 0)).remote(str(tmp_path / "marker"))
    assert ray.get(dying, timeout=20) == group.id.hex()


# -- children ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("captures", [True, False, None])
def test_children_are_in_the_group_only_if_it_captures_them(captures):
    group = placement_group([{"CPU": 1}, {"CPU": 1}])
    ref = where_is_my_child.options(**inside(group, 0, captures)).remote()
    assert ray.get(ref, timeout=10) == (group.id.hex() if captures else None)


def test_a_captured_child_may_choose_another_place():
    group = placement_group([{"CPU": 2}])
    other = placement_group([{"CPU": 1}])
    parent = where_is_my_child.options(**inside(group, 0, True))
    assert ray.get(parent.remote(placement_group=None), timeout=10) is None
    assert ray.get(parent.remote(scheduling_strategy="DEFAULT"), timeout=10) is None
    assert ray.get(parent.remote(scheduling_strategy="SPREAD"), timeout=10) is None
    assert ray.get(parent.remote(**inside(other)), timeout=10) == other.id.hex()


def test_grandchildren_and_actors_are_captured_too():
    group = placement_group([{"CPU": 2}])

    @ray.remote(num_cpus=0)
    def grandparent():
        member = Member.remote()
        return ray.get([where_is_my_child.remote(), member.where.remote(), member.child.remote()])

    found = ray.get(grandparent.options(**inside(group, -1, True)).remote(), timeout=20)
    assert found == [group.id.hex()] * 3


def test_a_call_is_where_its_actor_is():
    group = placement_group([{"CPU": 1}])
    outside = Member.remote()
    call = ray.remote(num_cpus=0)(lambda member: ray.get([member.where.remote(), member.child.remote()]))
    assert ray.get(call.options(**inside(group, 0, True)).remote(outside), timeout=10) == [None, None]


def test_a_captured_child_that_fits_into_no_bundle_fails():
    group = placement_group([{"CPU": 1}])

    @ray.remote(num_cpus=1)
    def parent():
        return ray.get(where.options(num_cpus=2).remote())

    with pytest.raises(TaskUnschedulableError, match="needs more than a bundle"):
        ray.get(parent.options(**inside(group, 0, True)).remote(), timeout=10)


def test_the_runtime_context_tells_group_and_capture():
    group = placement_group([{"CPU": 1}])

    @ray.remote(num_cpus=0)
    def told():
        context = ray.get_runtime_context()
        assert context.current_placement_group_id in (None, group.id)
        return context.get_placement_group_id(), context.should_capture_child_tasks_in_placement_group

    assert ray.get(told.options(**inside(group, 0, True)).remote()) == (group.id.hex(), True)
    assert ray.get(told.options(**inside(group, 0)).remote()) == (group.id.hex(), False)
    assert ray.get(told.remote()) == (None, False)
    assert ray.get_runtime_context().get_placement_group_id() is None
    assert not ray.get_runtime_context().should_capture_child_tasks_in_placement_group
    member = Member.options(num_cpus=0, **inside(group, 0, True)).remote()
    assert ray.get(member.captures.remote(), timeout=10) is True


# -- actors --------------------------------------------------------------------------------------------------


def test_actors_live_in_their_bundle_and_wait_when_it_is_full():
    group = placement_group([{"CPU": 1}, {"CPU": 2}])
    members = [Member.options(num_cpus=1, **inside(group, 1)).remote() for _ in range(2)]
    assert ray.get([one.where.remote() for one in members], timeout=10) == [group.id.hex()] * 2
    third = Member.options(num_cpus=1, **inside(group, 1)).remote()
    call = third.where.remote()
    assert ray.wait([call], timeout=0.1)[0] == []
    assert free("CPU") == 1, "the machine has a CPU, and it does not help"
    ray.kill(members[0])
    assert ray.get(call, timeout=10) == group.id.hex()


def test_an_actor_is_restarted_in_its_bundle():
    group = placement_group([{"CPU": 1}])
    member = Member.options(num_cpus=1, max_restarts=1, max_task_retries=2, **inside(group, 0)).remote()
    first = ray.get(member.pid.remote(), timeout=10)
    ray.kill(member, no_restart=False)
    assert ray.get(member.pid.remote(), timeout=10) != first
    assert ray.get(member.where.remote()) == group.id.hex()
    assert free(f"CPU_group_0_{group.id.hex()}") == 0 and free("CPU") == CPUS - 1


def test_an_actor_captures_its_children():
    group = placement_group([{"CPU": 1}])
    for captures, expected in ((True, group.id.hex()), (False, None)):
        member = Member.options(num_cpus=0, **inside(group, 0, captures)).remote()
        assert ray.get(member.child.remote(), timeout=10) == expected


# -- removal -------------------------------------------------------------------------------------------------


def test_removal_ends_running_tasks_and_fails_queued_ones_without_retries():
    group = placement_group([{"CPU": 1}])
    running = pause.options(max_retries=5, **inside(group)).remote(60)
    queued = pause.options(**inside(group)).remote(60)
    argument = pause.remote(0.5)
    waiting = ray.remote(lambda value: value).options(**inside(group)).remote(argument)
    eventually(lambda: free(f"CPU_group_{group.id.hex()}") == 0)
    remove_placement_group(group)
    for ref in (running, queued, waiting):
        with pytest.raises(TaskPlacementGroupRemoved, match=group.id.hex()):
            ray.get(ref, timeout=10)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(where.options(**inside(group)).remote(), timeout=10)
    ray.get(argument)


def test_removal_gives_resources_back_only_when_the_processes_are_gone():
    group = placement_group([{"CPU": 4}])
    member = Member.options(num_cpus=1, **inside(group)).remote()
    pid = ray.get(member.pid.remote(), timeout=10)
    remove_placement_group(group)
    eventually(lambda: free("CPU") == CPUS)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_actors_of_a_removed_group_die_and_are_not_restarted():
    group = placement_group([{"CPU": 1}])
    member = Member.options(num_cpus=1, max_restarts=-1, name="inside", **inside(group)).remote()
    assert ray.get(member.where.remote(), timeout=10)
    waiting = Member.options(num_cpus=1, **inside(group)).remote()
    call = waiting.where.remote()
    remove_placement_group(group)
    with pytest.raises(RayActorError, match="placement group"):
        ray.get(member.where.remote(), timeout=10)
    with pytest.raises(ActorPlacementGroupRemoved):
        ray.get(call, timeout=10)
    with pytest.raises(ActorPlacementGroupRemoved):
        ray.get(waiting.where.remote(), timeout=10)
    with pytest.raises(ValueError, match="inside"):
        ray.get_actor("inside")
    late = Member.options(num_cpus=1, **inside(group)).remote()
    with pytest.raises(ActorPlacementGroupRemoved):
        ray.get(late.where.remote(), timeout=10)


def test_a_task_of_the_group_may_remove_it():
    group = placement_group([{"CPU": 1}])
    suicide = ray.remote(remove_placement_group).options(**inside(group)).remote(group)
    with pytest.raises(TaskPlacementGroupRemoved):
        ray.get(suicide, timeout=10)


# -- who makes groups ----------------------------------------------------------------------------------------


def test_groups_made_in_tasks_outlive_them():
    group = ray.get(ray.remote(lambda: placement_group([{"CPU": 1}])).remote())
    assert group.wait(10) and free("CPU") == CPUS - 1


def test_a_task_that_waits_for_a_group_lends_it_its_cpu():
    @ray.remote(num_cpus=4)
    def waits():
        return placement_group([{"CPU": 4}]).wait(10)

    assert ray.get(waits.remote(), timeout=20) is True


def test_groups_of_a_detached_actor_end_with_it_unless_detached():
    @ray.remote(num_cpus=0)
    class Maker:
        def make(self, **options):
            return placement_group([{"CPU": 1}], **options)

    maker = Maker.options(lifetime="detached", name="maker").remote()
    bound, detached = ray.get([maker.make.remote(), maker.make.remote(lifetime="detached")])
    assert bound.wait(10) and detached.wait(10)
    ray.kill(maker)
    eventually(lambda: table(bound)["state"] == "REMOVED")
    assert table(detached)["state"] == "CREATED"
    plain = Maker.remote()
    survivor = ray.get(plain.make.remote())
    ray.kill(plain)
    time.sleep(0.05)
    assert table(survivor)["state"] in ("CREATED", "PENDING")


# -- other places --------------------------------------------------------------------------------------------


def test_a_node_that_is_not_there():
    hard = NodeAffinitySchedulingStrategy("ab" * 28, soft=False)
    with pytest.raises(TaskUnschedulableError, match="no such node"):
        ray.get(where.options(scheduling_strategy=hard).remote(), timeout=10)
    with pytest.raises(ActorUnschedulableError, match="no such node"):
        ray.get(Member.options(scheduling_strategy=hard).remote().where.remote(), timeout=10)
    soft = NodeAffinitySchedulingStrategy("ab" * 28, soft=True)
    assert ray.get(where.options(scheduling_strategy=soft).remote(), timeout=10) is None
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    assert ray.get(where.options(scheduling_strategy=here).remote(), timeout=10) is None


# -- cost ----------------------------------------------------------------------------------------------------


def test_many_groups_come_and_go_and_leave_nothing():
    before = _core.stats()["objects"]
    begun = time.monotonic()
    for _ in range(2000):
        group = placement_group([{"CPU": 0.5}, {"CPU": 0.5}], strategy="PACK")
        assert group.wait(30)
        remove_placement_group(group)
    assert time.monotonic() - begun < 10
    assert _core.stats()["objects"] <= before + 2
    assert len(placement_group_table()) <= 1000
