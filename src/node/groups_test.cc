// Placement groups through the whole core: who is in one, what removal does, and where tasks may not be.
#include <algorithm>

#include "node/core_fixture.h"

namespace mobula {
namespace {

class Groups : public CoreFixture {
 protected:
  explicit Groups(double cpus = 4) : CoreFixture(cpus) {}

  GroupId create_group(std::vector<double> cpus, GroupStrategy strategy = GroupStrategy::kPack,
                       const std::string& name = "", ClientId from = kDriver, bool detached = false) {
    CreateGroupMessage message{++requests, GroupId{next(from).value}, {}};
    for (double count : cpus)
      message.spec.bundles.push_back({{"CPU", static_cast<int64_t>(count * kResourceUnit)}});
    message.spec.strategy = strategy;
    message.spec.name = name;
    message.spec.detached = detached;
    GroupId id = message.group;
    send(from, std::move(message));
    created = reply_to(requests, from);
    return id;
  }
  ObjectId watch(GroupId group) {
    ObjectId id = object(next());
    send(WatchGroupMessage{group, id, "here it is"});
    return id;
  }
  bool is_ready(ObjectId id) { return core.store().find(id)->is_ready(); }
  void remove(GroupId group) { send(RemoveGroupMessage{group}); }
  TaskSpec inside(GroupId group, int32_t bundle = -1, int8_t captures = -1) {
    TaskSpec made = spec();
    made.placement = Placement::kGroup;
    made.placement_group = group;
    made.bundle_index = bundle;
    made.captures = captures;
    return made;
  }
  ActorSpec actor_inside(GroupId group, int32_t restarts = 0) {
    ActorSpec made = actor_spec(restarts);
    made.creation.placement = Placement::kGroup;
    made.creation.placement_group = group;
    return made;
  }
  WorkerId running(ObjectId id) {
    WorkerId worker = where(id);
    begun = begin(worker);
    return worker;
  }
  bool is_killed(WorkerId worker) {
    return std::any_of(kills.begin(), kills.end(), [&](const auto& kill) { return kill.worker == worker; });
  }
  void end(WorkerId worker) {
    rings.erase(worker);
    core.on_worker_lost(worker, {}, "killed", ++now, effects);
    send(ForgetMessage{});  // settles
  }
  std::string text(ObjectId id) { return *get(id).bytes; }
  int64_t free_cpus() const { return core.sched().ledger().available().at("CPU"); }

  ReplyMessage created;
  RunMessage begun;
};

TEST_F(Groups, OneIsReadyAtOnceWhereThereIsRoom) {
  GroupId group = create_group({1, 2});
  EXPECT_EQ(created.code, Code::kOk);
  EXPECT_EQ(created.number, 1u) << "feasible";
  EXPECT_EQ(free_cpus(), kResourceUnit);
  ObjectId ready = watch(group);
  EXPECT_EQ(text(ready), "here it is");
  remove(group);
  EXPECT_EQ(free_cpus(), 4 * kResourceUnit);
  release({ready});
  expect_empty();
}

TEST_F(Groups, OneWaitsUntilTasksLeaveItRoom) {
  TaskSpec large = spec();
  large.resources["CPU"] = 3 * kResourceUnit;
  ObjectId task = submit(large);
  GroupId group = create_group({1, 1});
  ObjectId ready = watch(group);
  EXPECT_FALSE(is_ready(ready));
  finish(where(task));
  EXPECT_TRUE(is_ready(ready));
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit);
}

TEST_F(Groups, WhoWaitsForARemovedOneIsTold) {
  GroupId group = create_group({8});
  EXPECT_EQ(created.number, 0u) << "it can never be placed";
  ObjectId ready = watch(group);
  EXPECT_FALSE(is_ready(ready));
  remove(group);
  EXPECT_EQ(kind_of(ready), PayloadKind::kGroupRemoved);
  EXPECT_EQ(kind_of(watch(group)), PayloadKind::kGroupRemoved);
  EXPECT_EQ(kind_of(watch(GroupId{12345})), PayloadKind::kGroupRemoved);
}

TEST_F(Groups, WhoAsksAgainAndAgainLeavesNothing) {
  GroupId group = create_group({8});
  for (int i = 0; i < 1000; ++i) release({watch(group)});
  EXPECT_EQ(core.store().size(), 0u);
  remove(group);
  expect_empty();
}

TEST_F(Groups, SenselessBundlesAndTakenNamesAreRefused) {
  create_group({});
  EXPECT_EQ(created.code, Code::kInvalid);
  create_group({1}, GroupStrategy::kPack, "pair");
  create_group({1}, GroupStrategy::kPack, "pair");
  EXPECT_EQ(created.code, Code::kInvalid);
  EXPECT_THAT(created.text, testing::HasSubstr("'pair' exists"));
}

TEST_F(Groups, RemovalEndsWhatRunsAndFailsWhatWaits) {
  GroupId group = create_group({1});
  TaskSpec retried = inside(group);
  retried.max_retries = 3;
  ObjectId first = submit(retried), second = submit(inside(group));
  WorkerId worker = running(first);
  ObjectId argument = submit(spec());
  TaskSpec late = inside(group);
  late.refs = {argument};
  ObjectId third = submit(late);
  remove(group);
  EXPECT_TRUE(is_killed(worker));
  for (ObjectId id : {first, second, third}) EXPECT_EQ(kind_of(id), PayloadKind::kGroupRemoved);
  EXPECT_EQ(kind_of(submit(inside(group))), PayloadKind::kGroupRemoved) << "too late";
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit) << "its bundle is in use until the worker is gone";
  done(worker, begun, {located_bytes(PayloadKind::kValue, "too late")});
  EXPECT_EQ(kind_of(first), PayloadKind::kGroupRemoved);
  end(worker);
  EXPECT_EQ(free_cpus(), 3 * kResourceUnit);
  finish(where(argument));
  EXPECT_EQ(free_cpus(), 4 * kResourceUnit);
}

