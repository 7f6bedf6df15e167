// The object table without node, disk and clients: references, pins, who is woken, and who gets room when.
#include "store/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Place = ObjectEntry::Place;
constexpr uint64_t kPage = 4096;
constexpr ClientId kWriter{1}, kOther{2};

class StoreTest : public testing::Test {
 protected:
  explicit StoreTest(uint64_t pages = 8) : store(pages * kPage) {}
  void TearDown() override { store.check(); }

  static ObjectId id(uint64_t number) { return {TaskId{number}, 0, 77}; }
  static Waiter request(uint64_t number) { return {Waiter::Kind::kRequest, number}; }
  StoreEffects take() {
    store.check();
    return std::exchange(out, {});
  }
  /// Room for `pages`, which has to be there at once.
  uint64_t room(uint64_t pages, ClientId client = kWriter) {
    store.allocate({client, ++requests, {}, pages * kPage}, out);
    EXPECT_FALSE(out.grants.empty());
    uint64_t offset = out.grants.empty() ? 0 : out.grants.back().offset;
    out.grants.clear();
    return offset;
  }
  static Located in_arena(uint64_t offset, uint64_t bytes) {
    Located value;
    value.in_arena = true;
    value.offset = offset;
    value.size = bytes;
    return value;
  }
  /// A value in the arena with one hold.
  void put(ObjectId object, uint64_t pages) {
    uint64_t offset = room(pages);
    store.create(object, 1);
    store.seal(object, in_arena(offset, pages * kPage), out);
  }
  void put_small(ObjectId object, std::vector<ObjectId> contained = {}) {
    store.create(object, 1);
    Located value = located_bytes(PayloadKind::kValue, "small");
    value.contained = std::move(contained);
    store.seal(object, std::move(value), out);
  }
  /// Another allocation pushes it out, and it is brought back.
  void spill_and_restore(ObjectId object, int times = 1) {
    for (int i = 0; i < times; ++i) {
      store.allocate({kWriter, ++requests, {}, kPage}, out);
      if (!out.writes.empty()) store.on_spilled(object, DiskPlace{1, 0}, "", out);
      EXPECT_EQ(store.find(object)->place, Place::kDisk);
      store.abandon(take().grants.at(0).offset, out);
      store.restore(object, out);
      EXPECT_EQ(take().reads.size(), 1u);
      store.on_restored(object, true, "", out);
    }
  }
  void expect_empty() {
    store.check();
    EXPECT_EQ(store.size(), 0u);
    EXPECT_EQ(store.arena().used_bytes(), 0u);
    EXPECT_FALSE(store.is_waiting_for_room());
  }

  ObjectTable store;
  StoreEffects out;
  RequestId requests = 100;
};

// ---- references -------------------------------------------------------------------------------------

TEST_F(StoreTest, TheLastReleaseFreesTheValueAndItsRoom) {
  put(id(1), 2);
  store.hold(id(1), out);
  store.release(id(1), out);
  EXPECT_EQ(store.arena().used_bytes(), 2 * kPage);
  store.release(id(1), out);
  expect_empty();
}

TEST_F(StoreTest, AReleaseTooManyChangesNothing) {
  put_small(id(1));
  store.release(id(1), out);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, AValueThatNobodyHoldsIsDroppedAsItComes) {
  store.create(id(1), 1);
  store.release(id(1), out);
  uint64_t offset = room(1);
  store.seal(id(1), in_arena(offset, 10), out);
  expect_empty();
}

TEST_F(StoreTest, ASecondValueForAnObjectIsDropped) {
  put_small(id(1));
  store.seal(id(1), in_arena(room(3), 3 * kPage), out);
  EXPECT_EQ(store.arena().used_bytes(), 0u);
  EXPECT_FALSE(store.find(id(1))->value.in_arena);
  store.release(id(1), out);
  expect_empty();
}

TEST_F(StoreTest, AReferenceThatComesTooLateReadsAnErrorThatSaysSo) {
  store.hold(id(9), out);
  ASSERT_TRUE(store.find(id(9))->is_error());
  EXPECT_EQ(store.find(id(9))->value.kind, PayloadKind::kObjectLost);
  EXPECT_THAT(*store.find(id(9))->value.bytes, HasSubstr("was freed before"));
  store.release(id(9), out);
  expect_empty();
}

