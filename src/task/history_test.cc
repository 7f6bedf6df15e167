// What is remembered of tasks that have ended, and what is not.
#include "task/history.h"

#include <gtest/gtest.h>

namespace mobula {
namespace {

TaskRecord record(uint64_t id, std::string name = "task") {
  TaskRecord made;
  made.spec.id = TaskId{id};
  made.spec.name = std::move(name);
  made.times.submitted_us = id;
  return made;
}

TEST(TaskHistoryTest, TheNewestComesFirst) {
  TaskHistory history;
  history.add(record(1));
  history.add(record(2));
  EXPECT_EQ(history.newest(0).task, TaskId{2});
  EXPECT_EQ(history.newest(1).task, TaskId{1});
  EXPECT_EQ(history.forgotten(), 0u);
}

TEST(TaskHistoryTest, WhenItIsFullTheOldestIsForgottenAndCounted) {
  TaskHistory history;
  constexpr uint64_t count = TaskHistory::kAttemptsMax + 7;
  for (uint64_t i = 1; i <= count; ++i) history.add(record(i));
  EXPECT_EQ(history.size(), TaskHistory::kAttemptsMax);
  EXPECT_EQ(history.total(), count);
  EXPECT_EQ(history.forgotten(), 7u);
  EXPECT_EQ(history.newest(0).task, TaskId{count});
  EXPECT_EQ(history.newest(TaskHistory::kAttemptsMax - 1).task, TaskId{8});
}

TEST(TaskHistoryTest, AFullHistoryTakesNothingOfTheRecordsThatWereThere) {
  TaskHistory history;
  history.add_text(history.add(record(1, "a name that is longer than the next")), "it failed");
  for (uint64_t i = 2; i <= TaskHistory::kAttemptsMax + 1; ++i) history.add(record(i, "short"));
  const PastAttempt& newest = history.newest(0);
  EXPECT_EQ(newest.name, "short");
  EXPECT_EQ(history.text_of(newest), "");
}

TEST(TaskHistoryTest, AnAttemptKeepsWhatItsTaskWas) {
  TaskRecord task = record(5, "Counter.add");
  task.spec.actor = ActorId{3};
  task.spec.placement_group = GroupId{4};
  task.spec.language = Language::kCpp;
  task.parent = TaskId{2};
  task.attempt = 6;
  task.cls = ClassId{7};
  task.times = {.submitted_us = 10, .queued_us = 20, .sent_us = 30, .given_to = WorkerId{8}};
  TaskHistory history;
  const PastAttempt& past = history.add(task);
  EXPECT_EQ(past.name, "Counter.add");
  EXPECT_EQ(past.kind, PastAttempt::Kind::kCall);
  EXPECT_EQ(past.actor, ActorId{3});
  EXPECT_EQ(past.group, GroupId{4});
  EXPECT_EQ(past.language, Language::kCpp);
  EXPECT_EQ(past.parent, TaskId{2});
  EXPECT_EQ(past.attempt, 6u);
  EXPECT_EQ(past.cls, ClassId{7});
  EXPECT_EQ(past.worker, WorkerId{8});
  EXPECT_EQ(past.times.sent_us, 30u);
  task.creates_actor = true;
  EXPECT_EQ(history.add(task).kind, PastAttempt::Kind::kActorCreation);
}

TEST(TaskHistoryTest, TextsOfErrorsAreKeptForTheNewestFailures) {
  TaskHistory history;
  for (uint64_t i = 1; i <= TaskHistory::kTextsMax + 1; ++i)
    history.add_text(history.add(record(i)), "error " + std::to_string(i));
  EXPECT_EQ(history.text_of(history.newest(0)), "error " + std::to_string(TaskHistory::kTextsMax + 1));
  EXPECT_EQ(history.text_of(history.newest(TaskHistory::kTextsMax - 1)), "error 2");
  EXPECT_EQ(history.text_of(history.newest(TaskHistory::kTextsMax)), "");
}

TEST(TaskHistoryTest, OfALongTextTheEndIsKeptInWholeCharacters) {
  TaskHistory history;
  std::string text = "x";
  while (text.size() < TaskHistory::kTextBytesMax) text += "\u00e9";  // two bytes: the cut falls inside one
  PastAttempt& past = history.add(record(1));
  history.add_text(past, text + "end.");
  std::string_view kept = history.text_of(past);
  EXPECT_LE(kept.size(), TaskHistory::kTextBytesMax + 3);
  EXPECT_TRUE(kept.starts_with("...\u00e9"));
  EXPECT_TRUE(kept.ends_with("end."));
}

}  // namespace
}  // namespace mobula