TEST_F(Groups, WhatIsTakenBackFromARemovedGroupRunsNowhere) {
  GroupId group = create_group({1});
  std::vector<ObjectId> tasks{submit(inside(group))};
  WorkerId worker = where(tasks[0]);
  begun = begin(worker);
  done(worker, begun, {located_bytes(PayloadKind::kValue, "quick")});
  for (int i = 0; i < 5; ++i) tasks.push_back(submit(inside(group)));
  takes_back = false;
  tick(10'000);
  remove(group);
  core.on_taken_back(worker, {tasks[2].task, tasks[3].task}, ++now, effects);
  send(ForgetMessage{});
  EXPECT_EQ(core.sched().queued(), 0u);
  for (size_t i = 1; i < tasks.size(); ++i) EXPECT_EQ(kind_of(tasks[i]), PayloadKind::kGroupRemoved);
  end(worker);
  EXPECT_EQ(free_cpus(), 4 * kResourceUnit);
}

TEST_F(Groups, ActorsOfARemovedGroupDieAndThoseNotMadeSayWhy) {
  GroupId group = create_group({1});
  ActorId living = create(actor_inside(group, -1));
  WorkerId worker = where(object(TaskId{living.value}));
  finish(worker);
  ObjectId running_call = call(living);
  begun = begin(worker);
  ActorSpec waiting = actor_inside(group);
  waiting.creation.resources = waiting.creation.placement_resources;
  create(waiting);
  ActorId pending = create(waiting);
  ObjectId pending_call = call(pending);
  remove(group);
  EXPECT_TRUE(is_killed(worker));
  EXPECT_EQ(kind_of(running_call), PayloadKind::kActorDied);
  EXPECT_EQ(kind_of(pending_call), PayloadKind::kActorGroupRemoved);
  EXPECT_EQ(kind_of(call(pending)), PayloadKind::kActorGroupRemoved);
  EXPECT_THAT(text(call(living)), testing::HasSubstr("placement group"));
  EXPECT_EQ(core.actors().living(), 0u);
}

TEST_F(Groups, AnActorIsRestartedInItsBundle) {
  GroupId group = create_group({1});
  ActorId actor = create(actor_inside(group, 1));
  WorkerId worker = where(object(TaskId{actor.value}));
  finish(worker);
  lose(worker);
  WorkerId next_worker = where(object(TaskId{actor.value}));
  EXPECT_EQ(core.sched().find(next_worker)->group, group);
  finish(next_worker);
  ObjectId answer = call(actor);
  finish(next_worker);
  EXPECT_EQ(kind_of(answer), PayloadKind::kValue);
}

TEST_F(Groups, ChildrenAreCapturedWhereTheParentSaysSo) {
  GroupId group = create_group({1, 1});
  for (int8_t captures : {1, 0, -1}) {
    ObjectId parent = submit(inside(group, 0, captures));
    WorkerId worker = running(parent);
    ClientId client{worker.value};
    ObjectId child = submit(spec({}, client), client);
    GroupId of_child = core.tasks().find(child.task)->spec.placement_group;
    EXPECT_EQ(of_child, captures == 1 ? group : GroupId{}) << static_cast<int>(captures);
    TaskSpec elsewhere = spec({}, client);
    elsewhere.placement = Placement::kNoGroup;
    ObjectId other = submit(elsewhere, client);
    EXPECT_TRUE(core.tasks().find(other.task)->spec.placement_group.is_nil());
    finish(where(child));
    finish(where(other));
    done(worker, begun, {located_bytes(PayloadKind::kValue, "done")});
  }
}

TEST_F(Groups, AnActorsChildrenAndTheirsAreCaptured) {
  GroupId group = create_group({2});
  ActorSpec made = actor_inside(group);
  made.creation.captures = 1;
  ActorId actor = create(made);
  WorkerId worker = where(object(TaskId{actor.value}));
  finish(worker);
  ClientId client{worker.value};
  ObjectId child = submit(spec({}, client), client);
  EXPECT_EQ(core.tasks().find(child.task)->spec.placement_group, group);
  ClientId child_client{running(child).value};
  ObjectId grandchild = submit(spec({}, child_client), child_client);
  EXPECT_EQ(core.tasks().find(grandchild.task)->spec.placement_group, group);
}

TEST_F(Groups, ACallIsWhereItsActorIsWhoeverCalls) {
  auto [outside, worker] = living_actor();
  GroupId group = create_group({1});
  WorkerId caller = running(submit(inside(group, 0, 1)));
  ClientId client{caller.value};
  send(client, HoldMessage{object(TaskId{outside.value})});
  call(outside, {}, 0, client);
  EXPECT_TRUE(begin(worker).spec.placement_group.is_nil());
}

TEST_F(Groups, APlaceThatCannotBeFailsAtOnce) {
  GroupId group = create_group({1, 2});
  TaskSpec large = inside(group, 0);
  large.resources["CPU"] = 2 * kResourceUnit;
  ObjectId too_large = submit(large);
  EXPECT_EQ(kind_of(too_large), PayloadKind::kUnschedulable);
  ObjectId no_bundle = submit(inside(group, 2));
  EXPECT_THAT(text(no_bundle), testing::HasSubstr("no bundle 2"));
  TaskSpec elsewhere = spec();
  elsewhere.placement = Placement::kNodeAffinity;
  elsewhere.placement_node = "there";
  EXPECT_EQ(kind_of(submit(elsewhere)), PayloadKind::kUnschedulable);
  ActorSpec lost = actor_spec();
  lost.creation.placement = Placement::kNodeAffinity;
  lost.creation.placement_node = "there";
  EXPECT_EQ(kind_of(call(create(lost))), PayloadKind::kActorUnschedulable);
  TaskSpec soft = spec();
  soft.placement = Placement::kNodeAffinity;
  soft.placement_node = "there";
  soft.placement_soft = true;
  EXPECT_TRUE(is_given(submit(soft)));
}

TEST_F(Groups, TheGroupsOfADetachedActorEndWithIt) {
  ActorSpec made = actor_spec(0, "maker");
  made.detached = true;
  ActorId actor = create(made);
  WorkerId worker = where(object(TaskId{actor.value}));
  finish(worker);
  ClientId client{worker.value};
  GroupId bound = create_group({1}, GroupStrategy::kPack, "", client);
  GroupId detached = create_group({1}, GroupStrategy::kPack, "", client, true);
  send(KillMessage{actor, true});
  EXPECT_EQ(core.sched().groups().find(bound)->state, GroupState::kRemoved);
  EXPECT_EQ(core.sched().groups().find(detached)->state, GroupState::kCreated);
}

TEST_F(Groups, ATaskThatWaitsInItsBundleLetsItsChildRunThere) {
  GroupId group = create_group({1});
  ObjectId parent = submit(inside(group, 0, 1));
  WorkerId worker = running(parent);
  ClientId client{worker.value};
  ObjectId child = submit(spec({}, client), client);
  EXPECT_FALSE(is_given(child)) << "the bundle has one CPU";
  ask({child}, client);
  EXPECT_TRUE(is_given(child));
  EXPECT_EQ(core.sched().find(where(child))->group, group);
  remove(group);
  EXPECT_EQ(kills.size(), 2u);
  EXPECT_EQ(kind_of(parent), PayloadKind::kGroupRemoved);
}

}  // namespace
}  // namespace mobula
