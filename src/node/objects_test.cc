// Objects of a node: questions and their answers, views, streams, spilling, and who may bring what into
// memory.
#include "node/core_fixture.h"

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using ObjectsTest = CoreFixture;

TEST_F(ObjectsTest, AGetPinsWhatLiesInTheArenaUntilTheViewIsGone) {
  ObjectId id = put_large(2);
  ReplyMessage reply = reply_to(ask({id, id}));
  ASSERT_EQ(reply.values.size(), 2u);
  EXPECT_EQ(core.store().find(id)->pins, 2u);
  release({id});
  EXPECT_EQ(core.store().arena().used_bytes(), 2 * kPage) << "the views keep it";
  send(UnpinMessage{{id}});
  send(UnpinMessage{{id}});
  send(UnpinMessage{{id}});
  expect_empty();
}

TEST_F(ObjectsTest, AGetEndsWithTheFirstError) {
  ObjectId never = submit(spec()), bad = submit(spec());
  RequestId request = ask({never, bad});
  raise(where(bad));
  ReplyMessage reply = reply_to(request);
  EXPECT_THAT(reply.positions, ElementsAre(1u));
  EXPECT_EQ(reply.values.at(0).kind, PayloadKind::kTaskError);
  EXPECT_EQ(core.requests(), 0u);
}

TEST_F(ObjectsTest, AGetOfWhatIsNotThereSaysSo) {
  ReplyMessage reply = reply_to(ask({object(next())}));
  EXPECT_EQ(reply.values.at(0).kind, PayloadKind::kObjectLost);
}

TEST_F(ObjectsTest, WhatIsReleasedWhileItIsWaitedForIsAnErrorNotAnEnd) {
  ObjectId first = submit(spec()), second = submit(spec());
  RequestId request = ask({first, second});
  finish(where(first));
  release({first});
  finish(where(second));
  EXPECT_EQ(reply_to(request).values.at(0).kind, PayloadKind::kObjectLost);
  release({second});
  expect_empty();
}

TEST_F(ObjectsTest, AForgottenQuestionIsAnsweredOnceThatItIsLate) {
  ObjectId result = submit(spec());
  RequestId request = ask({result});
  send(ForgetMessage{request});
  EXPECT_EQ(reply_to(request).code, Code::kTimeout);
  finish(where(result));
  EXPECT_FALSE(is_answered(request));
  RequestId late = ask({result});
  send(ForgetMessage{late});
  EXPECT_EQ(reply_to(late).code, Code::kOk) << "its answer was on its way";
  release({result});
  expect_empty();
}

TEST_F(ObjectsTest, AForgottenAllocationLeavesNoRoomBehind) {
  Located all = large(16);
  send(AllocateMessage{++requests, kPage});
  RequestId waiting = requests;
  send(ForgetMessage{waiting});
  EXPECT_EQ(reply_to(waiting).code, Code::kTimeout);
  send(AbandonMessage{all.offset});
  expect_empty();
}

TEST_F(ObjectsTest, AWaitEndsWhenEnoughAreThereAndNamesThoseOnly) {
  ObjectId one = submit(spec()), two = submit(spec()), three = put();
  send(WaitMessage{++requests, 2, true, false, {one, two, three}});
  RequestId request = requests;
  EXPECT_FALSE(is_answered(request));
  finish(where(two));
  EXPECT_THAT(reply_to(request).positions, ElementsAre(1u, 2u));
  send(WaitMessage{++requests, 3, true, true, {one, two, three}});
  EXPECT_THAT(reply_to(requests).positions, ElementsAre(1u, 2u));
  send(WaitMessage{++requests, 1, true, false, {one, two, three}});
  EXPECT_THAT(reply_to(requests).positions, ElementsAre(1u));
  finish(where(one));
  release({one, two, three});
  expect_empty();
}

TEST_F(ObjectsTest, ReadinessIsOnlyAWord) {
  ObjectId id = put_large(1), later = submit(spec());
  RequestId request = ask({id, later}, kDriver, Interest::kReady);
  EXPECT_FALSE(is_answered(request));
  finish(where(later));
  EXPECT_THAT(reply_to(request).values, IsEmpty());
  EXPECT_EQ(core.store().pinned_objects(), 0u);
}