TEST_F(StoreTest, ContainedReferencesLiveAsLongAsWhatHoldsThem) {
  put(id(1), 1);
  put_small(id(2), {id(1)});
  put_small(id(3), {id(2), id(2)});
  store.release(id(1), out);
  store.release(id(2), out);
  EXPECT_EQ(store.size(), 3u);
  store.release(id(3), out);
  expect_empty();
}

TEST_F(StoreTest, ALongChainOfContainedReferencesGoesWithoutRecursion) {
  put_small(id(1));
  for (uint64_t i = 2; i <= 50'000; ++i) {
    put_small(id(i), {id(i - 1)});
    store.release(id(i - 1), out);
  }
  store.release(id(50'000), out);
  expect_empty();
}

TEST_F(StoreTest, AWatchedObjectReportsItsLastReleaseEvenInsideAnotherValue) {
  store.create(id(1), 1);
  store.watch(id(1));
  put_small(id(2), {id(1)});
  store.release(id(1), out);
  EXPECT_THAT(take().unreferenced, IsEmpty());
  store.release(id(2), out);
  EXPECT_THAT(take().unreferenced, ElementsAre(id(1)));
  expect_empty();
}

TEST_F(StoreTest, WaitersAreWokenOnceWhenTheValueComes) {
  store.create(id(1), 1);
  store.add_waiter(id(1), request(5));
  store.add_waiter(id(1), request(6));
  store.add_waiter(id(1), request(7));
  store.remove_waiter(id(1), request(6), out);
  store.seal(id(1), located_bytes(PayloadKind::kValue, "x"), out);
  auto woken = take().woken;
  ASSERT_EQ(woken.size(), 2u);
  EXPECT_EQ(woken[0].waiter, request(5));
  EXPECT_EQ(woken[1].waiter, request(7));
  store.release(id(1), out);
  expect_empty();
}

TEST_F(StoreTest, AWaiterThatGivesUpLeavesNothingOfAnObjectThatNobodyHolds) {
  store.create(id(1), 1);
  store.add_waiter(id(1), request(5));
  store.release(id(1), out);
  EXPECT_EQ(store.size(), 1u);
  store.remove_waiter(id(1), request(5), out);
  expect_empty();
}

TEST_F(StoreTest, MemoryThatWasNotGrantedIsNoValue) {
  store.create(id(1), 1);
  store.create(id(2), 1);
  store.seal(id(1), in_arena(4 * kPage, kPage), out);
  EXPECT_EQ(store.find(id(1))->value.kind, PayloadKind::kObjectLost);
  uint64_t offset = room(1);
  store.seal(id(2), in_arena(offset, kPage + 1), out);
  EXPECT_EQ(store.find(id(2))->value.kind, PayloadKind::kObjectLost);
  store.abandon(offset, out);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

// ---- room ---------------------------------------------------------------------------------------------

TEST_F(StoreTest, WhatIsLargerThanTheArenaIsRefusedAtOnceWithBothSizes) {
  for (uint64_t bytes : {9 * kPage, UINT64_MAX, UINT64_MAX - kPage}) {
    store.allocate({kWriter, 1, {}, bytes}, out);
    auto grants = take().grants;
    ASSERT_EQ(grants.size(), 1u);
    EXPECT_EQ(grants[0].code, Code::kFull);
    EXPECT_THAT(grants[0].message, HasSubstr("object_store_memory"));
  }
  expect_empty();
}

TEST_F(StoreTest, AllocationsAreServedInOrderEvenWhenALaterOneWouldFit) {
  uint64_t all = room(8);
  store.allocate({kWriter, 1, {}, 6 * kPage}, out);
  store.allocate({kOther, 2, {}, kPage}, out);
  EXPECT_THAT(take().grants, IsEmpty());
  store.abandon(all, out);
  auto grants = take().grants;
  ASSERT_EQ(grants.size(), 2u);
  EXPECT_EQ(grants[0].ticket.request, 1u);
  EXPECT_EQ(grants[1].ticket.request, 2u);
  for (auto& grant : grants) store.abandon(grant.offset, out);
  expect_empty();
}

TEST_F(StoreTest, AnAllocationThatIsCancelledLetsTheNextOneThrough) {
  uint64_t most = room(7);
  store.allocate({kWriter, 1, {}, 6 * kPage}, out);
  store.allocate({kOther, 2, {}, kPage}, out);
  EXPECT_TRUE(store.cancel_allocation(kWriter, 1, out));
  EXPECT_FALSE(store.cancel_allocation(kWriter, 1, out));
  auto grants = take().grants;
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].ticket.request, 2u);
  store.abandon(grants[0].offset, out);
  store.abandon(most, out);
  expect_empty();
}

TEST_F(StoreTest, ALostClientGivesBackWhatItHadNotSealedAndWhatItWaitedFor) {
  room(3, kOther);
  room(3, kOther);
  store.allocate({kOther, 1, {}, 4 * kPage}, out);
  store.allocate({kWriter, 2, {}, 8 * kPage}, out);
  store.on_client_lost(kOther, out);
  auto grants = take().grants;
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].ticket.client, kWriter);
  store.abandon(grants[0].offset, out);
  expect_empty();
}

