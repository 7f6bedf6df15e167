// Where bundles go, how they are reserved and given back, and leases inside of them.
#include "sched/groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sched/placement.h"
#include "sched/sched.h"

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

constexpr GroupId kGroup{7}, kOther{8};
constexpr TaskId task(uint64_t number) { return {number}; }
ResourceMap cpus(double count) { return {{"CPU", static_cast<int64_t>(count * kResourceUnit)}}; }
ResourceMap gpus(double count) { return {{"GPU", static_cast<int64_t>(count * kResourceUnit)}}; }
GroupSpec group(std::vector<ResourceMap> bundles, GroupStrategy strategy = GroupStrategy::kPack) {
  GroupSpec spec;
  spec.bundles = std::move(bundles);
  spec.strategy = strategy;
  return spec;
}

// ---- placing ----------------------------------------------------------------------------------------

std::vector<NodeRoom> nodes(std::initializer_list<double> sizes) {
  std::vector<NodeRoom> made;
  for (double size : sizes)
    made.push_back({"node " + std::to_string(made.size()), ResourceLedger(cpus(size))});
  return made;
}

TEST(Placement, StrictPackTakesTheOneNodeThatHoldsAll) {
  GroupSpec spec = group({cpus(1), cpus(2)}, GroupStrategy::kStrictPack);
  EXPECT_THAT(*place_bundles(spec, nodes({2, 3})), ElementsAre(1, 1));
  EXPECT_FALSE(place_bundles(spec, nodes({2, 2})).has_value());
}

TEST(Placement, PackUsesSeveralNodesOnlyWhereOneIsTooSmall) {
  EXPECT_THAT(*place_bundles(group({cpus(1), cpus(2)}), nodes({2, 3})), ElementsAre(1, 1));
  EXPECT_THAT(*place_bundles(group({cpus(1), cpus(2), cpus(1)}), nodes({2, 3})), ElementsAre(1, 0, 1));
  EXPECT_FALSE(place_bundles(group({cpus(3), cpus(3)}), nodes({2, 3})).has_value());
}

TEST(Placement, SpreadPrefersNodesWithoutBundlesAndDoesWithFewer) {
  GroupSpec spec = group({cpus(1), cpus(1), cpus(1)}, GroupStrategy::kSpread);
  EXPECT_THAT(*place_bundles(spec, nodes({4, 4, 4})), ElementsAre(0, 1, 2));
  EXPECT_THAT(*place_bundles(spec, nodes({4})), ElementsAre(0, 0, 0));
}

TEST(Placement, StrictSpreadNeedsANodeForEachBundle) {
  GroupSpec spec = group({cpus(1), cpus(2)}, GroupStrategy::kStrictSpread);
  EXPECT_THAT(*place_bundles(spec, nodes({2, 1})), ElementsAre(1, 0));
  EXPECT_FALSE(place_bundles(spec, nodes({4})).has_value());
}

TEST(Placement, ABundleThatNamesANodeGoesThereOrNowhere) {
  GroupSpec spec = group({cpus(1), cpus(1)});
  spec.bundle_nodes = {"node 1", ""};
  EXPECT_THAT(*place_bundles(spec, nodes({1, 1})), ElementsAre(1, 0));
  spec.bundle_nodes = {"node 9", ""};
  EXPECT_FALSE(place_bundles(spec, nodes({4, 4})).has_value());
}

// ---- the table --------------------------------------------------------------------------------------

TEST(Groups, BundlesAreReservedAllOrNone) {
  ResourceLedger node(cpus(3));
  GroupTable table("here");
  ASSERT_TRUE(table.add(kGroup, group({cpus(1), cpus(1)}), node).is_ok());
  ASSERT_TRUE(table.add(kOther, group({cpus(1), cpus(1)}), node).is_ok());
  EXPECT_THAT(table.place_pending(node), ElementsAre(kGroup));
  EXPECT_EQ(node.available(), cpus(1)) << "the other one has taken nothing";
  EXPECT_TRUE(table.is_waiting());
  EXPECT_THAT(table.place_pending(node), IsEmpty());
  EXPECT_TRUE(table.remove(kGroup, node));
  EXPECT_THAT(table.place_pending(node), ElementsAre(kOther));
  EXPECT_FALSE(table.is_waiting());
  table.check();
}

