// Combining arrays of every type: wrapping, NaN, half floats, what is not defined.
#include "collective/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace mobula::collective {
namespace {

template <typename T>
std::vector<T> combined(const char* type, ReduceOp op, std::vector<T> a, const std::vector<T>& b) {
  Result<Combine> combine = combine_of(*element_type(type), op);
  EXPECT_TRUE(combine.is_ok()) << combine.status().to_string();
  (*combine)(reinterpret_cast<uint8_t*>(a.data()), reinterpret_cast<const uint8_t*>(b.data()), a.size());
  return a;
}

TEST(ReduceTest, NumbersAreAddedMultipliedAndCompared) {
  std::vector<int32_t> a{1, -2, 7}, b{3, 4, -5};
  EXPECT_EQ(combined("int32", ReduceOp::kSum, a, b), (std::vector<int32_t>{4, 2, 2}));
  EXPECT_EQ(combined("int32", ReduceOp::kProduct, a, b), (std::vector<int32_t>{3, -8, -35}));
  EXPECT_EQ(combined("int32", ReduceOp::kMin, a, b), (std::vector<int32_t>{1, -2, -5}));
  EXPECT_EQ(combined("int32", ReduceOp::kMax, a, b), (std::vector<int32_t>{3, 4, 7}));
}

TEST(ReduceTest, WholeNumbersWrapRound) {
  EXPECT_EQ(combined<int8_t>("int8", ReduceOp::kSum, {127}, {1}), std::vector<int8_t>{-128});
  EXPECT_EQ(combined<int64_t>("int64", ReduceOp::kProduct, {std::numeric_limits<int64_t>::max()}, {2}),
            std::vector<int64_t>{-2});
}

TEST(ReduceTest, ANanWins) {
  double nan = std::nan("");
  EXPECT_TRUE(std::isnan(combined<double>("float64", ReduceOp::kMax, {nan}, {1})[0]));
  EXPECT_TRUE(std::isnan(combined<double>("float64", ReduceOp::kMin, {1}, {nan})[0]));
}

TEST(ReduceTest, HalfFloatsAreRoundedToEven) {
  // 1.0 = 0x3C00, 2.0 = 0x4000, 0.5 = 0x3800, 65504 = 0x7BFF, smallest subnormal = 0x0001
  EXPECT_EQ(combined<uint16_t>("float16", ReduceOp::kSum, {0x3C00, 0x7BFF, 0x0001, 0x8001},
                               {0x3C00, 0x7BFF, 0x0001, 0x0001}),
            (std::vector<uint16_t>{0x4000, 0x7C00, 0x0002, 0x0000}));
  EXPECT_EQ(combined<uint16_t>("float16", ReduceOp::kProduct, {0x3C00, 0x4000}, {0x3800, 0x3800}),
            (std::vector<uint16_t>{0x3800, 0x3C00}));
  EXPECT_EQ(combined<uint16_t>("bfloat16", ReduceOp::kSum, {0x3F80}, {0x3F80}),
            std::vector<uint16_t>{0x4000});
  EXPECT_EQ(combined<uint16_t>("bfloat16", ReduceOp::kSum, {0x4380}, {0x3F80}),
            std::vector<uint16_t>{0x4380});
}

TEST(ReduceTest, EveryHalfFloatSurvivesTimesOne) {
  std::vector<uint16_t> all;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    if ((bits & 0x7FFF) <= 0x7C00) all.push_back(static_cast<uint16_t>(bits));
  }
  std::vector<uint16_t> one(all.size(), 0x3C00);
  EXPECT_EQ(combined<uint16_t>("float16", ReduceOp::kProduct, all, one), all);
}

TEST(ReduceTest, SumsOfBoolsAreOr) {
  EXPECT_EQ(combined<uint8_t>("bool", ReduceOp::kSum, {0, 1, 1}, {0, 0, 1}), (std::vector<uint8_t>{0, 1, 1}));
  EXPECT_EQ(combined<uint8_t>("bool", ReduceOp::kProduct, {0, 1, 1}, {0, 0, 1}),
            (std::vector<uint8_t>{0, 0, 1}));
}

TEST(ReduceTest, WhatIsNotDefinedIsRefused) {
  EXPECT_EQ(combine_of(ElementType::kComplex64, ReduceOp::kMax).status().code(), Code::kUnsupported);
  EXPECT_EQ(element_type("object").status().code(), Code::kUnsupported);
  EXPECT_TRUE(combine_of(ElementType::kComplex128, ReduceOp::kSum).is_ok());
}

}  // namespace
}  // namespace mobula::collective