// ---- spilling -----------------------------------------------------------------------------------------

TEST_F(StoreTest, WhatWasUsedLongestAgoGoesToDiskAndComesBackWhenItIsNeeded) {
  put(id(1), 4);
  put(id(2), 4);
  ASSERT_TRUE(store.pin(id(1)));  // used last
  store.unpin(id(1), out);
  store.allocate({kWriter, 1, {}, 2 * kPage}, out);
  auto effects = take();
  ASSERT_EQ(effects.writes.size(), 1u);
  EXPECT_EQ(effects.writes[0].id, id(2));
  store.on_spilled(id(2), DiskPlace{3, 64}, "", out);
  effects = take();
  ASSERT_EQ(effects.grants.size(), 1u);
  EXPECT_EQ(store.spilled_bytes(), 4 * kPage);
  EXPECT_EQ(store.find(id(2))->place, Place::kDisk);
  EXPECT_FALSE(store.pin(id(2)));
  store.abandon(effects.grants[0].offset, out);

  store.add_waiter(id(2), request(9));
  store.restore(id(2), out);
  store.restore(id(2), out);
  effects = take();
  ASSERT_EQ(effects.reads.size(), 1u);
  EXPECT_EQ(effects.reads[0].from.offset, 64u);
  store.on_restored(id(2), true, "", out);
  effects = take();
  ASSERT_EQ(effects.woken.size(), 1u);
  EXPECT_THAT(effects.forgotten, IsEmpty()) << "the copy stays, for the value cannot change";
  EXPECT_TRUE(store.pin(id(2)));
  store.release_restored(out);
  store.unpin(id(2), out);
  store.release(id(1), out);
  store.release(id(2), out);
  effects = take();
  ASSERT_EQ(effects.forgotten.size(), 1u);
  EXPECT_EQ(effects.forgotten[0].first.file, 3u);
  expect_empty();
}

TEST_F(StoreTest, AValueIsWrittenToDiskOnceHoweverOftenItLeaves) {
  put(id(1), 4);
  put(id(2), 4);
  spill_and_restore(id(1));
  store.allocate({kWriter, 1, {}, kPage}, out);  // value 2 was used longer ago, but would have to be written
  auto effects = take();
  EXPECT_THAT(effects.writes, IsEmpty());
  ASSERT_EQ(effects.grants.size(), 1u);
  EXPECT_EQ(store.find(id(1))->place, Place::kDisk);
  EXPECT_EQ(store.spilled_bytes(), 4 * kPage);
  store.abandon(effects.grants[0].offset, out);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, WhatHadToComeBackTwiceLeavesByItsAge) {
  put(id(1), 4);
  put(id(2), 4);
  spill_and_restore(id(1));
  store.allocate({kWriter, 1, {}, kPage}, out);
  store.abandon(take().grants.at(0).offset, out);
  store.restore(id(1), out);
  EXPECT_EQ(take().reads.size(), 1u);
  store.on_restored(id(1), true, "", out);
  store.allocate({kWriter, 2, {}, kPage}, out);
  auto effects = take();
  ASSERT_EQ(effects.writes.size(), 1u);
  EXPECT_EQ(effects.writes[0].id, id(2));
  store.on_spilled(id(2), DiskPlace{1, 64}, "", out);
  store.abandon(take().grants.at(0).offset, out);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, WhatIsOnDiskAlreadyMakesRoomWhenTheDiskIsFull) {
  put(id(1), 4);
  put(id(2), 4);
  spill_and_restore(id(1), 2);  // now it leaves by its age: after value 2
  store.allocate({kWriter, 1, {}, 4 * kPage}, out);
  EXPECT_EQ(take().writes.size(), 1u);
  store.on_spilled(id(2), std::nullopt, "no space left on device", out);
  auto effects = take();
  ASSERT_EQ(effects.grants.size(), 1u);
  EXPECT_EQ(effects.grants[0].code, Code::kOk);
  EXPECT_EQ(store.find(id(1))->place, Place::kDisk);
  store.abandon(effects.grants[0].offset, out);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, ARestoredValueStaysUntilThoseWhoWaitedHaveLooked) {
  put(id(1), 8);
  store.allocate({kWriter, 1, {}, kPage}, out);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  store.abandon(take().grants.at(0).offset, out);
  store.add_waiter(id(1), request(1));
  store.restore(id(1), out);
  store.allocate({kWriter, 2, {}, kPage}, out);
  EXPECT_EQ(take().reads.size(), 1u);
  store.on_restored(id(1), true, "", out);
  EXPECT_THAT(take().grants, IsEmpty()) << "nothing pushes it out yet";
  ASSERT_TRUE(store.pin(id(1)));
  store.release_restored(out);
  EXPECT_THAT(take().grants, IsEmpty());
  store.unpin(id(1), out);
  store.abandon(take().grants.at(0).offset, out);
  store.release(id(1), out);
  expect_empty();
}

