// Tests of Predictor on a hand-made ONNX model: y = relu(x), x being f32 ?x3.
#include "data/model/predictor.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "sys/environment.h"

namespace mobula::model {
namespace {

constexpr std::array<uint8_t, 69> kRelu{
    0x08, 0x08, 0x3A, 0x3D, 0x0A, 0x0C, 0x0A, 0x01, 0x78, 0x12, 0x01, 0x79, 0x22, 0x04,
    0x52, 0x65, 0x6C, 0x75, 0x12, 0x01, 0x67, 0x5A, 0x14, 0x0A, 0x01, 0x78, 0x12, 0x0F,
    0x0A, 0x0D, 0x08, 0x01, 0x12, 0x09, 0x0A, 0x03, 0x12, 0x01, 0x6E, 0x0A, 0x02, 0x08,
    0x03, 0x62, 0x14, 0x0A, 0x01, 0x79, 0x12, 0x0F, 0x0A, 0x0D, 0x08, 0x01, 0x12, 0x09,
    0x0A, 0x03, 0x12, 0x01, 0x6E, 0x0A, 0x02, 0x08, 0x03, 0x42, 0x02, 0x10, 0x0D};

class PredictorTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = temporary_folder() + "/mobula_predictor_" +
            testing::UnitTest::GetInstance()->current_test_info()->name() + ".onnx";
    write({kRelu.begin(), kRelu.end()});
    options_.path = path_;
    options_.threads = 1;
  }
  void TearDown() override { std::remove(path_.c_str()); }

