// Leases without processes: who gets which task, what it costs, and what happens when workers block or end.
#include "sched/sched.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;
using Phase = WorkerState::Phase;

constexpr TaskId task(uint64_t number) { return {number}; }
ResourceMap cpus(double count) { return {{"CPU", static_cast<int64_t>(count * kResourceUnit)}}; }

// ---- amounts ----------------------------------------------------------------------------------------

TEST(Ledger, WhatIsTakenIsMissingUntilItIsGivenBack) {
  ResourceLedger ledger(cpus(2));
  EXPECT_TRUE(ledger.acquire(cpus(1.5)).has_value());
  EXPECT_FALSE(ledger.acquire(cpus(1)).has_value());
  EXPECT_TRUE(ledger.is_feasible(cpus(2)));
  EXPECT_FALSE(ledger.is_feasible(cpus(2.5)));
  EXPECT_FALSE(ledger.is_feasible({{"unobtainium", 1}}));
  EXPECT_TRUE(ledger.acquire({{"unobtainium", 0}}).has_value());
  EXPECT_EQ(ledger.copies_available(cpus(0.25), 100), 2u);
  ledger.release(cpus(1.5));
  EXPECT_EQ(ledger.copies_available(cpus(0.25), 7), 7u);
  EXPECT_EQ(ledger.available(), ledger.total());
}

TEST(Ledger, ABlockedTasksCpuMayBeTakenBackEvenIfThereIsNone) {
  ResourceLedger ledger(cpus(1));
  ASSERT_TRUE(ledger.acquire(cpus(1)).has_value());
  ledger.release(cpus(1));
  ASSERT_TRUE(ledger.acquire(cpus(1)).has_value());
  ledger.reacquire(cpus(1));
  EXPECT_EQ(ledger.available().at("CPU"), -kResourceUnit);
  EXPECT_EQ(ledger.copies_available(cpus(1), 5), 0u);
  ledger.release(cpus(1));
  ledger.release(cpus(1));
  EXPECT_EQ(ledger.available(), ledger.total());
}

TEST(Ledger, FractionsOfGpusShareOneSoThatWholeOnesStayWhole) {
  ResourceLedger ledger({{"GPU", 2 * kResourceUnit}});
  auto half = ledger.acquire({{"GPU", kResourceUnit / 2}});
  auto quarter = ledger.acquire({{"GPU", kResourceUnit / 4}});
  auto whole = ledger.acquire({{"GPU", kResourceUnit}});
  ASSERT_TRUE(half && quarter && whole);
  EXPECT_EQ((*half)[0].index, (*quarter)[0].index);
  EXPECT_NE((*half)[0].index, (*whole)[0].index);
  EXPECT_FALSE(ledger.acquire({{"GPU", kResourceUnit / 2}}).has_value()) << "a quarter is left of one";
  for (auto* shares : {&half, &quarter, &whole}) {
    ResourceMap back;
    for (auto& share : **shares) back["GPU"] += share.amount;
    ledger.release(back);
    ledger.release_gpus(**shares);
  }
  EXPECT_EQ(ledger.acquire({{"GPU", 2 * kResourceUnit}})->size(), 2u);
}

// ---- leases -----------------------------------------------------------------------------------------

class SchedTest : public testing::Test {
 protected:
  SchedTest() : sched({cpus(2), 4, 100, 1}) { plain = sched.class_of({cpus(1), "", false}); }
  void TearDown() override { sched.check(); }

  SchedEffects dispatch() {
    SchedEffects out;
    sched.dispatch(now, out);
    sched.check();
    return out;
  }
  void enqueue(uint64_t first, uint64_t last, ClassId cls) {
    for (uint64_t i = first; i <= last; ++i) sched.enqueue(task(i), cls);
  }
  /// Ready workers, without tasks.
  std::vector<WorkerId> start(size_t count) {
    enqueue(1, count, plain);
    std::vector<WorkerId> spawned = dispatch().spawned;
    for (uint64_t i = 1; i <= count; ++i) EXPECT_TRUE(sched.remove(task(i), plain));
    for (WorkerId worker : spawned) sched.on_worker_started(worker, now);
    return spawned;
  }
  void done(WorkerId worker, uint64_t number, uint64_t run_us = 100'000) {
    now += run_us;
    sched.on_done(worker, task(number), run_us, now);
  }
  int64_t free_cpus() const { return sched.ledger().available().at("CPU"); }
  SchedEffects out;
  Scheduler sched;
  ClassId plain;
  uint64_t now = 1'000'000;
};

