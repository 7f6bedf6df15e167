// Tasks and actors of a node: what fails with what, who is tried again, and what everybody is told.
#include "node/core_fixture.h"

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

using TasksTest = CoreFixture;

TEST_F(TasksTest, ATaskRunsAndItsResultIsThereForWhoAsksBeforeAndAfter) {
  ObjectId result = submit(spec());
  RequestId early = ask({result});
  EXPECT_FALSE(is_answered(early));
  finish(where(result));
  EXPECT_EQ(*reply_to(early).values.at(0).bytes, "task 0");
  EXPECT_EQ(*get(result).bytes, "task 0");
  release({result});
  expect_empty();
}

TEST_F(TasksTest, ATaskRunsOnceItsArgumentsAreThereAndSeesTheirValues) {
  ObjectId first = submit(spec()), value = put("put");
  ObjectId second = submit(spec({first, value, first}));
  EXPECT_FALSE(is_given(second));
  finish(where(first));
  RunMessage run = begin(where(second));
  ASSERT_EQ(run.values.size(), 3u);
  EXPECT_EQ(*run.values[1].bytes, "put");
  EXPECT_EQ(*run.values[2].bytes, "task 0");
  EXPECT_TRUE(run.spec.refs.empty());
  release({first, value});
  EXPECT_EQ(core.store().size(), 3u) << "arguments live as long as their task";
  done(WorkerId{2}, run, {located_bytes(PayloadKind::kValue, "x")});
  EXPECT_EQ(core.store().size(), 1u);
  release({second});
  expect_empty();
}

TEST_F(TasksTest, AnErrorIsTheResultOfAllThatDependOnIt) {
  ObjectId first = submit(spec()), second = submit(spec({first})), third = submit(spec({second}));
  raise(where(first));
  EXPECT_EQ(kind_of(third), PayloadKind::kTaskError);
  EXPECT_EQ(*get(third).bytes, "ValueError");
  release({first, second, third});
  expect_empty();
}

TEST_F(TasksTest, AResultTooFewIsAnErrorAndOneTooManyIsDropped) {
  TaskSpec two = spec(), none = spec();
  two.returns = 2;
  none.returns = 0;
  ObjectId result = submit(std::move(two));
  WorkerId first = where(result);
  RunMessage run = begin(first);
  done(first, run, {located_bytes(PayloadKind::kValue, "one")});
  EXPECT_EQ(kind_of(result), PayloadKind::kValue);
  EXPECT_EQ(kind_of(object(result.task, 1)), PayloadKind::kSystemError);
  ObjectId nothing = submit(std::move(none));
  WorkerId worker = where(nothing);
  Located extra = large(2, ClientId{worker.value});
  run = begin(worker);
  done(worker, run, {extra});
  release({result, object(result.task, 1)});
  expect_empty();
}

TEST_F(TasksTest, AReferenceThatCameTooLateFailsTheTaskThatNamesIt) {
  ObjectId gone = put();
  release({gone});
  ObjectId result = submit(spec({gone}));
  EXPECT_EQ(kind_of(result), PayloadKind::kObjectLost);
  release({result});
  expect_empty();
}

// ---- retries ----------------------------------------------------------------------------------------

TEST_F(TasksTest, ACrashIsTriedAgainAsOftenAsTheTaskSays) {
  TaskSpec stubborn = spec();
  stubborn.max_retries = 2;
  ObjectId result = submit(std::move(stubborn));
  for (uint32_t attempt = 0; attempt < 3; ++attempt) {
    WorkerId worker = where(result);
    EXPECT_EQ(begin(worker).attempt, attempt);
    EXPECT_EQ(core.stats().tasks, 1u);
    lose(worker);
  }
  Located error = get(result);
  EXPECT_EQ(error.kind, PayloadKind::kWorkerCrashed);
  EXPECT_THAT(*error.bytes, HasSubstr("signal 9"));
  release({result});
  expect_empty();
}

TEST_F(TasksTest, WhatAWorkerHadNotBegunCostsNoRetry) {
  ObjectId result = submit(spec());
  lose(where(result));
  RunMessage run = begin(where(result));
  EXPECT_EQ(run.attempt, 0u);
  done(WorkerId{3}, run, {located_bytes(PayloadKind::kValue, "x")});
  EXPECT_EQ(kind_of(result), PayloadKind::kValue);
  release({result});
  expect_empty();
}

TEST_F(TasksTest, AnExceptionIsTriedAgainOnlyIfTheWorkerSaysSo) {
  TaskSpec first = spec(), second = spec();
  first.max_retries = second.max_retries = 1;
  ObjectId retried = submit(std::move(first));
  raise(where(retried), true);
  EXPECT_TRUE(is_given(retried));
  raise(where(retried), true);
  EXPECT_EQ(kind_of(retried), PayloadKind::kTaskError);
  ObjectId failed = submit(std::move(second));
  raise(where(failed), false);
  EXPECT_EQ(kind_of(failed), PayloadKind::kTaskError);
  release({retried, failed});
  expect_empty();
}