TEST_F(StoreTest, PinnedValuesStayWhereTheyAre) {
  put(id(1), 4);
  put(id(2), 4);
  store.pin(id(1));
  store.pin(id(2));
  store.allocate({kWriter, 1, {}, kPage}, out);
  auto effects = take();
  EXPECT_THAT(effects.writes, IsEmpty());
  EXPECT_TRUE(store.is_waiting_for_room());
  EXPECT_EQ(store.pinned_objects(), 2u);
  store.unpin(id(1), out);
  effects = take();
  ASSERT_EQ(effects.writes.size(), 1u);
  EXPECT_EQ(effects.writes[0].id, id(1));
  store.release(id(1), out);  // while it is being written
  EXPECT_EQ(store.size(), 2u);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  effects = take();
  EXPECT_EQ(effects.forgotten.size(), 1u);
  ASSERT_EQ(effects.grants.size(), 1u);
  store.abandon(effects.grants[0].offset, out);
  store.unpin(id(2), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, AValueThatIsPinnedWhileItIsWrittenStaysInMemory) {
  put(id(1), 8);
  store.allocate({kWriter, 1, {}, kPage}, out);
  EXPECT_EQ(take().writes.size(), 1u);
  EXPECT_TRUE(store.pin(id(1)));
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  auto effects = take();
  EXPECT_EQ(store.find(id(1))->place, Place::kMemory);
  EXPECT_THAT(effects.forgotten, IsEmpty());
  EXPECT_THAT(effects.grants, IsEmpty());
  store.unpin(id(1), out);
  effects = take();
  EXPECT_THAT(effects.writes, IsEmpty()) << "its copy is good";
  store.abandon(effects.grants.at(0).offset, out);
  store.release(id(1), out);
  EXPECT_EQ(take().forgotten.size(), 1u);
  expect_empty();
}

TEST_F(StoreTest, ADiskThatFailsFailsTheAllocationAndTheValueStays) {
  put(id(1), 8);
  store.allocate({kWriter, 1, {}, kPage}, out);
  store.allocate({kWriter, 2, {}, kPage}, out);
  EXPECT_EQ(take().writes.size(), 1u);
  store.on_spilled(id(1), std::nullopt, "no space left on device", out);
  auto effects = take();
  ASSERT_EQ(effects.grants.size(), 1u);
  EXPECT_EQ(effects.grants[0].code, Code::kFull);
  EXPECT_THAT(effects.grants[0].message, HasSubstr("no space left on device"));
  EXPECT_EQ(effects.writes.size(), 1u) << "the next one tries the disk anew";
  EXPECT_EQ(store.find(id(1))->place, Place::kMemory);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  effects = take();
  ASSERT_EQ(effects.grants.size(), 1u);
  EXPECT_EQ(effects.grants[0].code, Code::kOk);
  store.abandon(effects.grants[0].offset, out);
  store.release(id(1), out);
  expect_empty();
}

TEST_F(StoreTest, AnOldFailureOfTheDiskIsNotTheReasonOfALaterAllocation) {
  put(id(1), 8);
  store.allocate({kWriter, 1, {}, kPage}, out);
  EXPECT_EQ(take().writes.size(), 1u);
  store.cancel_allocation(kWriter, 1, out);
  store.on_spilled(id(1), std::nullopt, "no space left on device", out);
  EXPECT_THAT(take().grants, IsEmpty());
  store.allocate({kWriter, 2, {}, kPage}, out);
  auto effects = take();
  EXPECT_THAT(effects.grants, IsEmpty());
  EXPECT_EQ(effects.writes.size(), 1u);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  store.abandon(take().grants.at(0).offset, out);
  store.release(id(1), out);
  expect_empty();
}

TEST_F(StoreTest, AValueThatCannotBeReadBackIsAnErrorThatNamesTheReason) {
  put(id(1), 4);
  put(id(2), 4);
  store.allocate({kWriter, 1, {}, kPage}, out);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  store.abandon(take().grants.at(0).offset, out);
  store.add_waiter(id(1), request(1));
  store.restore(id(1), out);
  EXPECT_EQ(take().reads.size(), 1u);
  store.on_restored(id(1), false, "input/output error", out);
  EXPECT_EQ(take().woken.size(), 1u);
  EXPECT_TRUE(store.find(id(1))->is_error());
  EXPECT_THAT(*store.find(id(1))->value.bytes, HasSubstr("input/output error"));
  EXPECT_EQ(store.arena().used_bytes(), 4 * kPage);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, ARestoreThatNobodyWaitsForAnyMoreEndsQuietly) {
  put(id(1), 4);
  put(id(2), 4);
  store.allocate({kWriter, 1, {}, kPage}, out);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  store.abandon(take().grants.at(0).offset, out);
  store.restore(id(1), out);
  store.release(id(1), out);
  EXPECT_EQ(store.size(), 2u);
  store.on_restored(id(1), true, "", out);
  EXPECT_EQ(take().forgotten.size(), 1u);
  EXPECT_EQ(store.size(), 1u);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, AStalledAllocationFailsAndNamesTheLargestHolders) {
  put(id(1), 5);
  put(id(2), 2);
  store.pin(id(1));
  store.pin(id(2));
  store.allocate({kWriter, 1, {}, 3 * kPage}, out);
  EXPECT_THAT(take().grants, IsEmpty());
  store.on_stalled(out);
  auto grants = take().grants;
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].code, Code::kFull);
  std::string text = grants[0].message;
  EXPECT_THAT(text, HasSubstr(to_hex(id(1))));
  EXPECT_LT(text.find(to_hex(id(1))), text.find(to_hex(id(2))));
  store.on_stalled(out);
  EXPECT_THAT(take().grants, IsEmpty());
  for (uint64_t i : {1, 2}) {
    store.unpin(id(i), out);
    store.release(id(i), out);
  }
  expect_empty();
}