TEST_F(SchedTest, AsManyWorkersAreStartedAsTasksCanRun) {
  enqueue(1, 5, plain);
  EXPECT_EQ(dispatch().spawned.size(), 2u);
  EXPECT_THAT(dispatch().spawned, IsEmpty()) << "they are on their way";
  EXPECT_EQ(sched.workers_started(), 2u);
  EXPECT_EQ(sched.queued(), 5u);
}

TEST_F(SchedTest, AReadyWorkerGetsTheOldestTask) {
  auto workers = start(2);
  enqueue(1, 3, plain);
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(workers[0], task(1)), Pair(workers[1], task(2))));
  EXPECT_EQ(free_cpus(), 0);
}

TEST_F(SchedTest, ALeaseIsKeptWhileItsClassHasTasksAndClosedWithTheLast) {
  auto workers = start(1);
  enqueue(1, 2, plain);
  dispatch();
  done(workers[0], 1);
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(workers[0], task(2))));
  EXPECT_EQ(sched.find(workers[0])->phase, Phase::kLeased);
  done(workers[0], 2);
  EXPECT_THAT(dispatch().assigned, IsEmpty());
  EXPECT_EQ(sched.find(workers[0])->phase, Phase::kIdle);
  EXPECT_EQ(sched.ledger().available(), sched.ledger().total());
}

TEST_F(SchedTest, ShortTasksAreSentAheadAndLongOnesAreNot) {
  auto workers = start(1);
  enqueue(1, 400, plain);
  dispatch();
  EXPECT_EQ(sched.find(workers[0])->inflight.size(), 1u) << "how long they run is not known yet";
  done(workers[0], 1, 100);
  dispatch();
  EXPECT_EQ(sched.find(workers[0])->inflight.size(), 20u);
  done(workers[0], 2, 5);
  for (uint64_t i = 3; i < 60; ++i) {
    done(workers[0], i, 1);
    dispatch();
  }
  EXPECT_LE(sched.find(workers[0])->inflight.size(), 128u);
  EXPECT_GT(sched.find(workers[0])->inflight.size(), 100u);
}

TEST_F(SchedTest, TasksGoToTheWorkerWithTheShortestRing) {
  auto workers = start(2);
  enqueue(1, 2, plain);
  dispatch();
  done(workers[0], 1, 400);
  enqueue(3, 10, plain);
  dispatch();
  EXPECT_EQ(sched.find(workers[0])->inflight.size(), 5u);
  EXPECT_EQ(sched.find(workers[1])->inflight.size(), 4u);
}

TEST_F(SchedTest, ABlockedWorkerLendsItsCpuAndGivesUpWhatItHasNotBegun) {
  auto workers = start(1);
  enqueue(1, 6, plain);
  dispatch();
  done(workers[0], 1, 400);
  dispatch();
  ASSERT_GT(sched.find(workers[0])->inflight.size(), 2u);
  uint64_t lease = sched.on_blocked(workers[0], out);
  EXPECT_NE(lease, 0u);
  EXPECT_THAT(out.take_back, ElementsAre(workers[0]));
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit);
  sched.on_taken_back(workers[0], {task(3), task(4), task(5)});
  EXPECT_THAT(sched.find(workers[0])->inflight, ElementsAre(task(2), task(6)));
  EXPECT_THAT(sched.queued_tasks(), ElementsAre(task(3), task(4), task(5))) << "in their order";
  dispatch();
  EXPECT_EQ(sched.workers().size(), 3u) << "one was started before, for the second CPU";
  sched.on_unblocked(workers[0], lease);
  EXPECT_EQ(free_cpus(), kResourceUnit);
  sched.check();
}

