// Tasks, streams and cancellation over a real node with real workers.
#include <cstring>

#include "engine_world.h"

namespace mobula {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class EngineTasks : public EngineWorld {};

TEST_F(EngineTasks, ATaskGivesItsResult) { EXPECT_EQ(text(task("echo", "hello")), "hello"); }

TEST_F(EngineTasks, ATaskSeesTheValuesOfItsArguments) {
  ObjectId first = task("echo", "one");
  EXPECT_EQ(text(task("echo", "two", {first, first})), "two|one|one");
  engine().release(first);
}

TEST_F(EngineTasks, ATaskMayWaitForItsOwnTasks) { EXPECT_EQ(text(task("nested", "x")), "nested x"); }

TEST_F(EngineTasks, ARecursionWiderThanAllWorkersEnds) { EXPECT_EQ(text(task("fibonacci", "10")), "55"); }

TEST_F(EngineTasks, ManyTasksGiveManyResults) {
  std::vector<ObjectId> ids;
  for (int i = 0; i < 3000; ++i) ids.push_back(task("echo", std::to_string(i)));
  auto got = engine().get(ids, Deadline::after(kSoon));
  ASSERT_TRUE(got.is_ok());
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(std::string(got->at(i).data.begin(), got->at(i).data.end()), std::to_string(i));
  }
  for (ObjectId id : ids) engine().release(id);
}

TEST_F(EngineTasks, ManySubmittedAtOnceAreOneMessage) {
  std::vector<TaskSpec> specs;
  for (int i = 0; i < 500; ++i) specs.push_back(spec("echo", std::to_string(i)));
  auto ids = engine().submit(std::move(specs));
  ASSERT_TRUE(ids.is_ok());
  EXPECT_EQ(text(object(ids->at(499))), "499");
  for (size_t i = 0; i < 499; ++i) engine().release(object(ids->at(i)));
}

