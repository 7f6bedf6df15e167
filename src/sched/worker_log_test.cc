// What is remembered of processes.
#include "sched/worker_log.h"

#include <gtest/gtest.h>

namespace mobula {
namespace {

TEST(WorkerLogTest, AWorkerThatEndedKeepsItsCause) {
  WorkerLog log;
  log.at(WorkerId{2}).pid = 77;
  log.on_ended(WorkerId{2}, 50, false, "signal 9");
  log.on_ended(WorkerId{2}, 60, true, "said twice");
  const LoggedWorker* worker = log.find(WorkerId{2});
  ASSERT_NE(worker, nullptr);
  EXPECT_EQ(worker->pid, 77);
  EXPECT_EQ(worker->ended_us, 50u);
  EXPECT_FALSE(worker->intended);
  EXPECT_EQ(worker->cause, "signal 9");
}

TEST(WorkerLogTest, TheOldestThatEndedAreForgottenAndTheLivingStay) {
  WorkerLog log;
  log.at(WorkerId{2}).pid = 1;
  for (uint64_t i = 3; i < 3 + WorkerLog::kEndedMax + 5; ++i) log.on_ended(WorkerId{i}, i, true, "");
  EXPECT_EQ(log.forgotten(), 5u);
  EXPECT_EQ(log.all().size(), WorkerLog::kEndedMax + 1);
  EXPECT_NE(log.find(WorkerId{2}), nullptr);
  EXPECT_EQ(log.find(WorkerId{3}), nullptr);
  EXPECT_NE(log.find(WorkerId{8}), nullptr);
}

}  // namespace
}  // namespace mobula