TEST(Groups, OneThatCanNeverBePlacedWaitsWithoutKeepingOthersAwake) {
  ResourceLedger node(cpus(2));
  GroupTable table("here");
  ASSERT_TRUE(table.add(kGroup, group({cpus(1), cpus(1)}, GroupStrategy::kStrictSpread), node).is_ok());
  EXPECT_FALSE(table.find(kGroup)->feasible);
  EXPECT_FALSE(table.is_waiting());
  EXPECT_THAT(table.place_pending(node), IsEmpty());
  EXPECT_EQ(table.views()[0].state, GroupState::kPending);
}

TEST(Groups, SenselessOnesAreRefused) {
  ResourceLedger node(cpus(2));
  GroupTable table("here");
  auto text = [&](GroupSpec spec) { return table.add(kGroup, std::move(spec), node).message(); };
  EXPECT_THAT(text(group({})), HasSubstr("at least one bundle"));
  EXPECT_THAT(text(group({cpus(1), {}})), HasSubstr("bundle 1 of a placement group asks for nothing"));
  EXPECT_THAT(text(group({cpus(0)})), HasSubstr("asks for nothing"));
  EXPECT_THAT(text(group({cpus(-1)})), HasSubstr("negative"));
  EXPECT_THAT(text(group({gpus(1.5)})), HasSubstr("fraction of GPUs"));
  EXPECT_THAT(text(group({cpus(1)}, static_cast<GroupStrategy>(9))), HasSubstr("STRICT_SPREAD"));
  EXPECT_TRUE(table.all().empty());
}

TEST(Groups, ANameIsFreeOnceItsGroupIsRemoved) {
  ResourceLedger node(cpus(2));
  GroupTable table("here");
  GroupSpec named = group({cpus(1)});
  named.name = "pair";
  EXPECT_TRUE(table.add(kGroup, named, node).is_ok());
  EXPECT_THAT(table.add(kOther, named, node).message(), HasSubstr("'pair' exists"));
  table.remove(kGroup, node);
  EXPECT_TRUE(table.add(kOther, named, node).is_ok());
  table.check();
}

TEST(Groups, ABundleOfARemovedGroupGoesBackWithItsLastWorker) {
  ResourceLedger node(cpus(2));
  GroupTable table("here");
  ASSERT_TRUE(table.add(kGroup, group({cpus(1), cpus(1)}), node).is_ok());
  table.place_pending(node);
  ASSERT_EQ(table.acquire(kGroup, 1, cpus(0.5))->bundle, 1);
  EXPECT_FALSE(table.remove(kGroup, node));
  EXPECT_EQ(node.available(), cpus(1)) << "the empty bundle";
  EXPECT_FALSE(table.acquire(kGroup, -1, cpus(0.5)).has_value());
  EXPECT_TRUE(table.leave(kGroup, 1, node));
  EXPECT_EQ(node.available(), node.total());
  EXPECT_EQ(table.views()[0].state, GroupState::kRemoved);
}

TEST(Groups, InABundleThereAreItsGpusAlone) {
  ResourceLedger node(gpus(4));
  ASSERT_EQ((*node.acquire(gpus(1)))[0].index, 0);
  GroupTable table("here");
  ASSERT_TRUE(table.add(kGroup, group({gpus(1), gpus(2)}), node).is_ok());
  table.place_pending(node);
  auto second = table.acquire(kGroup, 1, gpus(1));
  auto third = table.acquire(kGroup, 1, gpus(1));
  ASSERT_TRUE(second && third);
  EXPECT_EQ(second->gpus[0].index, 2);
  EXPECT_EQ(third->gpus[0].index, 3);
  EXPECT_FALSE(table.acquire(kGroup, 1, gpus(0.5)).has_value());
  EXPECT_EQ(table.acquire(kGroup, -1, gpus(0.5))->gpus[0].index, 1);
}

