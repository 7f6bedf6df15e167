// Actors of a node: birth, calls, restarts, names, and the end when nobody can call them any more.
#include "node/core_fixture.h"

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ActorsTest : public CoreFixture {
 protected:
  Code create_code(ActorSpec made) {
    send(CreateActorMessage{++requests, std::move(made)});
    return reply_to(requests).code;
  }
};

TEST_F(ActorsTest, CallsWaitForTheConstructorAndThenComeInOrder) {
  ActorId actor = create(actor_spec());
  WorkerId worker = where(object(TaskId{actor.value}));
  ObjectId slow = submit(spec());
  ObjectId first = call(actor, {slow}), second = call(actor);
  EXPECT_TRUE(rings[worker].front().creates_actor);
  finish(worker);
  EXPECT_THAT(rings[worker], IsEmpty()) << "the first call waits for its argument, the second for the first";
  finish(where(slow));
  ASSERT_EQ(rings[worker].size(), 2u);
  EXPECT_EQ(finish(worker).spec.id, first.task);
  EXPECT_EQ(finish(worker).spec.id, second.task);
  release({slow, first, second});
  release_actor(actor);
  EXPECT_EQ(told<ExitMessage>(worker).size(), 1u);
  lose(worker, "exit code 0");
  expect_empty();
}

TEST_F(ActorsTest, ALivingActorGivesItsPlacementCpuBack) {
  living_actor();
  EXPECT_EQ(core.sched().ledger().available(), core.sched().ledger().total());
}

TEST_F(ActorsTest, AConstructorThatRaisesFailsAllCallsWithItsReason) {
  ActorId actor = create(actor_spec());
  WorkerId worker = where(object(TaskId{actor.value}));
  ObjectId early = call(actor);
  RunMessage run = begin(worker);
  send(ClientId{worker.value}, DoneMessage{run.spec.id,
                                           0,
                                           {located_bytes(PayloadKind::kTaskError, "x")},
                                           false,
                                           false,
                                           "ValueError: bad",
                                           10});
  EXPECT_THAT(*get(early).bytes, HasSubstr("ValueError: bad"));
  EXPECT_EQ(kind_of(call(actor)), PayloadKind::kActorDied);
  EXPECT_EQ(told<ExitMessage>(worker).size(), 1u);
}

TEST_F(ActorsTest, AConstructorWhoseArgumentFailsNeverRuns) {
  ObjectId bad = submit(spec());
  ActorSpec made = actor_spec();
  made.creation.refs = {bad};
  ActorId actor = create(std::move(made));
  ObjectId early = call(actor);
  raise(where(bad));
  EXPECT_EQ(kind_of(early), PayloadKind::kActorDied);
  release_actor(actor);
  release({bad, early});
  expect_empty();
}

TEST_F(ActorsTest, ACrashWithoutRestartsFailsWhatWasSentAndWhatWaits) {
  auto [actor, worker] = living_actor();
  ObjectId running = call(actor), queued = call(actor, {submit(spec())});
  begin(worker);
  lose(worker, "signal 11 (SIGSEGV)");
  EXPECT_EQ(kind_of(running), PayloadKind::kActorDied);
  EXPECT_EQ(kind_of(queued), PayloadKind::kActorDied);
  EXPECT_THAT(*get(call(actor)).bytes, HasSubstr("SIGSEGV"));
}

TEST_F(ActorsTest, ARestartRepeatsTheConstructorAndTheCallsThatMayBeRepeatedInTheirOrder) {
  ActorSpec made = actor_spec(1);
  ObjectId argument = put("argument");
  made.creation.refs = {argument};
  ActorId actor = create(std::move(made));
  WorkerId first = where(object(TaskId{actor.value}));
  finish(first);
  release({argument});
  ObjectId repeated = call(actor, {}, 1), lost = call(actor, {}, 0), also = call(actor, {}, -1);
  begin(first);
  lose(first);
  EXPECT_EQ(kind_of(lost), PayloadKind::kActorUnavailable);
  ObjectId later = call(actor);
  WorkerId second = where(object(TaskId{actor.value}));
  RunMessage constructor = begin(second);
  EXPECT_TRUE(constructor.actor_restarted);
  EXPECT_EQ(constructor.attempt, 1u);
  EXPECT_EQ(*constructor.values.at(0).bytes, "argument");
  done(second, constructor, {located_bytes(PayloadKind::kValue, "")});
  ASSERT_EQ(rings[second].size(), 3u);
  EXPECT_EQ(finish(second).spec.id, repeated.task);
  EXPECT_EQ(finish(second).spec.id, also.task);
  EXPECT_EQ(finish(second).spec.id, later.task);
  begin(second = where(call(actor)));
  lose(second);
  EXPECT_EQ(kind_of(call(actor)), PayloadKind::kActorDied) << "it had one restart";
  EXPECT_EQ(core.store().find(argument), nullptr) << "the constructor's arguments are not needed any more";
}