TEST_F(TasksTest, AnAnswerOfAnEarlierAttemptIsIgnored) {
  TaskSpec again = spec();
  again.max_retries = -1;
  ObjectId result = submit(std::move(again));
  WorkerId first = where(result);
  RunMessage run = begin(first);
  lose(first);
  ASSERT_TRUE(is_given(result));
  done(first, run, {located_bytes(PayloadKind::kValue, "a ghost's")});
  EXPECT_FALSE(is_answered(ask({result})));
  finish(where(result));
  EXPECT_EQ(*get(result).bytes, "task 0");
  release({result});
}

TEST_F(TasksTest, AWorkerThatEndsWithItsTaskLeavesTheNextOneUnharmed) {
  ObjectId first = submit(spec());
  WorkerId leaving = where(first);
  RunMessage run = begin(leaving);
  done(leaving, run, {located_bytes(PayloadKind::kValue, "x")}, false, true);
  ActorId actor = create(actor_spec());
  ObjectId life = object(TaskId{actor.value});
  if (where(life) == leaving) lose(leaving, "exit code 0");
  EXPECT_NE(where(life), leaving);
  finish(where(life));
  EXPECT_EQ(core.stats().actors, 1u);
}

TEST_F(TasksTest, WorkersThatNeverStartFailWhatWaitsForThem) {
  starts_workers = false;
  ObjectId result = submit(spec());
  ActorId actor = create(actor_spec());
  for (int i = 0; i < 20 && !spawned.empty(); ++i) {
    auto lost = std::exchange(spawned, {});
    for (WorkerId worker : lost) lose(worker, "exit code 127");
    tick(1'000'000);
  }
  Located error = get(result);
  EXPECT_EQ(error.kind, PayloadKind::kWorkerCrashed);
  EXPECT_THAT(*error.bytes, HasSubstr("exit code 127"));
  EXPECT_EQ(kind_of(call(actor)), PayloadKind::kActorDied);
}

TEST_F(TasksTest, ADefinitionIsSentWithTheFirstTaskThatAWorkerBegins) {
  FunctionId function{1, 2};
  send(DefineMessage{function, Language::kCpp, "definition"});
  auto made = [&] {
    TaskSpec one = spec();
    one.function = function;
    return one;
  };
  ObjectId first = submit(made());
  WorkerId worker = where(first);
  EXPECT_EQ(begin(worker).definition, "definition");
  send(ClientId{worker.value},
       DoneMessage{first.task, 0, {located_bytes(PayloadKind::kValue, "")}, false, false, "", 1000});
  ObjectId second = submit(made());
  ASSERT_EQ(where(second), worker);
  EXPECT_EQ(rings[worker].front().definition, "");
}

TEST_F(TasksTest, ADefinitionThatWasTakenBackIsSentAgain) {
  FunctionId function{1, 2};
  send(DefineMessage{function, Language::kCpp, "definition"});
  ObjectId quick = submit(spec());
  WorkerId worker = where(quick);
  begin(worker);
  send(ClientId{worker.value},
       DoneMessage{quick.task, 0, {located_bytes(PayloadKind::kValue, "")}, false, false, "", 1000});
  ObjectId blocker = submit(spec()), other = submit(spec());
  TaskSpec defined = spec();
  defined.function = function;
  ObjectId behind = submit(std::move(defined));
  WorkerId holder = where(behind);
  EXPECT_EQ(rings[holder].back().definition, "definition");
  RunMessage head = begin(holder);
  ask({behind}, ClientId{holder.value});  // blocks: what is behind it comes back
  EXPECT_EQ(rings[where(behind)].back().definition, "definition");
  (void)blocker, (void)other;
}

// ---- waiting inside tasks ---------------------------------------------------------------------------

TEST_F(TasksTest, ATaskThatWaitsLendsItsCpuToWhatItWaitsFor) {
  ObjectId outer = submit(spec()), beside = submit(spec());
  WorkerId worker = where(outer);
  begin(worker), begin(where(beside));
  ObjectId inner = submit(spec({}, ClientId{worker.value}), ClientId{worker.value});
  EXPECT_FALSE(is_given(inner));
  RequestId request = ask({inner}, ClientId{worker.value});
  ASSERT_TRUE(is_given(inner));
  finish(where(inner));
  EXPECT_TRUE(is_answered(request, ClientId{worker.value}));
}

TEST_F(TasksTest, AWorkerThatIsLostWhileItWaitsLeavesNothingOfItsQuestion) {
  ObjectId outer = submit(spec());
  WorkerId worker = where(outer);
  begin(worker);
  ClientId client{worker.value};
  ObjectId inner = submit(spec({}, client), client);
  ask({inner}, client);
  begin(where(inner));
  lose(worker);
  EXPECT_EQ(core.requests(), 0u);
  EXPECT_EQ(kind_of(outer), PayloadKind::kWorkerCrashed);
  EXPECT_EQ(core.sched().ledger().available().at("CPU"), kResourceUnit) << "the inner task still runs";
  release({outer});
  EXPECT_EQ(core.store().size(), 0u) << "nobody holds the inner result any more";
}

