// BundleQueue: gathering, order, and putting back.
#include "data/exec/bundle_queue.h"

#include "gtest/gtest.h"

namespace mobula::data {
namespace {

BlockRef block(int64_t rows, uint32_t number = 0) {
  BlockRef ref;
  ref.object = ObjectId{TaskId{1}, number, 0};
  ref.rows = rows;
  ref.bytes = 100;
  return ref;
}

TEST(BundleQueue, makes_a_bundle_of_each_block_when_no_size_is_asked) {
  BundleQueue queue(0);
  queue.push(block(3));
  queue.push(block(0));
  EXPECT_EQ(queue.size(), 2u);
  queue.check();
}

TEST(BundleQueue, gathers_blocks_until_they_have_enough_rows) {
  BundleQueue queue(10);
  for (int i = 0; i < 5; ++i) queue.push(block(4));
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.pop().blocks.size(), 3u);
  EXPECT_FALSE(queue.empty());
  queue.close();
  EXPECT_EQ(queue.pop().rows, 8);
  EXPECT_TRUE(queue.empty());
  queue.check();
}

TEST(BundleQueue, does_not_gather_blocks_of_unknown_size) {
  BundleQueue queue(10);
  queue.push(block(-1));
  EXPECT_EQ(queue.size(), 1u);
}

TEST(BundleQueue, counts_only_the_rows_wanted_of_a_block) {
  BundleQueue queue(10);
  BlockRef part = block(100);
  part.length = 4;
  queue.push(part);
  EXPECT_EQ(queue.size(), 0u);
  queue.push(part);
  queue.push(part);
  EXPECT_EQ(queue.pop().rows, 12);
}

TEST(BundleQueue, puts_a_bundle_back_where_it_was) {
  BundleQueue queue(0);
  for (uint32_t i = 0; i < 4; ++i) queue.push(block(1, i));
  Bundle first = queue.pop();
  Bundle second = queue.pop();
  queue.put_back(std::move(second));
  queue.put_back(std::move(first));
  queue.check();
  for (uint32_t i = 0; i < 4; ++i) EXPECT_EQ(queue.pop().blocks[0].object.index, i);
}

TEST(BundleQueue, gives_back_all_its_blocks_when_cleared) {
  BundleQueue queue(10);
  for (int i = 0; i < 4; ++i) queue.push(block(4));
  EXPECT_EQ(queue.clear().size(), 4u);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.bytes(), 0);
}

}  // namespace
}  // namespace mobula::data