TEST_F(ActorsTest, ACallThatIsTriedAgainComesBeforeThoseThatWait) {
  auto [actor, worker] = living_actor();
  ObjectId first = call(actor, {}, 1);
  ObjectId second = call(actor, {first});
  raise(worker, true);
  EXPECT_EQ(finish(worker).spec.id, first.task) << "the second needs its value";
  EXPECT_EQ(finish(worker).spec.id, second.task);
}

TEST_F(ActorsTest, AWorkerThatDiesBeforeItBeginsTheConstructorCostsNoRestart) {
  ActorId actor = create(actor_spec(0));
  ObjectId life = object(TaskId{actor.value}), early = call(actor);
  lose(where(life));
  ASSERT_TRUE(is_given(life));
  WorkerId worker = where(life);
  RunMessage run = begin(worker);
  EXPECT_FALSE(run.actor_restarted);
  done(worker, run, {located_bytes(PayloadKind::kValue, "")});
  EXPECT_EQ(core.actors().all().at(actor).restarts, 0u);
  finish(worker);
  EXPECT_EQ(kind_of(early), PayloadKind::kValue);
}

TEST_F(ActorsTest, KillEndsTheProcessAndKillWithRestartGivesAnotherOne) {
  auto [actor, worker] = living_actor(-1);
  send(KillMessage{actor, false});
  ASSERT_EQ(kills.size(), 1u);
  EXPECT_EQ(kills[0].worker, worker);
  WorkerId second = where(object(TaskId{actor.value}));
  lose(worker);
  finish(second);
  ObjectId result = call(actor);
  finish(second);
  EXPECT_EQ(kind_of(result), PayloadKind::kValue);
  send(KillMessage{actor, true});
  EXPECT_EQ(kind_of(call(actor)), PayloadKind::kActorDied);
  send(KillMessage{actor, true});
  EXPECT_EQ(kills.size(), 2u);
}

TEST_F(ActorsTest, KillWithRestartOfAnActorThatWaitsForItsPlaceStartsItOnce) {
  ObjectId one = submit(spec()), two = submit(spec());
  ActorId actor = create(actor_spec(-1));
  ObjectId life = object(TaskId{actor.value});
  EXPECT_FALSE(is_given(life));
  send(KillMessage{actor, false});
  EXPECT_EQ(core.sched().queued(), 1u);
  finish(where(one));
  finish(where(two));
  finish(where(life));
  EXPECT_FALSE(is_given(life));
  ObjectId result = call(actor);
  finish(where(result));
  EXPECT_EQ(kind_of(result), PayloadKind::kValue);
}

TEST_F(ActorsTest, AnActorThatEndsItselfIsDeadForAllOthers) {
  auto [actor, worker] = living_actor(-1);
  ObjectId last = call(actor), after = call(actor);
  RunMessage run = begin(worker);
  send(ClientId{worker.value},
       DoneMessage{
           run.spec.id, 0, {located_bytes(PayloadKind::kActorDied, "bye")}, false, true, "exit_actor()", 10});
  EXPECT_EQ(kind_of(last), PayloadKind::kActorDied);
  EXPECT_THAT(*get(after).bytes, HasSubstr("exit_actor()"));
  lose(worker, "exit code 0");
  EXPECT_EQ(core.stats().actors, 0u);
}

TEST_F(ActorsTest, PendingCallsHaveALimit) {
  ActorSpec made = actor_spec();
  made.max_pending_calls = 1;
  ActorId actor = create(std::move(made));
  ObjectId first = call(actor), second = call(actor);
  EXPECT_EQ(kind_of(second), PayloadKind::kPendingCallsLimit);
  WorkerId worker = where(object(TaskId{actor.value}));
  finish(worker);
  finish(worker);
  EXPECT_EQ(kind_of(first), PayloadKind::kValue);
}

// ---- names and handles ------------------------------------------------------------------------------

TEST_F(ActorsTest, ANameFindsItsActorUntilItDies) {
  auto [actor, worker] = living_actor(0, "bob");
  EXPECT_EQ(create_code(actor_spec(0, "bob")), Code::kExists);
  send(FindActorMessage{++requests, "bob", "here"});
  EXPECT_EQ(reply_to(requests).number, actor.value);
  send(FindActorMessage{++requests, "bob", "there"});
  EXPECT_EQ(reply_to(requests).code, Code::kNotFound);
  send(KillMessage{actor, true});
  send(FindActorMessage{++requests, "bob", "here"});
  EXPECT_EQ(reply_to(requests).code, Code::kNotFound);
  EXPECT_EQ(create_code(actor_spec(0, "bob")), Code::kOk);
}