TEST(Groups, BundlesAreListedAmongTheResourcesAsRayDoes) {
  ResourceLedger node(cpus(4));
  GroupTable table("here");
  ASSERT_TRUE(table.add(kGroup, group({cpus(1), cpus(2)}), node).is_ok());
  table.place_pending(node);
  table.acquire(kGroup, 1, cpus(1));
  ResourceMap total, available;
  table.list_resources(total, available);
  std::string id = to_hex(kGroup.value);
  EXPECT_EQ(total["CPU_group_1_" + id], 2 * kResourceUnit);
  EXPECT_EQ(total["CPU_group_" + id], 3 * kResourceUnit);
  EXPECT_EQ(available["CPU_group_" + id], 2 * kResourceUnit);
  EXPECT_EQ(total["bundle_group_0_" + id], 1000 * kResourceUnit);
}

TEST(Groups, OnlyTheLatestRemovedOnesAreRemembered) {
  ResourceLedger node(cpus(1));
  GroupTable table("here");
  for (uint64_t i = 1; i <= 1500; ++i) {
    ASSERT_TRUE(table.add(GroupId{i}, group({cpus(1)}), node).is_ok());
    EXPECT_EQ(table.place_pending(node).size(), 1u);
    EXPECT_TRUE(table.remove(GroupId{i}, node));
  }
  EXPECT_EQ(table.all().size(), 1000u);
  EXPECT_EQ(table.find(GroupId{1}), nullptr);
  table.check();
}

// ---- leases in bundles ------------------------------------------------------------------------------

class GroupLeases : public testing::Test {
 protected:
  GroupLeases() : sched({cpus(3), 8, 100, 8, "here"}) {}
  void TearDown() override { sched.check(); }

  SchedEffects dispatch() {
    SchedEffects out;
    sched.dispatch(now, out);
    sched.check();
    for (WorkerId worker : out.spawned) sched.on_worker_started(worker, now);
    if (!out.spawned.empty()) {
      SchedEffects more = dispatch();
      out.assigned.insert(out.assigned.end(), more.assigned.begin(), more.assigned.end());
    }
    return out;
  }
  ClassId class_in(int32_t bundle, double need = 1, bool dedicated = false) {
    return sched.class_of({cpus(need), "", dedicated, kGroup, bundle});
  }
  int64_t free_cpus() const { return sched.ledger().available().at("CPU"); }

  Scheduler sched;
  uint64_t now = 1'000'000;
};

TEST_F(GroupLeases, TasksRunInTheirBundleAndNoMoreThanItHolds) {
  ASSERT_TRUE(sched.add_group(kGroup, group({cpus(1), cpus(1)})).is_ok());
  EXPECT_THAT(dispatch().placed, ElementsAre(kGroup));
  ClassId second = class_in(1), any = class_in(-1);
  sched.enqueue(task(1), second);
  sched.enqueue(task(2), second);
  EXPECT_EQ(dispatch().assigned.size(), 1u);
  sched.enqueue(task(3), any);
  SchedEffects out = dispatch();
  ASSERT_EQ(out.assigned.size(), 1u);
  EXPECT_EQ(out.assigned[0].second, task(3)) << "in the other bundle";
  EXPECT_EQ(sched.find(out.assigned[0].first)->bundle, 0);
  EXPECT_EQ(free_cpus(), kResourceUnit) << "one CPU of the node is free, and not theirs";
}

TEST_F(GroupLeases, TasksOfAGroupWaitUntilItHasItsBundles) {
  ClassId plain = sched.class_of({cpus(2), "", false});
  sched.enqueue(task(1), plain);
  WorkerId busy = dispatch().assigned.at(0).first;
  ASSERT_TRUE(sched.add_group(kGroup, group({cpus(2)})).is_ok());
  sched.enqueue(task(2), class_in(0));
  EXPECT_THAT(dispatch().assigned, IsEmpty());
  sched.on_done(busy, task(1), 100, now);
  SchedEffects out = dispatch();
  EXPECT_THAT(out.placed, ElementsAre(kGroup));
  EXPECT_THAT(out.assigned, ElementsAre(Pair(testing::_, task(2))));
}

