// Bytes, ids and statuses: what is written is read, what is cut short is refused.
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/id.h"
#include "base/status.h"

namespace mobula {
namespace {

TEST(Bytes, WhatIsWrittenIsReadBack) {
  std::string out;
  Writer writer(out);
  writer.number(uint32_t{7});
  writer.bytes("seven");
  writer.number(2.5);
  writer.list(std::vector<int>{1, 2, 3}, [&](int item) { writer.number(item); });
  Reader reader(out);
  EXPECT_EQ(reader.number<uint32_t>(), 7u);
  EXPECT_EQ(reader.bytes(), "seven");
  EXPECT_EQ(reader.number<double>(), 2.5);
  EXPECT_EQ(reader.list<int>([&] { return reader.number<int>(); }), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(reader.complete());
}

TEST(Bytes, AReaderThatMissedSomethingStaysFailedAndGivesZeros) {
  std::string out;
  Writer(out).bytes("four");
  for (size_t cut = 0; cut < out.size(); ++cut) {
    Reader reader(std::string_view(out).substr(0, cut));
    EXPECT_TRUE(reader.view().empty());
    EXPECT_TRUE(reader.failed());
    EXPECT_EQ(reader.number<uint8_t>(), 0);
    EXPECT_FALSE(reader.complete());
  }
}

TEST(Bytes, AHostileLengthFailsBeforeItAllocates) {
  std::string out;
  Writer(out).number(uint32_t{0xFFFFFFFF});
  Reader reader(out);
  EXPECT_TRUE(reader.list<std::string>([&] { return reader.bytes(); }).empty());
  EXPECT_TRUE(reader.failed());
}

TEST(Bytes, WhatIsLeftOverIsNoCompleteMessage) {
  Reader reader("12345678x");
  (void)reader.number<uint64_t>();
  EXPECT_FALSE(reader.failed());
  EXPECT_FALSE(reader.complete());
  EXPECT_EQ(reader.left(), 1u);
}

TEST(Ids, AnObjectIdIsItsThirtyTwoDigits) {
  ObjectId id{make_task_id(ClientId{3}, 9), 5, 0xABCD}, back;
  ASSERT_TRUE(from_hex(to_hex(id), &back));
  EXPECT_EQ(back, id);
  EXPECT_EQ(to_hex(id).size(), 32u);
}

TEST(Ids, TextThatIsNoIdIsRefused) {
  ObjectId id;
  EXPECT_FALSE(from_hex("", &id));
  EXPECT_FALSE(from_hex(std::string(31, '0'), &id));
  EXPECT_FALSE(from_hex(std::string(32, 'g'), &id));
  EXPECT_FALSE(from_hex(std::string(33, '0'), &id));
}

TEST(Ids, TasksOfTwoClientsNeverShareAnId) {
  EXPECT_NE(make_task_id(ClientId{1}, 2), make_task_id(ClientId{2}, 1));
  EXPECT_EQ(make_task_id(ClientId{1}, 2).value >> kClientShift, 1u);
}

Status fails_when_odd(int number) {
  if (number % 2 != 0) return {Code::kInvalid, "odd"};
  return Status::ok();
}

Result<int> half(int number) {
  TRY(fails_when_odd(number));
  return number / 2;
}

Result<int> quarter(int number) {
  ASSIGN_OR_RETURN(int halved, half(number));
  return half(halved);
}

TEST(Statuses, AFailureTravelsThroughResults) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).status().code(), Code::kInvalid);
  EXPECT_EQ(quarter(6).status().to_string(), "invalid: odd");
  EXPECT_EQ(Status::ok().to_string(), "ok");
}

TEST(Statuses, EveryCodeHasItsWord) {
  for (int code = 0; code < static_cast<int>(Code::kInternal); ++code) {
    EXPECT_FALSE(to_string(static_cast<Code>(code)).empty());
    EXPECT_NE(to_string(static_cast<Code>(code)), to_string(static_cast<Code>(code + 1)))
        << "of code " << code;
  }
}

TEST(StatusesDeathTest, TheValueOfAFailureIsABrokenPromise) {
  EXPECT_DEATH((void)half(1).value(), "does not hold");
}

}  // namespace
}  // namespace mobula