TEST_F(ActorsTest, GetIfExistsGivesTheLivingOneAndOneMoreHandle) {
  auto [actor, worker] = living_actor(0, "bob");
  ActorSpec same = actor_spec(0, "bob");
  same.get_if_exists = true;
  EXPECT_EQ(create(std::move(same)), actor);
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 1u);
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 0u);
  EXPECT_EQ(told<ExitMessage>(worker).size(), 1u);
}

TEST_F(ActorsTest, AnActorWithoutHandlesEndsAfterItsLastCall) {
  auto [actor, worker] = living_actor();
  ObjectId result = call(actor);
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 1u);
  finish(worker);
  EXPECT_EQ(core.stats().actors, 0u);
  EXPECT_EQ(kind_of(result), PayloadKind::kValue);
  lose(worker);
  release({result});
  expect_empty();
}

TEST_F(ActorsTest, AHandleInsideAValueKeepsTheActorAlive) {
  auto [actor, worker] = living_actor();
  ObjectId box = object(next());
  Located value = located_bytes(PayloadKind::kValue, "handle");
  value.contained = {object(TaskId{actor.value})};
  send(PutMessage{box, std::move(value)});
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 1u);
  release({box});
  EXPECT_EQ(core.stats().actors, 0u);
}

TEST_F(ActorsTest, AnActorThatNobodyWantsBeforeItIsPlacedIsNeverMade) {
  ObjectId one = submit(spec()), two = submit(spec());
  ActorId actor = create(actor_spec());
  release_actor(actor);
  EXPECT_EQ(core.sched().queued(), 0u);
  EXPECT_EQ(core.stats().actors, 0u);
  finish(where(one));
  finish(where(two));
  release({one, two});
  expect_empty();
}

TEST_F(ActorsTest, AnActorThatIsFoundByNameWhileItsMakerLetsGoLivesOn) {
  ActorId actor = create(actor_spec(0, "bob"));
  WorkerId worker = where(object(TaskId{actor.value}));
  RunMessage constructor = begin(worker);
  release_actor(actor);
  send(FindActorMessage{++requests, "bob", "here"});
  EXPECT_EQ(reply_to(requests).number, actor.value);
  done(worker, constructor, {located_bytes(PayloadKind::kValue, "")});
  EXPECT_EQ(core.stats().actors, 1u);
  ObjectId result = call(actor);
  finish(worker);
  EXPECT_EQ(kind_of(result), PayloadKind::kValue);
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 0u);
}

TEST_F(ActorsTest, ADetachedActorLivesWithoutHandlesUntilItIsKilled) {
  ActorSpec made = actor_spec(0, "bob");
  made.detached = true;
  ActorId actor = create(std::move(made));
  WorkerId worker = where(object(TaskId{actor.value}));
  finish(worker);
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 1u);
  send(KillMessage{actor, true});
  lose(worker);
  expect_empty();
}

TEST_F(ActorsTest, AWorkersHandlesGoWithIt) {
  auto [actor, worker] = living_actor(0, "bob");
  ObjectId user = submit(spec());
  WorkerId other = where(user);
  begin(other);
  send(ClientId{other.value}, FindActorMessage{++requests, "bob", "here"});
  release_actor(actor);
  EXPECT_EQ(core.stats().actors, 1u);
  lose(other);
  EXPECT_EQ(core.stats().actors, 0u);
}

TEST_F(ActorsTest, AConstructorThatWaitsForATaskLendsItsCpu) {
  core = NodeCore(options(1, 16));
  ActorId actor = create(actor_spec());
  WorkerId worker = where(object(TaskId{actor.value}));
  begin(worker);
  ClientId client{worker.value};
  ObjectId inner = submit(spec({}, client), client);
  EXPECT_FALSE(is_given(inner));
  ask({inner}, client);
  EXPECT_TRUE(is_given(inner));
}

TEST_F(ActorsTest, CallsBehindARetriedOneGiveTheirRoomBackToIt) {
  auto [actor, worker] = living_actor();
  ObjectId large_one = put_large(8), large_two = put_large(6);
  ObjectId gate = submit(spec());
  ObjectId first = call(actor, {large_one}, 1), second = call(actor, {large_two}, 0),
           third = call(actor, {gate});
  ASSERT_EQ(rings[worker].front().spec.id, first.task);
  raise(worker, true);
  ASSERT_EQ(rings[worker].front().spec.id, first.task);
  finish(worker);
  EXPECT_EQ(finish(worker).spec.id, second.task);
  finish(where(gate));
  EXPECT_EQ(finish(worker).spec.id, third.task);
  release({large_one, large_two, gate, first, second, third});
  release_actor(actor);
  lose(worker);
  expect_empty();
}

}  // namespace
}  // namespace mobula
