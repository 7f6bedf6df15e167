// The arena and the disk, with real bytes.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "engine_world.h"

namespace mobula {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
constexpr size_t kMiB = 1 << 20;

class EngineMemory : public EngineWorld {
 protected:
  EmbeddedOptions options() override {
    std::string pattern = (fs::temp_directory_path() / "mobula-test-XXXXXX").string();
    folder = mkdtemp(pattern.data());
    EmbeddedOptions made = world_options();
    made.arena_bytes = 8 * kMiB;
    made.spill_folder = folder;
    return made;
  }
  void TearDown() override {
    EngineWorld::TearDown();
    EXPECT_TRUE(fs::is_empty(folder)) << "spilled values are left on disk";
    fs::remove_all(folder);
  }
  void expect_filled(ObjectId id, size_t bytes, uint8_t fill) {
    auto payload = get(id);
    ASSERT_TRUE(payload.is_ok()) << payload.status().to_string();
    ASSERT_EQ(payload->data.size(), bytes);
    EXPECT_TRUE(
        std::all_of(payload->data.begin(), payload->data.end(), [&](uint8_t byte) { return byte == fill; }));
  }
  std::string folder;
};

TEST_F(EngineMemory, AViewLiesInTheArenaAndOutlivesItsReference) {
  ObjectId id = put_large(3 * kMiB, 9);
  auto first = get(id), second = get(id);
  ASSERT_TRUE(first.is_ok() && second.is_ok());
  EXPECT_EQ(first->data.data(), second->data.data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first->data.data()) % 64, 0u);
  engine().release(id);
  EXPECT_EQ(first->data[kMiB], 9);
}

TEST_F(EngineMemory, ABufferThatIsDroppedUnusedIsFreeAgain) {
  for (int i = 0; i < 20; ++i) {
    auto buffer = engine().allocate(6 * kMiB, Deadline::after(kSoon));
    ASSERT_TRUE(buffer.is_ok());
  }
}

TEST_F(EngineMemory, WhatCanNeverFitIsRefusedAtOnce) {
  for (size_t bytes : {9 * kMiB, SIZE_MAX, SIZE_MAX - 100}) {
    auto buffer = engine().allocate(bytes, Deadline::never());
    ASSERT_FALSE(buffer.is_ok());
    EXPECT_EQ(buffer.status().code(), Code::kFull);
    EXPECT_THAT(buffer.status().message(), HasSubstr("object_store_memory"));
  }
}

TEST_F(EngineMemory, AnAllocationThatIsNotServedInTimeLeavesNothing) {
  auto most = engine().allocate(7 * kMiB, Deadline::after(kSoon));
  ASSERT_TRUE(most.is_ok());
  for (int i = 0; i < 5; ++i) {
    auto late = engine().allocate(2 * kMiB, Deadline::after(std::chrono::milliseconds(2)));
    EXPECT_EQ(late.status().code(), Code::kTimeout);
  }
}

TEST_F(EngineMemory, MoreThanFitsGoesToDiskAndComesBackUnharmed) {
  std::vector<ObjectId> ids;
  for (uint8_t i = 0; i < 24; ++i) ids.push_back(put_large(kMiB + 100 * i, i));
  EXPECT_GT(engine().stats().spilled_bytes, 12 * kMiB);
  for (uint8_t i = 0; i < 24; ++i) expect_filled(ids[i], kMiB + 100 * i, i);
  for (uint8_t i = 24; i-- > 0;) expect_filled(ids[i], kMiB + 100 * i, i);
  EXPECT_GT(engine().stats().restored_bytes, 12 * kMiB);
  for (ObjectId id : ids) engine().release(id);
}

TEST_F(EngineMemory, TasksGetSpilledArgumentsAndGiveLargeResults) {
  std::vector<ObjectId> values, sums;
  for (int i = 0; i < 12; ++i) values.push_back(task("large", "1"));
  for (int i = 0; i + 1 < 12; ++i) sums.push_back(task("sum", "", {values[i], values[i + 1]}));
  for (ObjectId id : sums) EXPECT_EQ(text(id), std::to_string(2 * 7 * kMiB));
  for (ObjectId id : values) engine().release(id);
}

TEST_F(EngineMemory, AResultLargerThanTheArenaIsAnErrorOfItsTaskAlone) {
  EXPECT_THAT(text(task("large", "9")), HasSubstr("larger than the whole object store"));
  EXPECT_EQ(text(task("echo", "on")), "on");
}

TEST_F(EngineMemory, ASpillFolderThatCannotBeWrittenFailsThePutAndNamesIt) {
  fs::remove_all(folder);
  std::string blocked = folder;
  FILE* file = fopen(blocked.c_str(), "w");
  ASSERT_NE(file, nullptr);
  fclose(file);
  ObjectId first = put_large(6 * kMiB, 1);
  auto buffer = engine().allocate(6 * kMiB, Deadline::after(kSoon));
  ASSERT_FALSE(buffer.is_ok());
  EXPECT_THAT(buffer.status().message(), HasSubstr(blocked));
  expect_filled(first, 6 * kMiB, 1);
  engine().release(first);
  fs::remove(blocked);
  fs::create_directory(folder);
}

TEST_F(EngineMemory, WorkersThatDieGiveTheirRoomBack) {
  ObjectId kept = put_large(2 * kMiB, 5);
  for (int i = 0; i < 6; ++i) {
    ObjectId user = task("sleep", "20000", {kept});
    ObjectId filler = task("large", "2");
    EXPECT_EQ(get(user, std::chrono::milliseconds(20)).status().code(), Code::kTimeout);
    ASSERT_TRUE(engine().cancel(user, {.force = true}).is_ok());
    EXPECT_THAT(text(user), testing::StartsWith("error 5"));
    engine().release(filler);
  }
  expect_filled(kept, 2 * kMiB, 5);
  engine().release(kept);
}

TEST_F(EngineMemory, GetsWhoseDeadlinesPassInWorkersLeaveNoViews) {
  ActorId busy = actor("", 0, 4);
  std::vector<ObjectId> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(call(busy, "hurry", "40"));
  for (ObjectId id : calls) EXPECT_EQ(text(id), "40 seen");
  EXPECT_TRUE(eventually([&] { return engine().stats().objects_pinned == 0; }));
  engine().release_actor(busy);
}

}  // namespace
}  // namespace mobula
