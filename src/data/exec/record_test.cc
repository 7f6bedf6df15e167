// Records and headers: what Python writes and reads, byte for byte.
#include "data/exec/record.h"

#include "base/bytes.h"
#include "gtest/gtest.h"

namespace mobula::data {
namespace {

std::string record_bytes(uint8_t kind, uint16_t stages, std::string_view failure) {
  std::string out;
  Writer write(out);
  write.number(kind);
  write.number(uint8_t{1});
  write.number(stages);
  write.number(uint32_t{2});
  for (int64_t number : {10, 2000, 3'000'000, 4'000'000, 5'000'000}) write.number(number);
  for (uint16_t i = 0; i < stages; ++i) {
    write.number(int64_t{1'000'000} * (i + 1));
    write.number(int64_t{7});
  }
  out.append(failure);
  return out;
}

TEST(Record, reads_what_a_task_says_of_its_block) {
  Result<Record> record = parse_record(record_bytes(0, 2, ""));
  ASSERT_TRUE(record.is_ok());
  EXPECT_EQ(record->kind, ItemKind::kBlock);
  EXPECT_TRUE(record->last);
  EXPECT_EQ(record->bundle, 2u);
  EXPECT_EQ(record->rows, 10);
  EXPECT_EQ(record->bytes, 2000);
  EXPECT_DOUBLE_EQ(record->busy_ms, 3);
  EXPECT_DOUBLE_EQ(record->held_up_ms, 4);
  ASSERT_EQ(record->stages.size(), 2u);
  EXPECT_DOUBLE_EQ(record->stages[1].busy_ms, 2);
  EXPECT_EQ(record->stages[1].rows, 7);
}

TEST(Record, keeps_the_bytes_of_a_failure) {
  std::string bytes = record_bytes(2, 0, "an error");
  Result<Record> record = parse_record(bytes);
  ASSERT_TRUE(record.is_ok());
  EXPECT_EQ(record->failure, "an error");
}

TEST(Record, refuses_what_is_cut_short_or_damaged) {
  std::string bytes = record_bytes(0, 3, "");
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(parse_record(bytes.substr(0, size)).is_ok());
  EXPECT_FALSE(parse_record(record_bytes(3, 0, "")).is_ok());
}

TEST(Header, says_of_each_bundle_which_rows_are_wanted) {
  Bundle bundle;
  bundle.rows_delivered = 5;
  bundle.blocks.resize(2);
  bundle.blocks[0].object = bundle.blocks[1].object = ObjectId{TaskId{1}, 0, 0};
  bundle.blocks[1].length = 9;
  std::vector<Bundle> bundles{bundle};
  std::string header = encode_header(bundles);
  Reader in(header);
  EXPECT_EQ(in.number<uint32_t>(), 1u);
  EXPECT_EQ(in.number<uint32_t>(), 2u);
  EXPECT_EQ(in.number<uint32_t>(), 0u);
  EXPECT_EQ(in.number<int64_t>(), 5);
  for (int64_t expected : {0, -1, 0, 9}) EXPECT_EQ(in.number<int64_t>(), expected);
  EXPECT_TRUE(in.complete());
}

}  // namespace
}  // namespace mobula::data
