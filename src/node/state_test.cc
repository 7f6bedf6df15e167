// What the tables of the state API tell of tasks, actors, workers and objects.
#include "node/core_fixture.h"

namespace mobula {
namespace {

using testing::HasSubstr;

class StateTables : public CoreFixture {
 protected:
  std::string table(const std::string& what) {
    send(QueryMessage{++requests, what});
    ReplyMessage reply = reply_to(requests);
    EXPECT_EQ(reply.code, Code::kOk) << reply.text;
    return reply.text;
  }
};

TEST_F(StateTables, AFinishedTaskTellsWhenItWentOn) {
  ObjectId result = submit(spec());
  WorkerId worker = where(result);
  uint64_t sent = now;
  RunMessage run = begin(worker);
  now += 1000;
  DoneMessage done{run.spec.id, 0, {located_bytes(PayloadKind::kValue, "v")}, false, false, "", 200'000, 0};
  done.begun_ns = sent * 1000 + 300'000;
  send(ClientId{worker.value}, std::move(done));
  std::string rows = table("past_tasks");
  EXPECT_THAT(rows, HasSubstr("\"state\":\"FINISHED\""));
  EXPECT_THAT(rows, HasSubstr("\"begun_ns\":" + std::to_string(sent * 1000 + 300'000)));
  EXPECT_THAT(rows, HasSubstr("\"ended_ns\":" + std::to_string(sent * 1000 + 500'000)));
  EXPECT_THAT(rows, HasSubstr("\"worker_id\":\"" + to_hex(worker.value) + "\""));
  EXPECT_THAT(rows, HasSubstr("\"resources\":{\"CPU\":1.000000}"));
  EXPECT_EQ(table("tasks"), "[]");
}

TEST_F(StateTables, AWorkerCannotLieAboutItsTimes) {
  ObjectId result = submit(spec());
  WorkerId worker = where(result);
  uint64_t sent = now;
  RunMessage run = begin(worker);
  DoneMessage done{run.spec.id, 0, {located_bytes(PayloadKind::kValue, "v")}, false, false, "", 0, 0};
  done.run_ns = done.begun_ns = ~uint64_t{0};
  send(ClientId{worker.value}, std::move(done));
  std::string rows = table("past_tasks");
  EXPECT_THAT(rows, HasSubstr("\"begun_ns\":" + std::to_string((sent + 1) * 1000)));
  EXPECT_THAT(rows, HasSubstr("\"ended_ns\":" + std::to_string((sent + 1) * 1000)));
}

TEST_F(StateTables, WhatIsSentAheadDoesNotRunYet) {
  for (int i = 0; i < 4; ++i) {  // short ones: of the next, several go to a worker at once
    WorkerId worker = where(submit(spec()));
    RunMessage run = begin(worker);
    send(ClientId{worker.value},
         DoneMessage{run.spec.id, 0, {located_bytes(PayloadKind::kValue, "v")}, false, false, "", 1000, 0});
  }
  std::vector<TaskSpec> specs;
  for (int i = 0; i < 8; ++i) specs.push_back(spec());
  send(SubmitMessage{specs});
  std::string rows = table("tasks");
  EXPECT_THAT(rows, HasSubstr("\"state\":\"RUNNING\""));
  EXPECT_THAT(rows, HasSubstr("\"state\":\"SUBMITTED_TO_WORKER\""));
}

TEST_F(StateTables, ACrashedAttemptIsARowOfItsOwn) {
  TaskSpec made = spec();
  made.max_retries = 1;
  ObjectId result = submit(std::move(made));
  WorkerId worker = where(result);
  begin(worker);
  lose(worker, "exit code 7");
  finish(where(result));
  std::string rows = table("past_tasks");
  EXPECT_THAT(rows, HasSubstr("\"error_type\":\"WORKER_DIED\""));
  EXPECT_THAT(rows, HasSubstr("exit code 7"));
  EXPECT_THAT(rows, HasSubstr("\"attempt\":1"));
  EXPECT_THAT(table("workers"), HasSubstr("\"cause\":\"exit code 7\""));
  EXPECT_THAT(table("totals"), HasSubstr("\"past_tasks\":2,"));
}

TEST_F(StateTables, AnActorThatIsKilledWasMeantToEnd) {
  auto [actor, worker] = living_actor();
  core.on_process(ClientId{worker.value}, 4242, now);
  EXPECT_THAT(table("actors"), HasSubstr("\"state\":\"ALIVE\""));
  send(KillMessage{actor, true});
  lose(worker);
  EXPECT_THAT(table("actors"), HasSubstr("\"state\":\"DEAD\""));
  EXPECT_THAT(table("actors"), HasSubstr("\"worker_id\":\"" + to_hex(worker.value) + "\""));
  std::string rows = table("workers");
  EXPECT_THAT(rows, HasSubstr("\"pid\":4242"));
  EXPECT_THAT(rows, HasSubstr("\"intended\":1"));
}

TEST_F(StateTables, AnObjectSaysWhereItWasMade) {
  ObjectId made = put();
  EXPECT_THAT(table("objects"), HasSubstr("\"call_site\":\"\""));
  send(MadeAtMessage{made.task, "program.py:main:\"3\""});
  EXPECT_THAT(table("objects"), HasSubstr("\"call_site\":\"program.py:main:\\\"3\\\"\""));
  EXPECT_THAT(table("objects"), HasSubstr("\"reference_type\":\"LOCAL_REFERENCE\""));
}

TEST_F(StateTables, TheOutputOfAWorkerIsAskedOfWhoKeepsIt) {
  NodeEffects out;
  core.on_message(kDriver, QueryMessage{++requests, "output of 00000000000000ff"}, ++now, out);
  ASSERT_EQ(out.output_asked.size(), 1u);
  EXPECT_EQ(out.output_asked[0].worker, WorkerId{255});
  EXPECT_EQ(out.output_asked[0].request, requests);
  EXPECT_TRUE(out.replies.empty());
}

TEST_F(StateTables, AnUnknownTableIsRefusedWithTheNamesOfThoseThatAre) {
  send(QueryMessage{++requests, "tusks"});
  ReplyMessage reply = reply_to(requests);
  EXPECT_EQ(reply.code, Code::kInvalid);
  EXPECT_THAT(reply.text, HasSubstr("past_tasks"));
}

}  // namespace
}  // namespace mobula