TEST_F(StoreTest, AStalledRestoreFailsForThoseWhoWaitAndTheValueStaysOnDisk) {
  put(id(1), 4);
  put(id(2), 4);
  store.allocate({kWriter, 1, {}, 4 * kPage}, out);
  store.on_spilled(id(1), DiskPlace{1, 0}, "", out);
  uint64_t held = take().grants.at(0).offset;
  store.pin(id(2));
  store.add_waiter(id(1), request(4));
  store.restore(id(1), out);
  EXPECT_THAT(take().reads, IsEmpty());
  store.on_stalled(out);
  auto effects = take();
  ASSERT_EQ(effects.woken.size(), 1u);
  EXPECT_THAT(effects.woken[0].no_room, HasSubstr("full of values in use"));
  EXPECT_THAT(effects.forgotten, IsEmpty());
  EXPECT_EQ(store.find(id(1))->place, Place::kDisk);
  store.abandon(held, out);
  store.restore(id(1), out);
  EXPECT_EQ(take().reads.size(), 1u);
  store.on_restored(id(1), true, "", out);
  EXPECT_EQ(store.find(id(1))->place, Place::kMemory);
  store.unpin(id(2), out);
  store.release(id(1), out);
  store.release(id(2), out);
  expect_empty();
}

TEST_F(StoreTest, ALostClientsGrantIsNotAbandonedTwice) {
  uint64_t offset = room(8, kOther);
  store.on_client_lost(kOther, out);
  EXPECT_EQ(room(8, kWriter), offset);
  store.abandon(offset + kPage, out);
  EXPECT_EQ(store.arena().used_bytes(), 8 * kPage);
  store.abandon(offset, out);
  expect_empty();
}

}  // namespace
}  // namespace mobula