TEST_F(ObjectsTest, AnswersToQueriesCanBeRead) {
  for (const char* what : {"cluster", "stats", "actors", "named_actors", "tasks", "objects", "workers"}) {
    send(QueryMessage{++requests, what});
    EXPECT_EQ(reply_to(requests).code, Code::kOk) << what;
  }
  send(QueryMessage{++requests, "nonsense"});
  EXPECT_EQ(reply_to(requests).code, Code::kInvalid);
}

TEST_F(ObjectsTest, ALostWorkersUnwrittenValuesViewsAndReferencesAreFree) {
  ObjectId kept = put_large(1), task = submit(spec({kept}));
  WorkerId worker = where(task);
  ClientId client{worker.value};
  begin(worker);
  large(4, client);
  ask({kept}, client);
  send(client, HoldMessage{kept});
  EXPECT_EQ(core.store().find(kept)->pins, 2u);
  lose(worker);
  EXPECT_EQ(core.store().arena().used_bytes(), kPage);
  EXPECT_EQ(core.store().pinned_objects(), 0u);
  release({kept, task});
  expect_empty();
}

// ---- spilling ---------------------------------------------------------------------------------------

TEST_F(ObjectsTest, SpilledValuesComeBackForAGetAndForATask) {
  ObjectId old = put_large(10);
  send(AllocateMessage{++requests, 10 * kPage});
  RequestId request = requests;
  ASSERT_EQ(writes.size(), 1u);
  spilled(old);
  uint64_t offset = reply_to(request).number;
  RequestId question = ask({old});
  EXPECT_FALSE(is_answered(question));
  ObjectId user = submit(spec({old}));
  EXPECT_FALSE(is_given(user));
  send(AbandonMessage{offset});
  ASSERT_EQ(reads.size(), 1u) << "once for both";
  restored(old);
  EXPECT_TRUE(is_answered(question));
  finish(where(user));
  send(UnpinMessage{{old}});
  release({old, user});
  EXPECT_EQ(forgotten.size(), 1u);
  expect_empty();
}

TEST_F(ObjectsTest, WhatAGetNeedsDoesNotGoToDiskForWhatItNeedsToo) {
  ObjectId first = put_large(8), second = put_large(6), extra = put_large(2);
  send(AllocateMessage{++requests, 8 * kPage});
  spilled(first);
  send(AbandonMessage{reply_to(requests).number});
  writes.clear();
  ObjectId more = put_large(8);
  RequestId request = ask({first, second});
  ASSERT_EQ(writes.size(), 2u);
  EXPECT_EQ(writes[0].id, extra) << "the second is pinned before room is made for the first";
  EXPECT_EQ(writes[1].id, more);
  spilled(extra);
  spilled(more);
  restored(first);
  EXPECT_TRUE(is_answered(request));
}

TEST_F(ObjectsTest, AValueThatCannotBeReadBackFailsWhoeverWaitsForIt) {
  ObjectId old = put_large(10);
  send(AllocateMessage{++requests, 10 * kPage});
  spilled(old);
  send(AbandonMessage{reply_to(requests).number});
  RequestId question = ask({old});
  ObjectId user = submit(spec({old}));
  restored(old, "input/output error");
  EXPECT_EQ(reply_to(question).values.at(0).kind, PayloadKind::kObjectLost);
  EXPECT_EQ(kind_of(user), PayloadKind::kObjectLost);
  release({old, user});
  expect_empty();
}

TEST_F(ObjectsTest, ADiskThatIsFullFailsTheAllocationByName) {
  ObjectId old = put_large(10);
  send(AllocateMessage{++requests, 10 * kPage});
  spilled(old, "cannot spill to /tmp/x: No space left on device");
  ReplyMessage reply = reply_to(requests);
  EXPECT_EQ(reply.code, Code::kFull);
  EXPECT_THAT(reply.text, HasSubstr("/tmp/x"));
  EXPECT_EQ(kind_of(old), PayloadKind::kValue);
}

