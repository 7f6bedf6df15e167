// Values of the C++ API over a real node: reading in place, pins, spilling, limits.
#include <numeric>

#include "cpp_world.h"

namespace cpp_values {

using mobula::ObjectRef;
using mobula::Tensor;
using mobula::thrown;

struct Detection {
  std::string label;
  float score = 0;
  std::array<float, 4> box{};
  bool operator==(const Detection&) const = default;
  MOBULA_SERIALIZE(label, score, box);
};

std::vector<Detection> Filter(const std::vector<Detection>& detections, float least) {
  std::vector<Detection> kept;
  for (const Detection& one : detections) {
    if (one.score >= least) kept.push_back(one);
  }
  return kept;
}

/// Adds one to each element of what it reads in place.
Tensor AddOne(const Tensor& in) {
  Tensor out(in.dtype(), in.shape());
  auto from = in.as_span<float>();
  auto to = out.mutable_span<float>();
  for (size_t i = 0; i < from.size(); ++i) to[i] = from[i] + 1;
  return out;
}

mobula::Any Describe(const mobula::Any& value) {
  return mobula::Any::Map{{"size", value.size()}, {"value", value}};
}

bool WasAligned(std::span<const double> values) {
  return reinterpret_cast<uintptr_t>(values.data()) % 64 == 0;
}

MOBULA_REMOTE(Filter, AddOne, Describe, WasAligned);

class CppValues : public mobula::CppWorld {};

TEST_F(CppValues, StructsPassThroughTasks) {
  const std::vector<Detection> all = {{"face", 0.9f, {0, 0, 1, 1}}, {"hand", 0.2f, {}}};
  EXPECT_EQ(*mobula::Task(Filter).Remote(all, 0.5f).Get(), (std::vector<Detection>{all[0]}));
}

TEST_F(CppValues, ATensorIsReadInTheArenaAndPinnedWhileItIsHeld) {
  std::vector<float> numbers(1'000'000);
  std::iota(numbers.begin(), numbers.end(), 0.f);
  auto ref = mobula::Put(Tensor::copy_of(numbers, {1000, 1000}));
  EXPECT_GE(stats().arena_used_bytes, 4'000'000u);
  auto one = ref.Get(), other = ref.Get();
  EXPECT_EQ(one->data(), other->data());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(one->data()) % 64, 0u);
  EXPECT_EQ(one->shape(), (std::vector<int64_t>{1000, 1000}));
  ref = {};
  Tensor kept = *one;
  one.reset(), other.reset();
  EXPECT_EQ(kept.as_span<float>()[999'999], 999'999.f);
  EXPECT_GE(stats().arena_used_bytes, 4'000'000u);
  kept = Tensor();
  expect_empty();
}

TEST_F(CppValues, ASpanIsPinnedByThePointerThatGetReturned) {
  auto ref = mobula::Put(std::vector<double>(100'000, 1.5));
  auto span = mobula::Get(ObjectRef<std::span<const double>>(ref.object()));
  ref = {};
  EXPECT_EQ((*span)[99'999], 1.5);
  EXPECT_GE(stats().arena_used_bytes, 800'000u);
  span.reset();
  expect_empty();
}

TEST_F(CppValues, ACopyPinsNothing) {
  auto ref = mobula::Put(std::vector<double>(100'000, 1.5));
  auto copy = ref.Get();
  ref = {};
  expect_empty();
  EXPECT_EQ(copy->size(), 100'000u);
}

TEST_F(CppValues, TasksReadTensorsInPlaceAndReturnNewOnes) {
  auto ref = mobula::Task(AddOne).Remote(Tensor::copy_of(std::vector<float>(500'000, 1.f)));
  ref = mobula::Task(AddOne).Remote(ref);
  EXPECT_EQ(ref.Get()->as_span<float>()[499'999], 3.f);
  EXPECT_TRUE(*mobula::Task(WasAligned).Remote(std::vector<double>(50'000, 1.0)).Get());
}

TEST_F(CppValues, AnyPassesBothWays) {
  auto described = mobula::Task(Describe).Remote(mobula::Any::List{1, "two", 3.0}).Get();
  EXPECT_EQ(described->at("size").as<int64_t>(), 3);
  EXPECT_EQ(described->at("value").at(1).as<std::string>(), "two");
}

TEST_F(CppValues, ManyLargeValuesSpillAndComeBack) {
  std::vector<ObjectRef<std::vector<int64_t>>> refs;
  for (int i = 0; i < 24; ++i) refs.push_back(mobula::Put(std::vector<int64_t>(1 << 19, i)));  // 96 MiB of 64
  EXPECT_GT(stats().spilled_bytes, 0u);
  for (int i = 0; i < 24; ++i) EXPECT_EQ(refs[static_cast<size_t>(i)].Get()->back(), i);
}

TEST_F(CppValues, AValueLargerThanTheArenaIsRefused) {
  EXPECT_NE(thrown<mobula::RayObjectStoreFullException>([] {
              mobula::Put(std::vector<int64_t>(16 << 20, 1));
            }).find("larger than the whole object store"),
            std::string::npos);
}

TEST_F(CppValues, ReferencesInsideValuesKeepTheirObjects) {
  auto inner = mobula::Put(std::vector<double>(50'000, 2.0));
  auto outer = mobula::Put(std::vector{inner, inner});
  inner = {};
  auto list = outer.Get();
  outer = {};
  EXPECT_EQ(list->at(1).Get()->back(), 2.0);
}

TEST_F(CppValues, AWrongTypeIsNamed) {
  auto text = mobula::Put("text");
  EXPECT_NE(thrown<mobula::RayValueException>([&] {
              ObjectRef<int>(text.object()).Get();
            }).find("expected an integer"),
            std::string::npos);
}

}  // namespace cpp_values