TEST_F(EngineTasks, MessagesLongerThanTheirRingsGoThrough) {
  std::string args(3 << 20, 'x');
  EXPECT_TRUE(text(task("echo", args)) == args);
  EXPECT_TRUE(text(task("nested", args)) == "nested " + args);
  TaskSpec made = spec("many", "90000");
  made.returns = 20;
  ObjectId id = submit(std::move(made));
  for (uint32_t i = 0; i < 20; ++i) EXPECT_EQ(text(object(id.task, i)).size(), 90'000u);
}

TEST_F(EngineTasks, AnErrorTravelsToAllThatDependOnIt) {
  ObjectId bad = task("raise", "no"), after = task("echo", "", {bad});
  EXPECT_EQ(text(after), "error 1: ValueError: no");
  EXPECT_EQ(text(bad), "error 1: ValueError: no");
}

TEST_F(EngineTasks, ExceptionsAreTriedAgainWhereTheTaskSaysSo) {
  TaskSpec made = spec("attempt", "2");
  made.max_retries = 3;
  made.retry_exceptions = true;
  EXPECT_EQ(text(submit(std::move(made))), "attempt 2");
}

TEST_F(EngineTasks, AGetThatComesTooEarlyIsLateAndMayBeRepeated) {
  ObjectId id = task("sleep", "100");
  EXPECT_EQ(get(id, std::chrono::milliseconds(1)).status().code(), Code::kTimeout);
  EXPECT_EQ(text(id), "slept 100");
}

TEST_F(EngineTasks, AWaitNamesWhatIsThere) {
  std::vector<ObjectId> ids = {task("sleep", "2000"), task("echo", "x")};
  auto ready = engine().wait(ids, 1, Deadline::after(kSoon), true);
  ASSERT_TRUE(ready.is_ok());
  EXPECT_EQ(*ready, std::vector<size_t>{1});
  EXPECT_EQ(engine().wait(ids, 2, Deadline::after(std::chrono::milliseconds(5)), true)->size(), 1u);
  EXPECT_EQ(engine().wait(ids, 2, Deadline::after(std::chrono::milliseconds(0)), true)->size(), 1u);
  ASSERT_TRUE(engine().cancel(ids[0], {}).is_ok());
  EXPECT_THAT(text(ids[0]), StartsWith("error 5"));
  engine().release(ids[1]);
}

TEST_F(EngineTasks, ReferencesOfAnotherSessionAreRefused) {
  ObjectId foreign{TaskId{5}, 0, engine().session() + 1};
  EXPECT_EQ(get(foreign).status().code(), Code::kLost);
}

TEST_F(EngineTasks, AValueKeepsWhatItContainsAlsoWhenItsMakerIsGone) {
  ObjectId box = task("box", "x");
  auto payload = get(box);
  ASSERT_TRUE(payload.is_ok());
  ObjectId inner;
  ASSERT_EQ(payload->data.size(), sizeof inner);
  std::memcpy(&inner, payload->data.data(), sizeof inner);
  EXPECT_EQ(text(task("unbox")), "done");
  engine().add_reference(inner);
  engine().release(box);
  EXPECT_EQ(text(inner), "inside x");
  EXPECT_EQ(text(task("unbox")), "done");
}

TEST_F(EngineTasks, WorkersThatLeaveAreReplaced) {
  std::vector<ObjectId> ids;
  for (int i = 0; i < 30; ++i) ids.push_back(task("leave"));
  for (ObjectId id : ids) EXPECT_EQ(text(id), "left");
}

class EngineOneCpu : public EngineWorld {
 protected:
  EmbeddedOptions options() override {
    EmbeddedOptions made = world_options();
    made.resources["CPU"] = kResourceUnit;
    return made;
  }
};

TEST_F(EngineOneCpu, ATaskMayWaitForOneThatWasSentToItsOwnWorkerHoweverLongItsArguments) {
  for (size_t bytes : {100, 60'000, 70'000, 300'000, 1'000'000}) {
    std::vector<ObjectId> quick;
    for (int i = 0; i < 50; ++i) quick.push_back(task("echo", "x"));  // so that several are sent ahead
    for (ObjectId id : quick) EXPECT_EQ(text(id), "x");
    std::string args(bytes, 'y');
    EXPECT_TRUE(text(task("nested", args)) == "nested " + args) << "with " << bytes << " bytes";
  }
}

// ---- cancellation -----------------------------------------------------------------------------------

TEST_F(EngineTasks, RunningAndWaitingTasksAreCancelled) {
  ObjectId running = task("sleep", "20000"), waiting = task("echo", "", {running});
  EXPECT_EQ(get(running, std::chrono::milliseconds(30)).status().code(), Code::kTimeout);
  ASSERT_TRUE(engine().cancel(waiting, {}).is_ok());
  EXPECT_THAT(text(waiting), StartsWith("error 5"));
  ASSERT_TRUE(engine().cancel(running, {}).is_ok());
  EXPECT_THAT(text(running), StartsWith("error 5"));
}

TEST_F(EngineTasks, ByForceTheWorkerIsKilled) {
  TaskSpec made = spec("sleep", "20000");
  made.max_retries = 5;
  ObjectId id = submit(std::move(made));
  EXPECT_EQ(get(id, std::chrono::milliseconds(50)).status().code(), Code::kTimeout);
  ASSERT_TRUE(engine().cancel(id, {.force = true}).is_ok());
  EXPECT_THAT(text(id), StartsWith("error 5"));
}

// ---- streams ----------------------------------------------------------------------------------------

class EngineStreams : public EngineWorld {
 protected:
  TaskId stream(std::string args, int32_t ahead) {
    TaskSpec made = spec("stream", std::move(args));
    made.returns = kStreaming;
    made.backpressure_items = ahead;
    return submit(std::move(made)).task;
  }
};

TEST_F(EngineStreams, ItemsComeInOrderWithAnyBackPressure) {
  for (int32_t ahead : {-1, 1, 3}) {
    TaskId id = stream("100", ahead);
    for (uint32_t i = 0; i < 100; ++i)
      EXPECT_EQ(text(*engine().stream_item(id, i)), "item " + std::to_string(i));
    EXPECT_THAT(text(*engine().stream_item(id, 100)), StartsWith("error 11"));
    engine().drop_stream(id);
  }
}

TEST_F(EngineStreams, AReaderMayAskForItemsBeforeTheyAreMade) {
  TaskId id = stream("50", 1);
  std::vector<ObjectId> items;
  for (uint32_t i = 0; i < 50; ++i) items.push_back(*engine().stream_item(id, i));
  for (uint32_t i = 0; i < 50; ++i) EXPECT_EQ(text(items[i]), "item " + std::to_string(i));
  engine().drop_stream(id);
}

TEST_F(EngineStreams, AStreamThatIsDroppedStopsItsProducer) {
  TaskId endless = stream("1000000000", 1);
  EXPECT_EQ(text(*engine().stream_item(endless, 0)), "item 0");
  engine().drop_stream(endless);
  TaskId unbounded = stream("1000000000", -1);
  EXPECT_EQ(text(*engine().stream_item(unbounded, 0)), "item 0");
  engine().drop_stream(unbounded);
  EXPECT_TRUE(eventually([&] { return engine().stats().tasks == 0; }));
}

TEST_F(EngineStreams, MoreThanTheArenaHoldsFlowsThroughIt) {
  TaskId id = stream("64 4000000", 2);
  for (uint32_t i = 0; i < 64; ++i) {
    ObjectId item = *engine().stream_item(id, i);
    auto payload = get(item);
    ASSERT_TRUE(payload.is_ok());
    ASSERT_EQ(payload->data.size(), 4'000'000u);
    EXPECT_EQ(payload->data.front(), i);
    EXPECT_EQ(payload->data.back(), i);
    engine().release(item);
  }
  engine().drop_stream(id);
  EXPECT_EQ(engine().stats().spilled_bytes, 0u);
}

}  // namespace
}  // namespace mobula
