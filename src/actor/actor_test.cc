// Actors without processes: names, order of calls, restarts, ends.
#include "actor/actor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using State = ActorRecord::State;
constexpr ClientId kOne{1}, kTwo{2};

class ActorTest : public testing::Test {
 protected:
  void TearDown() override { table.check(); }
  static ActorSpec spec(std::string name, int32_t restarts = 0) {
    ActorSpec made;
    made.name = std::move(name);
    made.space = "here";
    made.max_restarts = restarts;
    return made;
  }
  ActorRecord& alive(uint64_t id, ActorSpec made) {
    EXPECT_TRUE(table.add(ActorId{id}, std::move(made)).is_ok());
    table.find(ActorId{id})->state = State::kAlive;
    return *table.find(ActorId{id});
  }
  std::vector<TaskId> send(uint64_t id) {
    auto calls = table.take_sendable(ActorId{id}, [&](TaskId call) { return ready.contains(call); });
    table.check();
    return calls;
  }
  ActorTable table;
  std::set<TaskId> ready;
};

TEST_F(ActorTest, ANameIsTakenOnceInItsSpaceAndFreeAgainAfterDeath) {
  alive(1, spec("bob"));
  EXPECT_EQ(table.add(ActorId{2}, spec("bob")).code(), Code::kExists);
  EXPECT_EQ(table.find_named("bob", "here"), ActorId{1});
  EXPECT_TRUE(table.find_named("bob", "elsewhere").is_nil());
  table.bury(ActorId{1}, "it is over");
  EXPECT_TRUE(table.find_named("bob", "here").is_nil());
  EXPECT_TRUE(table.add(ActorId{3}, spec("bob")).is_ok());
  EXPECT_EQ(table.find(ActorId{1})->death_cause, "it is over");
  EXPECT_EQ(table.living(), 1u);
}

TEST_F(ActorTest, CallsOfOneCallerKeepTheirOrderEvenIfALaterOneIsReadyFirst) {
  alive(1, spec(""));
  for (uint64_t call : {1, 2, 3}) table.queue_call(ActorId{1}, kOne, TaskId{call});
  table.queue_call(ActorId{1}, kTwo, TaskId{11});
  ready = {TaskId{2}, TaskId{3}, TaskId{11}};
  EXPECT_THAT(send(1), ElementsAre(TaskId{11}));
  ready.insert(TaskId{1});
  EXPECT_THAT(send(1), ElementsAre(TaskId{1}, TaskId{2}, TaskId{3}));
  EXPECT_EQ(table.find(ActorId{1})->pending(), 4u);
}

TEST_F(ActorTest, AnUnorderedActorTakesWhatIsReady) {
  ActorSpec unordered = spec("");
  unordered.ordered = false;
  alive(1, unordered);
  for (uint64_t call : {1, 2, 3}) table.queue_call(ActorId{1}, kOne, TaskId{call});
  ready = {TaskId{2}};
  EXPECT_THAT(send(1), ElementsAre(TaskId{2}));
}

TEST_F(ActorTest, NothingIsSentBeforeItLives) {
  EXPECT_TRUE(table.add(ActorId{1}, spec("")).is_ok());
  table.queue_call(ActorId{1}, kOne, TaskId{1});
  ready = {TaskId{1}};
  EXPECT_THAT(send(1), IsEmpty());
}

TEST_F(ActorTest, ARestartGivesTheSentCallsBackInOrderAndUsesOneUp) {
  alive(1, spec("", 1));
  for (uint64_t call : {3, 1, 2}) table.queue_call(ActorId{1}, kOne, TaskId{call});
  ready = {TaskId{1}, TaskId{2}, TaskId{3}};
  send(1);
  std::vector<TaskId> sent;
  ASSERT_TRUE(table.take_restart(ActorId{1}, &sent));
  EXPECT_THAT(sent, ElementsAre(TaskId{1}, TaskId{2}, TaskId{3}));
  table.queue_call(ActorId{1}, kOne, TaskId{4});
  table.requeue(ActorId{1}, kOne, sent);
  table.find(ActorId{1})->state = State::kAlive;
  ready.insert(TaskId{4});
  EXPECT_THAT(send(1), ElementsAre(TaskId{1}, TaskId{2}, TaskId{3}, TaskId{4}));
  EXPECT_FALSE(table.take_restart(ActorId{1}, &sent));
}

TEST_F(ActorTest, AnActorThatNobodyCanReachIsNotRestarted) {
  alive(1, spec("", -1)).unreferenced = true;
  std::vector<TaskId> sent;
  EXPECT_FALSE(table.take_restart(ActorId{1}, &sent));
}

TEST_F(ActorTest, BuryingReturnsSentAndQueuedCalls) {
  alive(1, spec(""));
  table.queue_call(ActorId{1}, kOne, TaskId{1});
  ready = {TaskId{1}};
  send(1);
  table.queue_call(ActorId{1}, kOne, TaskId{2});
  table.queue_call(ActorId{1}, kTwo, TaskId{3});
  EXPECT_THAT(table.bury(ActorId{1}, "x"), ElementsAre(TaskId{1}, TaskId{2}, TaskId{3}));
  EXPECT_EQ(table.find(ActorId{1})->pending(), 0u);
}

TEST_F(ActorTest, ARemovedCallIsForgottenWhereverItWas) {
  alive(1, spec(""));
  for (uint64_t call : {1, 2}) table.queue_call(ActorId{1}, kOne, TaskId{call});
  ready = {TaskId{1}};
  send(1);
  table.remove_call(ActorId{1}, kOne, TaskId{1});
  table.remove_call(ActorId{1}, kOne, TaskId{2});
  table.remove_call(ActorId{1}, kTwo, TaskId{2});
  table.remove_call(ActorId{9}, kTwo, TaskId{2});
  EXPECT_EQ(table.find(ActorId{1})->pending(), 0u);
}

TEST_F(ActorTest, OnlySoManyOfTheDeadAreRemembered) {
  for (uint64_t id = 1; id <= 10'100; ++id) {
    alive(id, spec(""));
    table.bury(ActorId{id}, "over");
  }
  EXPECT_EQ(table.find(ActorId{1}), nullptr);
  EXPECT_NE(table.find(ActorId{10'100}), nullptr);
  EXPECT_EQ(table.all().size(), 10'000u);
  EXPECT_EQ(table.living(), 0u);
}

}  // namespace
}  // namespace mobula
