// Records of tasks and streams.
#include "task/task.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mobula {
namespace {

using testing::UnorderedElementsAre;

TaskSpec spec(uint64_t id, int32_t retries = 0) {
  TaskSpec made;
  made.id = TaskId{id};
  made.max_retries = retries;
  return made;
}

TEST(TaskTableTest, ATaskHasAsManyRetriesAsItsSpecSays) {
  TaskTable table;
  TaskRecord& task = table.add(spec(1, 2), ClientId{1}, {});
  task.state = TaskRecord::State::kQueued;
  EXPECT_TRUE(table.take_retry(task));
  EXPECT_TRUE(table.take_retry(task));
  EXPECT_FALSE(table.take_retry(task));
  EXPECT_EQ(task.attempt, 2u);
  table.check();
}

TEST(TaskTableTest, WithoutEndMeansWithoutEndUnlessItIsCancelled) {
  TaskTable table;
  TaskRecord& task = table.add(spec(1, -1), ClientId{1}, {});
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(table.take_retry(task));
  task.cancelled = true;
  EXPECT_FALSE(table.take_retry(task));
}

TEST(TaskTableTest, AnErasedTaskIsUnknownAndItsIdStartsAfresh) {
  TaskTable table;
  table.add(spec(1, 3), ClientId{1}, {}).attempt = 2;
  table.erase(TaskId{1});
  EXPECT_EQ(table.find(TaskId{1}), nullptr);
  EXPECT_EQ(table.add(spec(1, 3), ClientId{1}, {}).attempt, 0u);
  EXPECT_EQ(table.size(), 1u);
}

TEST(TaskTableTest, ChildrenAreFoundByTheirParent) {
  TaskTable table;
  for (uint64_t i = 1; i <= 4; ++i) table.add(spec(i), ClientId{1}, i % 2 == 0 ? TaskId{1} : TaskId{9});
  EXPECT_THAT(table.children(TaskId{1}), UnorderedElementsAre(TaskId{2}, TaskId{4}));
  EXPECT_TRUE(table.children(TaskId{3}).empty());
}

TEST(TaskTableTest, StreamsAreFoundByTheirReader) {
  TaskTable table;
  table.add_stream(TaskId{1}, ClientId{5});
  table.add_stream(TaskId{2}, ClientId{6});
  EXPECT_THAT(table.streams_of(ClientId{5}), UnorderedElementsAre(TaskId{1}));
  table.erase_stream(TaskId{1});
  EXPECT_EQ(table.find_stream(TaskId{1}), nullptr);
  EXPECT_EQ(table.streams(), 1u);
}

}  // namespace
}  // namespace mobula