TEST_F(TasksTest, ARecursionBeyondTheLastProcessFailsInsteadOfWaitingForEver) {
  NodeCoreOptions few = options(2, 16);
  few.workers_max = 2;
  few.processes_max = 4;
  core = NodeCore(few);
  ObjectId root = submit(spec()), current = root;
  WorkerId worker;
  for (int depth = 0; depth < 4; ++depth) {
    ASSERT_TRUE(is_given(current));
    worker = where(current);
    begin(worker);
    current = submit(spec({}, ClientId{worker.value}), ClientId{worker.value});
    ask({current}, ClientId{worker.value});
  }
  ReplyMessage reply = reply_to(requests, ClientId{worker.value});
  EXPECT_EQ(reply.values.at(0).kind, PayloadKind::kUnschedulable);
}

// ---- cancelling -------------------------------------------------------------------------------------

TEST_F(TasksTest, ACancelledTaskThatWaitsNeverRunsNorDoWhatDependsOnIt) {
  ObjectId slow = submit(spec()), waiting = submit(spec({slow})), after = submit(spec({waiting}));
  send(CancelMessage{waiting, false, true});
  EXPECT_EQ(kind_of(waiting), PayloadKind::kCancelled);
  EXPECT_EQ(kind_of(after), PayloadKind::kCancelled);
  finish(where(slow));
  EXPECT_EQ(kind_of(slow), PayloadKind::kValue);
  release({slow, waiting, after});
  expect_empty();
}

TEST_F(TasksTest, ARunningTaskIsToldOrKilledByForceAndNotTriedAgain) {
  TaskSpec made = spec();
  made.max_retries = -1;
  ObjectId result = submit(std::move(made));
  WorkerId worker = where(result);
  begin(worker);
  send(CancelMessage{result, false, true});
  EXPECT_EQ(told<CancelTaskMessage>(worker).size(), 1u);
  EXPECT_THAT(kills, IsEmpty());
  send(CancelMessage{result, true, true});
  ASSERT_EQ(kills.size(), 1u);
  lose(worker);
  EXPECT_EQ(kind_of(result), PayloadKind::kCancelled);
  release({result});
  expect_empty();
}

TEST_F(TasksTest, WhatIsCancelledByForceBehindAnotherTaskDoesNotKillThatOne) {
  ObjectId warm = submit(spec());
  WorkerId worker = where(warm);
  begin(worker);
  send(ClientId{worker.value},
       DoneMessage{warm.task, 0, {located_bytes(PayloadKind::kValue, "")}, false, false, "", 1000});
  std::vector<ObjectId> results;
  for (int i = 0; i < 6; ++i) results.push_back(submit(spec()));
  ObjectId victim = results[5];
  WorkerId holder = where(victim);
  ASSERT_GT(rings[holder].size(), 1u);
  begin(holder);
  send(CancelMessage{victim, true, true});
  EXPECT_THAT(kills, IsEmpty());
  EXPECT_EQ(kind_of(victim), PayloadKind::kCancelled);
}

TEST_F(TasksTest, WhatCannotBeTakenBackIsKilledWhenItIsNext) {
  takes_back = false;
  ObjectId warm = submit(spec());
  WorkerId worker = where(warm);
  begin(worker);
  send(ClientId{worker.value},
       DoneMessage{warm.task, 0, {located_bytes(PayloadKind::kValue, "")}, false, false, "", 1000});
  std::vector<ObjectId> results;
  for (int i = 0; i < 6; ++i) results.push_back(submit(spec()));
  ObjectId victim = results[5];
  WorkerId holder = where(victim);
  std::vector<RunMessage> before;
  while (rings[holder].size() > 1) before.push_back(begin(holder));
  send(CancelMessage{victim, true, true});
  EXPECT_THAT(kills, IsEmpty());
  for (const RunMessage& run : before) done(holder, run, {located_bytes(PayloadKind::kValue, "")});
  EXPECT_EQ(kills.size(), 1u);
}

TEST_F(TasksTest, CancellingATaskCancelsItsChildrenUnlessItIsToldNotTo) {
  for (bool recursive : {true, false}) {
    ObjectId outer = submit(spec());
    WorkerId worker = where(outer);
    ClientId client{worker.value};
    begin(worker);
    ObjectId slow = submit(spec({}, client), client);
    ObjectId child = submit(spec({slow}, client), client);
    send(CancelMessage{outer, false, recursive});
    RequestId request = ask({child}, client);
    EXPECT_EQ(is_answered(request, client), recursive);
    lose(worker);
    release({outer});
    finish_all();
  }
}

TEST_F(TasksTest, CancellingNothingCancelsNothing) {
  ObjectId waiting = submit(spec({submit(spec())}));
  send(CancelMessage{{}, true, true});
  send(CancelMessage{object(next()), true, true});
  EXPECT_FALSE(is_answered(ask({waiting})));
}

}  // namespace
}  // namespace mobula