TEST_F(SchedTest, ABlockedWorkerGetsNoMoreTasks) {
  auto workers = start(1);
  enqueue(1, 1, plain);
  dispatch();
  uint64_t first = sched.on_blocked(workers[0], out), second = sched.on_blocked(workers[0], out);
  EXPECT_EQ(first, second);
  enqueue(2, 3, plain);
  EXPECT_THAT(dispatch().assigned, IsEmpty());
  sched.on_unblocked(workers[0], first);
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit) << "the other request still waits";
  sched.on_unblocked(workers[0], second);
  EXPECT_EQ(free_cpus(), kResourceUnit);
}

TEST_F(SchedTest, ABlockedWorkerLendsNothingButItsCpu) {
  Scheduler rich({{{"CPU", kResourceUnit}, {"lock", kResourceUnit}}, 4, 100, 1});
  ClassId cls = rich.class_of({{{"CPU", kResourceUnit}, {"lock", kResourceUnit}}, "", false});
  rich.enqueue(task(1), cls);
  rich.enqueue(task(2), cls);
  rich.dispatch(now, out);
  rich.on_worker_started(out.spawned.at(0), now);
  rich.dispatch(now, out);
  uint64_t lease = rich.on_blocked(out.spawned.at(0), out);
  rich.check();
  EXPECT_EQ(rich.ledger().available().at("CPU"), kResourceUnit);
  EXPECT_EQ(rich.ledger().available().at("lock"), 0);
  rich.on_unblocked(out.spawned.at(0), lease);
  EXPECT_EQ(rich.ledger().available().at("CPU"), 0);
  rich.on_blocked(out.spawned.at(0), out);
  rich.on_worker_lost(out.spawned.at(0), now);
  EXPECT_EQ(rich.ledger().available(), rich.ledger().total());
}

TEST_F(SchedTest, ARequestThatOutlivesItsTaskDoesNotTakeTheNextTasksCpu) {
  auto workers = start(1);
  enqueue(1, 1, plain);
  dispatch();
  uint64_t lease = sched.on_blocked(workers[0], out);
  done(workers[0], 1);
  dispatch();
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit);
  enqueue(2, 2, plain);
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(workers[0], task(2))));
  EXPECT_EQ(free_cpus(), kResourceUnit);
  sched.on_unblocked(workers[0], lease);
  EXPECT_EQ(free_cpus(), kResourceUnit);
  sched.check();
  done(workers[0], 2);
  dispatch();
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit);
}

TEST_F(SchedTest, ALostWorkersTasksComeBackOldestFirstAndItsCpuIsFree) {
  auto workers = start(1);
  enqueue(1, 4, plain);
  dispatch();
  done(workers[0], 1, 100);
  dispatch();
  EXPECT_THAT(sched.on_worker_lost(workers[0], now), ElementsAre(task(2), task(3), task(4)));
  EXPECT_EQ(sched.find(workers[0]), nullptr);
  EXPECT_EQ(sched.ledger().available(), sched.ledger().total());
  EXPECT_THAT(sched.on_worker_lost(workers[0], now), IsEmpty());
}

TEST_F(SchedTest, AWorkerThatIsLostWhileItIsBlockedGivesNothingBackTwice) {
  auto workers = start(1);
  enqueue(1, 1, plain);
  dispatch();
  uint64_t lease = sched.on_blocked(workers[0], out);
  sched.on_worker_lost(workers[0], now);
  sched.on_unblocked(workers[0], lease);
  EXPECT_EQ(sched.ledger().available(), sched.ledger().total());
}