TEST_F(ObjectsTest, AnAllocationThatNothingMovesForFailsAfterTenSecondsWithTheHolders) {
  ObjectId held = put_large(12);
  ask({held});
  send(AllocateMessage{++requests, 8 * kPage});
  RequestId request = requests;
  for (int i = 0; i < 11; ++i) {
    EXPECT_GT(core.tick_after_us(), 0u);
    tick(900'000);
    EXPECT_FALSE(is_answered(request));
  }
  tick(2'000'000);
  ReplyMessage reply = reply_to(request);
  EXPECT_EQ(reply.code, Code::kFull);
  EXPECT_THAT(reply.text, HasSubstr(to_hex(held)));
}

class SixSlotsTest : public CoreFixture {
 protected:
  SixSlotsTest() : CoreFixture(2, 6) {}
  void move_disk() {
    while (!reads.empty() || !writes.empty()) {
      for (auto& write : std::exchange(writes, {})) spilled(write.id);
      for (auto& read : std::exchange(reads, {})) ++read_back[read.id], restored(read.id);
    }
  }
  std::map<ObjectId, int> read_back;
};

TEST_F(SixSlotsTest, TheSecondOfTwoTasksThatNeedEightObjectsWaitsUntilTheFirstLetsGo) {
  std::vector<ObjectId> objects;
  for (int i = 0; i < 8; ++i) {
    send(AllocateMessage{++requests, kPage});
    move_disk();
    Located value;
    value.in_arena = true;
    value.offset = reply_to(requests).number;
    value.size = kPage;
    objects.push_back(object(next()));
    send(PutMessage{objects.back(), value});
  }
  ObjectId first = submit(spec({objects.begin(), objects.begin() + 4}));
  ObjectId second = submit(spec({objects.begin() + 4, objects.end()}));
  move_disk();
  EXPECT_TRUE(is_given(first));
  EXPECT_FALSE(is_given(second));
  finish(where(first));
  move_disk();
  EXPECT_TRUE(is_given(second));
  finish(where(second));
  for (const auto& [id, times] : read_back) EXPECT_EQ(times, 1) << to_hex(id) << " was read back again";
  release(objects);
  release({first, second});
  expect_empty();
}

TEST_F(ObjectsTest, ATaskThatWaitsGivesItsShareOfTheRoomToWhatItWaitsFor) {
  ObjectId outer_value = put_large(8), inner_value = put_large(6);
  ObjectId outer = submit(spec({outer_value}));
  WorkerId worker = where(outer);
  ClientId client{worker.value};
  RunMessage run = begin(worker);
  send(client, HoldMessage{inner_value});
  ObjectId inner = submit(spec({inner_value}, client), client);
  EXPECT_FALSE(is_given(inner)) << "together they take more than their share";
  RequestId request = ask({inner}, client);
  ASSERT_TRUE(is_given(inner));
  finish(where(inner));
  EXPECT_TRUE(is_answered(request, client));
  done(worker, run, {located_bytes(PayloadKind::kValue, "")});
  EXPECT_EQ(kind_of(outer), PayloadKind::kValue);
}

TEST_F(SixSlotsTest, WhatIsQueuedDoesNotTakeItsArgumentsBackWhileTheyMakeRoomForWhatRuns) {
  ObjectId argument = put_large(3);
  TaskSpec all_cpus = spec();
  all_cpus.resources["CPU"] = 2 * kResourceUnit;
  ObjectId running = submit(std::move(all_cpus));
  WorkerId worker = where(running);
  RunMessage run = begin(worker);
  ObjectId queued = submit(spec({argument}));
  EXPECT_EQ(core.sched().queued(), 1u);
  send(ClientId{worker.value}, AllocateMessage{++requests, 5 * kPage});
  RequestId request = requests;
  ASSERT_EQ(writes.size(), 1u);
  send(QueryMessage{++requests, "stats"});  // any fact that comes before the disk has done its work
  writes.clear();
  spilled(argument);
  ASSERT_TRUE(is_answered(request, ClientId{worker.value}));
  send(ClientId{worker.value}, AbandonMessage{reply_to(request, ClientId{worker.value}).number});
  done(worker, run, {located_bytes(PayloadKind::kValue, "")});
  move_disk();
  finish(where(queued));
  release({argument, running, queued});
  expect_empty();
}

// ---- streams ----------------------------------------------------------------------------------------

class StreamsTest : public CoreFixture {
 protected:
  TaskId stream(int32_t ahead = -1, int32_t retries = 0) {
    TaskSpec made = spec();
    made.returns = kStreaming;
    made.backpressure_items = ahead;
    made.max_retries = retries;
    return submit(std::move(made)).task;
  }
  ObjectId take(TaskId task, uint32_t index) {
    send(TakeItemMessage{object(task, index)});
    return object(task, index);
  }
  void item(WorkerId worker, TaskId task, uint32_t index, uint32_t attempt = 0) {
    send(ClientId{worker.value},
         ItemMessage{task, attempt, index,
                     located_bytes(PayloadKind::kValue, "item " + std::to_string(index))});
  }
};

TEST_F(StreamsTest, ItemsComeInOrderAndThenTheEnd) {
  TaskId task = stream();
  ObjectId early = take(task, 0);
  RequestId request = ask({early});
  WorkerId worker = where(object(task));
  RunMessage run = begin(worker);
  item(worker, task, 0);
  EXPECT_EQ(*reply_to(request).values.at(0).bytes, "item 0");
  item(worker, task, 1);
  item(worker, task, 2);
  EXPECT_EQ(*get(take(task, 1)).bytes, "item 1");
  ObjectId late = take(task, 4), end = take(task, kStreamEndIndex);
  EXPECT_FALSE(is_answered(ask({end})));
  done(worker, run, {});
  EXPECT_EQ(kind_of(late), PayloadKind::kStreamEnd);
  EXPECT_EQ(kind_of(end), PayloadKind::kValue);
  EXPECT_EQ(kind_of(take(task, 5)), PayloadKind::kStreamEnd);
  send(DropStreamMessage{task});
  release({early, object(task, 1), late, end, object(task, 5)});
  expect_empty();
}

TEST_F(StreamsTest, AnErrorIsTheItemAfterTheLast) {
  TaskId task = stream();
  WorkerId worker = where(object(task));
  RunMessage run = begin(worker);
  item(worker, task, 0);
  done(worker, run, {located_bytes(PayloadKind::kTaskError, "ValueError")});
  EXPECT_EQ(kind_of(take(task, 0)), PayloadKind::kValue);
  EXPECT_EQ(kind_of(take(task, 1)), PayloadKind::kTaskError);
  EXPECT_EQ(kind_of(take(task, 2)), PayloadKind::kStreamEnd);
  send(DropStreamMessage{task});
  release({object(task, 0), object(task, 1), object(task, 2)});
  expect_empty();
}

TEST_F(StreamsTest, AnErrorInTheArenaLeavesNothingWhenNobodyReads) {
  TaskId task = stream();
  WorkerId worker = where(object(task));
  RunMessage run = begin(worker);
  Located error = large(3, ClientId{worker.value});
  error.kind = PayloadKind::kTaskError;
  send(DropStreamMessage{task});
  done(worker, run, {error});
  expect_empty();
}

TEST_F(StreamsTest, TheProducerLearnsHowFarItsReaderIs) {
  TaskId task = stream(1);
  WorkerId worker = where(object(task));
  begin(worker);
  take(task, 0);
  item(worker, task, 0);
  others.clear();
  take(task, 1);
  auto progress = told<ConsumedMessage>(worker);
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress[0].index, 1u);
}