TEST_F(GroupLeases, AWaitingGroupGetsItsTurnThoughALeaseHasMoreTasks) {
  ClassId plain = sched.class_of({cpus(3), "", false});
  for (uint64_t i = 1; i <= 100; ++i) sched.enqueue(task(i), plain);
  WorkerId worker = dispatch().assigned.at(0).first;
  ASSERT_TRUE(sched.add_group(kGroup, group({cpus(1)})).is_ok());
  uint64_t done = 0;
  for (bool placed = false; !placed;) {
    ASSERT_LT(++done, 100u);
    now += 5'000;
    sched.on_done(worker, task(done), 5'000, now);
    placed = !dispatch().placed.empty();
  }
  EXPECT_LE(done, 6u);
}

TEST_F(GroupLeases, ABlockedTaskLendsItsCpuInsideOfItsBundle) {
  ASSERT_TRUE(sched.add_group(kGroup, group({cpus(1)})).is_ok());
  dispatch();
  ClassId cls = class_in(0);
  sched.enqueue(task(1), cls);
  WorkerId parent = dispatch().assigned.at(0).first;
  sched.enqueue(task(2), cls);
  EXPECT_THAT(dispatch().assigned, IsEmpty());
  SchedEffects out;
  uint64_t lease = sched.on_blocked(parent, out);
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit) << "nothing of it is the node's";
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(testing::_, task(2))));
  sched.on_unblocked(parent, lease);
  sched.check();
}

TEST_F(GroupLeases, AnActorHoldsInItsBundleWhatItKeepsForLife) {
  ASSERT_TRUE(sched.add_group(kGroup, group({cpus(1)})).is_ok());
  dispatch();
  sched.enqueue(task(1), class_in(0, 1, true));
  WorkerId worker = dispatch().assigned.at(0).first;
  sched.on_done(worker, task(1), 10, now);
  sched.on_actor_alive(worker, cpus(0.25));
  EXPECT_EQ(sched.groups().find(kGroup)->bundles[0].ledger.available().at("CPU"), kResourceUnit * 3 / 4);
  EXPECT_THAT(sched.remove_group(kGroup), ElementsAre(worker));
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit) << "until the process is gone";
  sched.on_worker_lost(worker, now);
  EXPECT_EQ(free_cpus(), 3 * kResourceUnit);
}

TEST_F(GroupLeases, WhoeverRunsInARemovedGroupGetsNothingMore) {
  ASSERT_TRUE(sched.add_group(kGroup, group({cpus(1)})).is_ok());
  dispatch();
  ClassId cls = class_in(-1);
  sched.enqueue(task(1), cls);
  sched.enqueue(task(2), cls);
  WorkerId worker = dispatch().assigned.at(0).first;
  EXPECT_TRUE(sched.remove(task(2), cls));
  EXPECT_THAT(sched.remove_group(kGroup), ElementsAre(worker));
  EXPECT_THAT(sched.find(worker)->inflight, IsEmpty());
  sched.enqueue(task(3), sched.class_of({cpus(2), "", false}));
  for (const auto& [to, given] : dispatch().assigned) EXPECT_NE(to, worker);
  EXPECT_THAT(sched.on_worker_lost(worker, now), IsEmpty());
}

TEST_F(GroupLeases, GroupsThatCameAndWentLeaveNothingBehind) {
  for (uint64_t i = 1; i <= 20; ++i) {
    GroupId id{100 + i};
    ASSERT_TRUE(sched.add_group(id, group({cpus(1)})).is_ok());
    sched.enqueue(task(i), sched.class_of({cpus(1), "", false, id, -1}));
    WorkerId worker = dispatch().assigned.at(0).first;
    sched.on_done(worker, task(i), 10, now);
    dispatch();
    EXPECT_THAT(sched.remove_group(id), IsEmpty());
  }
  EXPECT_EQ(sched.ledger().available(), sched.ledger().total());
  EXPECT_EQ(sched.queued(), 0u);
}

}  // namespace
}  // namespace mobula