TEST_F(SchedTest, ATaskThatRunsLongGivesUpThoseBehindIt) {
  auto workers = start(1);
  enqueue(1, 8, plain);
  dispatch();
  done(workers[0], 1, 200);
  dispatch();
  EXPECT_TRUE(sched.wants_tick());
  sched.on_tick(now + 1'000, out);
  EXPECT_THAT(out.take_back, IsEmpty());
  now += 10'000;
  sched.on_tick(now, out);
  EXPECT_THAT(out.take_back, ElementsAre(workers[0]));
  sched.on_taken_back(workers[0], {task(3), task(4), task(5), task(6), task(7), task(8)});
  dispatch();
  EXPECT_EQ(sched.find(workers[0])->inflight.size(), 1u) << "now it is known that they run long";
  EXPECT_EQ(sched.queued(), 6u);
}

TEST_F(SchedTest, TwoClassesThatBothHaveManyTasksTakeTurns) {
  ClassId other = sched.class_of({{{"CPU", kResourceUnit}, {"memory", 0}}, "", false});
  ASSERT_NE(other, plain);
  auto workers = start(2);
  enqueue(1, 200, plain);
  enqueue(1001, 1200, other);
  std::map<WorkerId, TaskId> running;
  auto note = [&](const SchedEffects& effects) {
    for (auto [worker, id] : effects.assigned) running[worker] = id;
  };
  note(dispatch());
  int first = 0, second = 0;
  for (int i = 0; i < 100; ++i) {
    auto [worker, id] = *running.begin();
    ++(id.value > 1000 ? second : first);
    running.erase(worker);
    done(worker, id.value, 30'000);
    note(dispatch());
  }
  EXPECT_GT(first, 25);
  EXPECT_GT(second, 25);
}

TEST_F(SchedTest, ThreeClassesOfShortTasksAllMoveOnOneCpu) {
  Scheduler one({cpus(1), 4, 100, 1});
  std::vector<ClassId> classes;
  for (int64_t i = 0; i < 3; ++i) {
    classes.push_back(one.class_of({{{"CPU", kResourceUnit}, {"memory", -i}}, "", false}));
    for (uint64_t k = 0; k < 3000; ++k) one.enqueue(task(10'000 * (i + 1) + k), classes.back());
  }
  std::vector<int> ran(4);
  std::map<WorkerId, std::deque<TaskId>> rings;
  for (int i = 0; i < 3000; ++i) {
    SchedEffects effects;
    one.dispatch(now, effects);
    for (WorkerId worker : effects.spawned) one.on_worker_started(worker, now);
    for (auto [worker, id] : effects.assigned) rings[worker].push_back(id);
    for (auto& [worker, ring] : rings) {
      if (ring.empty()) continue;
      TaskId id = ring.front();
      ring.pop_front();
      ++ran[id.value / 10'000];
      now += 100;
      one.on_done(worker, id, 100, now);
    }
    one.check();
  }
  for (int i = 1; i <= 3; ++i) EXPECT_GT(ran[i], 500) << "of class " << i;
}

TEST_F(SchedTest, EnvironmentsNeverShareAWorker) {
  ClassId special = sched.class_of({cpus(1), "env", false});
  auto workers = start(1);
  enqueue(1, 1, plain);
  dispatch();
  done(workers[0], 1);
  dispatch();
  enqueue(2, 2, special);
  SchedEffects effects = dispatch();
  EXPECT_THAT(effects.assigned, IsEmpty());
  ASSERT_EQ(effects.spawned.size(), 1u);
  sched.on_worker_started(effects.spawned[0], now);
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(effects.spawned[0], task(2))));
  enqueue(3, 3, plain);
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(workers[0], task(3))));
}

TEST_F(SchedTest, AtTheCapAnIdleWorkerOfAnotherEnvironmentMakesPlace) {
  Scheduler small({cpus(4), 2, 100, 4});
  ClassId one = small.class_of({cpus(1), "one", false}), two = small.class_of({cpus(1), "two", false});
  for (uint64_t i = 1; i <= 2; ++i) small.enqueue(task(i), one);
  SchedEffects effects;
  small.dispatch(now, effects);
  auto workers = effects.spawned;
  ASSERT_EQ(workers.size(), 2u);
  for (WorkerId worker : workers) small.on_worker_started(worker, now);
  small.dispatch(now, effects);
  small.enqueue(task(3), two);
  effects = {};
  small.dispatch(now, effects);
  EXPECT_THAT(effects.spawned, IsEmpty()) << "all are busy and two are the most";
  small.on_done(workers[0], task(1), 10, now);
  small.dispatch(now, effects);
  EXPECT_THAT(effects.dismissed, ElementsAre(workers[0]));
  EXPECT_EQ(effects.spawned.size(), 1u);
  small.check();
}

TEST_F(SchedTest, AnActorHoldsForLifeWhatItsConstructorLeavesIt) {
  ClassId actor = sched.class_of({cpus(1), "", true});
  auto workers = start(1);
  sched.enqueue(task(7), actor);
  EXPECT_THAT(dispatch().assigned, ElementsAre(Pair(workers[0], task(7))));
  EXPECT_EQ(sched.find(workers[0])->phase, Phase::kActor);
  done(workers[0], 7);
  sched.on_actor_alive(workers[0], {});
  dispatch();
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit);
  enqueue(8, 8, plain);
  EXPECT_THAT(dispatch().assigned, IsEmpty()) << "its worker is an actor's from now on";
  sched.on_worker_lost(workers[0], now);
  EXPECT_EQ(sched.ledger().available(), sched.ledger().total());
}