TEST_F(StreamsTest, AProducerThatWaitsForItsReaderLendsItsCpuAfterAWhile) {
  auto cpus = [&] { return core.sched().ledger().available().at("CPU"); };
  int64_t all = cpus();
  TaskId task = stream(2);
  WorkerId worker = where(object(task));
  RunMessage run = begin(worker);
  item(worker, task, 0);
  tick(30'000);
  EXPECT_EQ(cpus(), all - kResourceUnit) << "it may be two ahead";
  item(worker, task, 1);
  tick(10'000);
  EXPECT_EQ(cpus(), all - kResourceUnit) << "its reader may be about to come";
  tick(20'000);
  EXPECT_EQ(cpus(), all);
  take(task, 0);
  EXPECT_EQ(cpus(), all) << "the reader still works on the first";
  take(task, 1);
  EXPECT_EQ(cpus(), all - kResourceUnit);
  item(worker, task, 2);
  tick(30'000);
  EXPECT_EQ(cpus(), all);
  send(DropStreamMessage{task});
  EXPECT_EQ(cpus(), all - kResourceUnit) << "it runs to its end now";
  done(worker, run, {});
  release({object(task, 0), object(task, 1)});
  EXPECT_EQ(cpus(), all);
  expect_empty();
}

TEST_F(StreamsTest, AReaderThatIsAheadIsToldOfAgainWhenTheProducerGetsThere) {
  TaskId task = stream(1);
  for (uint32_t i = 0; i < 4; ++i) take(task, i);  // before it has begun: its worker does not listen yet
  WorkerId worker = where(object(task));
  begin(worker);
  others.clear();
  item(worker, task, 0);
  auto progress = told<ConsumedMessage>(worker);
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress[0].index, 3u);
}

TEST_F(StreamsTest, ARepeatedProducerGivesNothingTwiceAndIsNotHeldUpByItsReader) {
  TaskId task = stream(1, 1);
  WorkerId first = where(object(task));
  begin(first);
  item(first, task, 0);
  item(first, task, 1);
  EXPECT_EQ(kind_of(take(task, 0)), PayloadKind::kValue);
  EXPECT_EQ(kind_of(take(task, 1)), PayloadKind::kValue);
  ObjectId next_item = take(task, 2);
  lose(first);
  WorkerId second = where(object(task));
  RunMessage run = begin(second);
  EXPECT_EQ(run.attempt, 1u);
  item(second, task, 0, 1);
  auto progress = told<ConsumedMessage>(second);
  ASSERT_EQ(progress.size(), 1u);
  EXPECT_EQ(progress[0].index, 2u);
  item(second, task, 1, 1);
  item(second, task, 2, 1);
  EXPECT_EQ(kind_of(next_item), PayloadKind::kValue);
  done(second, run, {});
  send(DropStreamMessage{task});
  release({object(task, 0), object(task, 1), next_item});
  expect_empty();
}

TEST_F(StreamsTest, AReaderThatGoesAwayStopsTheProducerAndFreesWhatItDidNotTake) {
  TaskId task = stream(1, -1);
  WorkerId worker = where(object(task));
  RunMessage run = begin(worker);
  item(worker, task, 0);
  item(worker, task, 1);
  release({take(task, 0)});
  send(DropStreamMessage{task});
  ASSERT_FALSE(told<ConsumedMessage>(worker).empty());
  EXPECT_TRUE(told<ConsumedMessage>(worker).back().dropped);
  EXPECT_EQ(core.store().size(), 0u);
  others.clear();
  item(worker, task, 2);
  EXPECT_TRUE(told<ConsumedMessage>(worker).back().dropped) << "in case that it did not hear it";
  lose(worker);
  expect_empty();
}

TEST_F(StreamsTest, AStreamThatIsDroppedBeforeItRunsNeverRuns) {
  ObjectId one = submit(spec()), two = submit(spec());
  TaskId task = stream();
  send(DropStreamMessage{task});
  EXPECT_EQ(core.tasks().streams(), 0u);
  finish(where(one));
  finish(where(two));
  EXPECT_FALSE(is_given(object(task)));
  release({one, two});
  expect_empty();
}

TEST_F(StreamsTest, ItemsThatAreTakenTwiceOrPassedOverAreCountedOnce) {
  TaskId task = stream();
  WorkerId worker = where(object(task));
  RunMessage run = begin(worker);
  for (uint32_t i = 0; i < 4; ++i) item(worker, task, i);
  EXPECT_EQ(kind_of(take(task, 2)), PayloadKind::kValue);
  EXPECT_EQ(core.store().size(), 2u) << "two were passed over";
  EXPECT_EQ(kind_of(take(task, 2)), PayloadKind::kValue);
  EXPECT_EQ(kind_of(take(task, 0)), PayloadKind::kObjectLost);
  release({object(task, 2), object(task, 2), object(task, 0)});
  EXPECT_EQ(kind_of(take(task, 2)), PayloadKind::kObjectLost);
  release({object(task, 2)});
  done(worker, run, {});
  send(DropStreamMessage{task});
  expect_empty();
}

TEST_F(StreamsTest, AReadersStreamsGoWithItsProcess) {
  ObjectId outer = submit(spec());
  WorkerId reader = where(outer);
  ClientId client{reader.value};
  begin(reader);
  TaskSpec made = spec({}, client);
  made.returns = kStreaming;
  TaskId task = submit(std::move(made), client).task;
  WorkerId producer = where(object(task));
  RunMessage run = begin(producer);
  item(producer, task, 0);
  lose(reader);
  EXPECT_TRUE(told<ConsumedMessage>(producer).back().dropped);
  done(producer, run, {});
  release({outer});
  expect_empty();
}

}  // namespace
}  // namespace mobula