  void write(const std::vector<uint8_t>& bytes) const {
    std::ofstream file(path_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }

  std::string path_;
  PredictorOptions options_;
};

TensorView row_of(std::span<const float> values) {
  return {Element::kF32, {1, static_cast<int64_t>(values.size())}, std::as_bytes(values)};
}

TEST_F(PredictorTest, DescribesItsPorts) {
  const auto predictor = Predictor::open(options_);
  ASSERT_TRUE(predictor.is_ok()) << predictor.status().to_string();
  const Predictor& relu = *predictor.value();
  ASSERT_EQ(relu.inputs().size(), 1U);
  EXPECT_EQ(relu.inputs()[0].name, "x");
  EXPECT_EQ(relu.inputs()[0].element, Element::kF32);
  EXPECT_EQ(relu.inputs()[0].shape, (Shape{-1, 3}));
  EXPECT_EQ(relu.outputs()[0].name, "y");
  EXPECT_GE(relu.requests(), 1U);
}

TEST_F(PredictorTest, InfersFromTheCallersMemory) {
  auto predictor = Predictor::open(options_);
  ASSERT_TRUE(predictor.is_ok()) << predictor.status().to_string();
  for (const size_t rows : {1U, 4U}) {
    std::vector<float> values;
    for (size_t i = 0; i < rows * 3; ++i) values.push_back(static_cast<float>(i) - 2.5F);
    const TensorView input{Element::kF32, {static_cast<int64_t>(rows), 3}, std::as_bytes(std::span(values))};
    const auto outputs = predictor.value()->infer({&input, 1});
    ASSERT_TRUE(outputs.is_ok()) << outputs.status().to_string();
    EXPECT_EQ(outputs.value()[0].shape, (Shape{static_cast<int64_t>(rows), 3}));
    const auto floats = outputs.value()[0].floats();
    ASSERT_EQ(floats.size(), values.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(floats[i], std::max(values[i], 0.0F));
  }
}

TEST_F(PredictorTest, AnswersBelongToTheirTickets) {
  options_.requests = 3;
  auto predictor = Predictor::open(options_);
  ASSERT_TRUE(predictor.is_ok());
  Predictor& relu = *predictor.value();
  std::array<std::array<float, 3>, 3> values{};
  std::array<Predictor::Ticket, 3> tickets{};
  for (size_t i = 0; i < 3; ++i) {
    values[i].fill(static_cast<float>(i) + 1);
    const TensorView input = row_of(values[i]);
    const auto ticket = relu.submit({&input, 1});
    ASSERT_TRUE(ticket.is_ok());
    tickets[i] = ticket.value();
  }
  EXPECT_EQ(relu.in_flight(), 3U);
  const TensorView one_more = row_of(values[0]);
  EXPECT_EQ(relu.submit({&one_more, 1}).status().code(), Code::kBusy);
  EXPECT_EQ(relu.infer({&one_more, 1}).status().code(), Code::kBusy);
  for (size_t i : {2U, 0U, 1U}) {
    const auto outputs = relu.wait(tickets[i]);
    ASSERT_TRUE(outputs.is_ok());
    EXPECT_EQ(outputs.value()[0].floats()[1], static_cast<float>(i) + 1);
  }
  EXPECT_EQ(relu.in_flight(), 0U);
  EXPECT_EQ(relu.wait(tickets[0]).status().code(), Code::kInvalid);
  EXPECT_TRUE(relu.submit({&one_more, 1}).is_ok());  // left in flight: the destructor waits
}

TEST_F(PredictorTest, BytesBecomeTheModelsOwnRange) {
  options_.input.element = Element::kU8;
  options_.input.scale = 127.5F;
  options_.input.mean = 1;
  options_.input.shape = {1, 3};
  auto predictor = Predictor::open(options_);
  ASSERT_TRUE(predictor.is_ok()) << predictor.status().to_string();
  EXPECT_EQ(predictor.value()->inputs()[0].shape, (Shape{1, 3}));
  const std::array<uint8_t, 3> bytes{0, 200, 255};
  const TensorView input{Element::kU8, {1, 3}, std::as_bytes(std::span(bytes))};
  const auto outputs = predictor.value()->infer({&input, 1});
  ASSERT_TRUE(outputs.is_ok()) << outputs.status().to_string();
  EXPECT_EQ(outputs.value()[0].floats()[0], 0);
  EXPECT_NEAR(outputs.value()[0].floats()[1], 200 / 127.5 - 1, 1e-6);
  EXPECT_NEAR(outputs.value()[0].floats()[2], 1, 1e-6);
}

TEST_F(PredictorTest, InputsOfAnotherShapeAreRefusedByName) {
  auto predictor = Predictor::open(options_);
  ASSERT_TRUE(predictor.is_ok());
  const std::array<float, 4> values{};
  const TensorView wide = row_of(values);
  const auto refused = predictor.value()->infer({&wide, 1});
  EXPECT_EQ(refused.status().code(), Code::kInvalid);
  EXPECT_NE(refused.status().message().find("input 'x'"), std::string::npos);
  EXPECT_NE(refused.status().message().find("?x3"), std::string::npos);
  EXPECT_EQ(predictor.value()->infer({}).status().code(), Code::kInvalid);
  const TensorView few{Element::kF32, {2, 3}, std::as_bytes(std::span(values))};
  EXPECT_EQ(predictor.value()->infer({&few, 1}).status().code(), Code::kInvalid);
}

TEST_F(PredictorTest, WhatCannotBeOpenedIsNamed) {
  PredictorOptions missing;
  missing.path = "/no/such/model.onnx";
  const auto absent = Predictor::open(missing);
  EXPECT_EQ(absent.status().code(), Code::kNotFound);
  EXPECT_NE(absent.status().message().find("/no/such/model.onnx"), std::string::npos);
  options_.device = "NOSUCH";
  EXPECT_EQ(Predictor::open(options_).status().code(), Code::kUnsupported);
  options_.device = "CPU";
  auto bytes = std::vector<uint8_t>(kRelu.begin(), kRelu.begin() + 40);
  write(bytes);
  EXPECT_EQ(Predictor::open(options_).status().code(), Code::kInvalid);
  write(std::vector<uint8_t>(500, 'x'));
  const auto damaged = Predictor::open(options_);
  EXPECT_EQ(damaged.status().code(), Code::kInvalid);
  EXPECT_NE(damaged.status().message().find(path_), std::string::npos);
  options_.threads = -1;
  EXPECT_EQ(Predictor::open(options_).status().code(), Code::kInvalid);
}

TEST(Shape, IsCountedAndNamed) {
  EXPECT_EQ(to_string(Shape{1, -1, 3}), "1x?x3");
  EXPECT_EQ(to_string(Shape{}), "scalar");
  EXPECT_EQ(element_count({2, 3}), 6U);
  EXPECT_EQ(element_count({-1, 3}), 0U);
  EXPECT_EQ(element_count({int64_t{1} << 39, 4}), 0U);
  EXPECT_EQ(element_bytes(Element::kBf16), 2U);
}

}  // namespace
}  // namespace mobula::model