TEST_F(SchedTest, AConstructorThatWaitsLendsItsCpuAndALivingActorKeepsIts) {
  ClassId actor = sched.class_of({cpus(2), "", true});
  auto workers = start(1);
  sched.enqueue(task(7), actor);
  dispatch();
  uint64_t lease = sched.on_blocked(workers[0], out);
  EXPECT_NE(lease, 0u);
  EXPECT_EQ(free_cpus(), 2 * kResourceUnit);
  done(workers[0], 7);
  sched.on_actor_alive(workers[0], cpus(1));  // a thread of its still waits
  sched.on_unblocked(workers[0], lease);
  EXPECT_EQ(free_cpus(), kResourceUnit);
  EXPECT_EQ(sched.on_blocked(workers[0], out), 0u);
  EXPECT_EQ(free_cpus(), kResourceUnit);
  sched.check();
}

TEST_F(SchedTest, IdleWorkersEndAfterAWhileButSomeStay) {
  Scheduler roomy({cpus(4), 8, 100, 2});
  ClassId cls = roomy.class_of({cpus(1), "", false});
  for (uint64_t i = 1; i <= 4; ++i) roomy.enqueue(task(i), cls);
  SchedEffects effects;
  roomy.dispatch(now, effects);
  for (uint64_t i = 1; i <= 4; ++i) roomy.remove(task(i), cls);
  for (WorkerId worker : effects.spawned) roomy.on_worker_started(worker, now);
  EXPECT_TRUE(roomy.wants_tick());
  roomy.on_tick(now + 500'000, effects);
  EXPECT_THAT(effects.dismissed, IsEmpty());
  roomy.on_tick(now + 2'000'000, effects);
  EXPECT_EQ(effects.dismissed.size(), 2u);
  EXPECT_EQ(roomy.workers().size(), 2u);
  EXPECT_FALSE(roomy.wants_tick());
}

TEST_F(SchedTest, WorkersThatEndBeforeTheyAreReadyAreNotStartedInAHotLoop) {
  enqueue(1, 1, plain);
  WorkerId first = dispatch().spawned.at(0);
  sched.on_worker_lost(first, now);
  EXPECT_EQ(sched.failed_starts(), 1u);
  EXPECT_THAT(dispatch().spawned, IsEmpty());
  EXPECT_TRUE(sched.wants_tick());
  now += 1'000'000;
  WorkerId second = dispatch().spawned.at(0);
  sched.on_worker_started(second, now);
  EXPECT_EQ(sched.failed_starts(), 0u);
}

TEST_F(SchedTest, ActorsDoNotTakeThePlacesOfWorkersThatRunTasks) {
  Scheduler small({cpus(2), 2, 6, 1});
  ClassId actor = small.class_of({{}, "", true}), cls = small.class_of({cpus(1), "", false});
  for (uint64_t i = 1; i <= 4; ++i) small.enqueue(task(i), actor);
  for (int round = 0; round < 4; ++round) {
    SchedEffects effects;
    small.dispatch(now, effects);
    for (WorkerId worker : effects.spawned) small.on_worker_started(worker, now);
    small.dispatch(now, effects);
    for (auto [worker, id] : effects.assigned) {
      small.on_done(worker, id, 10, now);
      small.on_actor_alive(worker, {});
    }
  }
  EXPECT_EQ(small.queued(), 0u);
  small.enqueue(task(9), cls);
  SchedEffects effects;
  small.dispatch(now, effects);
  EXPECT_EQ(effects.spawned.size(), 1u);
  small.check();
}

/// A recursion in which every task makes two more and waits for them.
size_t processes_for_a_tree(Scheduler& sched, ClassId cls, uint32_t depth_max) {
  struct Node {
    uint64_t parent;
    uint32_t depth;
    int missing;
    WorkerId worker;
    uint64_t lease;
  };
  std::map<uint64_t, Node> tree{{1, {0, 0, 0, {}, 0}}};
  uint64_t last = 1, now = 1'000'000;
  size_t most = 0;
  sched.enqueue(task(1), cls, 0);
  auto end = [&](uint64_t id, auto& self) -> void {
    Node node = tree.at(id);
    tree.erase(id);
    sched.on_done(node.worker, task(id), 100'000, now);
    if (node.parent == 0 || --tree.at(node.parent).missing > 0) return;
    sched.on_unblocked(tree.at(node.parent).worker, tree.at(node.parent).lease);
    self(node.parent, self);
  };
  while (!tree.empty()) {
    SchedEffects out;
    now += 100'000;
    sched.dispatch(now, out);
    sched.check();
    if (sched.is_exhausted() || (out.assigned.empty() && out.spawned.empty())) return SIZE_MAX;
    for (WorkerId worker : out.spawned) sched.on_worker_started(worker, now);
    for (auto [worker, given] : out.assigned) {
      Node& node = tree.at(given.value);
      node.worker = worker;
      if (node.depth == depth_max) {
        end(given.value, end);
        continue;
      }
      node.missing = 2;
      for (int i = 0; i < 2; ++i) {
        tree[++last] = {given.value, node.depth + 1, 0, {}, 0};
        sched.enqueue(task(last), cls, node.depth + 1);
      }
      SchedEffects ignored;
      node.lease = sched.on_blocked(worker, ignored);
      for (WorkerId one : ignored.take_back) sched.on_taken_back(one, {});
    }
    most = std::max(most, sched.workers().size());
  }
  return most;
}

TEST_F(SchedTest, ARecursionNeedsAsManyWorkersAsItIsDeepNotAsItIsWide) {
  EXPECT_LT(processes_for_a_tree(sched, plain, 12), 100u) << "of a tree of 8191 tasks";
}

TEST_F(SchedTest, MoreWorkersThanTheCapAreStartedOnlyWhileAllOfThemWait) {
  size_t most = processes_for_a_tree(sched, plain, 3);
  EXPECT_GT(most, 4u);
  EXPECT_LE(most, 16u);
}

TEST_F(SchedTest, ARecursionThatIsTooDeepIsKnownNotToEnd) {
  Scheduler small({cpus(2), 4, 10, 1});
  ClassId cls = small.class_of({cpus(1), "", false});
  EXPECT_EQ(processes_for_a_tree(small, cls, 30), SIZE_MAX);
  EXPECT_TRUE(small.is_exhausted());
}

TEST_F(SchedTest, WhatCanNeverRunWaitsWithoutStartingWorkers) {
  ClassId impossible = sched.class_of({cpus(3), "", false});
  enqueue(1, 1, impossible);
  EXPECT_FALSE(sched.is_feasible(cpus(3)));
  EXPECT_THAT(dispatch().spawned, IsEmpty());
  EXPECT_TRUE(sched.remove(task(1), impossible));
  EXPECT_FALSE(sched.remove(task(1), impossible));
}

TEST_F(SchedTest, ALeaseWhoseClassHasNothingLeftIsClosedEvenIfAnotherTookTheLastTask) {
  auto workers = start(2);
  enqueue(1, 2, plain);
  dispatch();
  enqueue(3, 3, plain);
  done(workers[0], 1);
  done(workers[1], 2);
  dispatch();
  int leased = 0;
  for (const auto& [id, worker] : sched.workers()) leased += worker.phase == Phase::kLeased;
  EXPECT_EQ(leased, 1);
  EXPECT_EQ(free_cpus(), kResourceUnit);
}

}  // namespace
}  // namespace mobula
