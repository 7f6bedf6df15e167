// Values of C++ types there and back, and what is said when they do not fit.
#include <gtest/gtest.h>
#include <mobula/value.h>

#include <cstring>
#include <map>
#include <numeric>
#include <set>

#include "api/session.h"
#include "wire/envelope.h"

namespace mobula {
namespace {

using internal::make_value;

enum class Color : uint8_t { kRed = 1, kBlue = 2 };

struct Point {
  double x = 0, y = 0;
  bool operator==(const Point&) const = default;
  MOBULA_SERIALIZE(x, y);
};

struct Scene {
  std::string name;
  std::vector<Point> points;
  std::map<std::string, std::vector<float>> curves;
  std::optional<Color> color;
  bool operator==(const Scene&) const = default;
  MOBULA_SERIALIZE(name, points, curves, color);
};

struct Node {
  int value = 0;
  std::unique_ptr<Node> next;
  MOBULA_SERIALIZE(value, next);
};

class Celsius {  // no default constructor, no public fields
 public:
  explicit Celsius(double degrees) : degrees_(degrees) {}
  double degrees() const { return degrees_; }

 private:
  double degrees_;
};

}  // namespace

template <>
struct Codec<Celsius> {
  static void encode(ValueWriter& out, const Celsius& value) { out.write(value.degrees()); }
  static Celsius decode(ValueReader& in) { return Celsius(in.read<double>()); }
};

namespace {

template <typename T>
std::string encode(const T& value) {
  ValueWriter out;
  out.write(value);
  auto made = make_value(nullptr, out);
  EXPECT_TRUE(made.is_ok());
  return std::move(made->bytes);
}

/// Bytes that stay where they are, as those of an object.
template <typename T>
T decode(const std::string& bytes) {
  auto kept = std::make_shared<std::vector<uint64_t>>(bytes.size() / 8 + 1);
  std::memcpy(kept->data(), bytes.data(), bytes.size());
  ValueReader in({reinterpret_cast<const uint8_t*>(kept->data()), bytes.size()}, kept);
  return in.read<T>();
}

template <typename T>
T there_and_back(const T& value) {
  return decode<T>(encode(value));
}

template <typename To, typename From>
std::string complaint(const From& value) {
  try {
    decode<To>(encode(value));
  } catch (const RayValueException& error) {
    return error.what();
  }
  return "none";
}

Tag tag_of(const std::string& bytes) {
  return parse_envelope({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()})->tag;
}

TEST(Codec, NumbersTextAndBytesComeBack) {
  EXPECT_EQ(there_and_back(-7), -7);
  EXPECT_EQ(there_and_back(std::numeric_limits<uint64_t>::max()), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(there_and_back(std::numeric_limits<int64_t>::min()), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(there_and_back(0.1f), 0.1f);
  EXPECT_EQ(there_and_back(true), true);
  EXPECT_EQ(there_and_back('x'), 'x');
  EXPECT_EQ(there_and_back(Color::kBlue), Color::kBlue);
  EXPECT_EQ(there_and_back(std::string("grüße")), "grüße");
  EXPECT_EQ(there_and_back(Bytes{std::string(1000, '\xff')}), Bytes{std::string(1000, '\xff')});
  EXPECT_EQ(decode<std::string>(encode("literal")), "literal");
}

TEST(Codec, ScalarsHaveTheTagsOfAllLanguages) {
  EXPECT_EQ(tag_of(encode(1)), Tag::kInt);
  EXPECT_EQ(tag_of(encode(1.5)), Tag::kFloat);
  EXPECT_EQ(tag_of(encode(false)), Tag::kFalse);
  EXPECT_EQ(tag_of(encode(std::string("x"))), Tag::kString);
  EXPECT_EQ(tag_of(encode(Bytes{"x"})), Tag::kBytes);
  EXPECT_EQ(tag_of(encode(Bytes{std::string(5000, 'x')})), Tag::kBytes);
  EXPECT_EQ(tag_of(encode(std::optional<int>())), Tag::kNone);
  EXPECT_EQ(tag_of(encode(std::vector<int>{1})), Tag::kPlain);
}

TEST(Codec, ContainersComeBack) {
  const std::vector<std::string> words = {"a", "", "ccc"};
  EXPECT_EQ(there_and_back(words), words);
  const std::map<int, std::set<std::string>> sets = {{1, {"x", "y"}}, {-2, {}}};
  EXPECT_EQ(there_and_back(sets), sets);
  const std::unordered_map<std::string, double> amounts = {{"CPU", 2}, {"GPU", 0.5}};
  EXPECT_EQ(there_and_back(amounts), amounts);
  const std::tuple<int, std::string, std::pair<bool, double>> mixed = {1, "two", {true, 3.0}};
  EXPECT_EQ(there_and_back(mixed), mixed);
  const std::array<float, 3> three = {1, 2, 3};
  EXPECT_EQ(there_and_back(three), three);
  const std::variant<int, std::string> text = "alternative";
  EXPECT_EQ(there_and_back(text), text);
  const std::optional<std::vector<int>> some = std::vector<int>{4, 5};
  EXPECT_EQ(there_and_back(some), some);
  const std::vector<bool> flags = {true, false, true};
  EXPECT_EQ(there_and_back(flags), flags);
  EXPECT_EQ(there_and_back(std::vector<std::vector<int64_t>>{{1}, {}, {2, 3}}),
            (std::vector<std::vector<int64_t>>{{1}, {}, {2, 3}}));
}

TEST(Codec, StructsComeBackFieldByField) {
  const Scene scene{"room", {{1, 2}, {3, 4}}, {{"c", {0.5f}}}, Color::kRed};
  EXPECT_EQ(there_and_back(scene), scene);
  EXPECT_EQ(there_and_back(Celsius(36.6)).degrees(), 36.6);
  Node list{1, std::make_unique<Node>()};
  list.next->value = 2;
  const Node back = there_and_back(list);
  EXPECT_EQ(back.next->value, 2);
  EXPECT_EQ(back.next->next, nullptr);
}

TEST(Codec, AStructIsReadFromAnyMapThatHasItsFields) {
  const std::map<std::string, int> numbers = {{"y", 2}, {"unknown", 9}, {"x", 1}};
  EXPECT_EQ(decode<Point>(encode(numbers)), (Point{1, 2}));
  EXPECT_EQ(decode<Point>(encode(std::tuple<int, double>{1, 2})), (Point{1, 2}));
  EXPECT_EQ(complaint<Point>(std::map<std::string, int>{{"x", 1}}), "the value has no field 'y'");
}

TEST(Codec, NumbersInAVectorAreReadInPlace) {
  std::vector<float> values(5000);
  std::iota(values.begin(), values.end(), 0.f);
  const std::string bytes = encode(values);
  auto kept = std::make_shared<std::vector<uint64_t>>(bytes.size() / 8 + 1);
  std::memcpy(kept->data(), bytes.data(), bytes.size());
  const auto* begin = reinterpret_cast<const uint8_t*>(kept->data());
  std::weak_ptr<const void> watched = kept;
  Tensor tensor = ValueReader({begin, bytes.size()}, std::move(kept)).tensor();
  EXPECT_GE(tensor.data(), begin);
  EXPECT_LT(tensor.data(), begin + bytes.size());
  EXPECT_EQ(tensor.as_span<float>()[4999], 4999.f);
  EXPECT_FALSE(watched.expired());
  tensor = Tensor();
  EXPECT_TRUE(watched.expired());
}

TEST(Codec, WhatLiesAskewIsCopiedToWhereItCanBeRead) {
  const std::string bytes = encode(std::vector<double>{1, 2, 3});
  std::string askew = "x" + bytes;
  ValueReader in({reinterpret_cast<const uint8_t*>(askew.data()) + 1, bytes.size()}, nullptr);
  auto span = in.read<std::span<const double>>();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(span.data()) % alignof(double), 0u);
  EXPECT_EQ(span[2], 3.0);
}

TEST(Codec, VectorsTakeNumbersOfOtherTypesThatFit) {
  EXPECT_EQ(decode<std::vector<int>>(encode(std::vector<int64_t>{1, -2})), (std::vector<int>{1, -2}));
  EXPECT_EQ(decode<std::vector<double>>(encode(std::vector<uint8_t>{7})), (std::vector<double>{7}));
  EXPECT_EQ(decode<std::vector<uint8_t>>(encode(Bytes{"ab"})), (std::vector<uint8_t>{'a', 'b'}));
  EXPECT_EQ(decode<std::vector<int>>(encode(std::tuple<int, int>{1, 2})), (std::vector<int>{1, 2}));
  EXPECT_NE(complaint<std::vector<int8_t>>(std::vector<int>{300}).find("300 does not fit"),
            std::string::npos);
  EXPECT_NE(complaint<std::vector<uint32_t>>(std::vector<int>{-1}).find("-1 does not fit"),
            std::string::npos);
  EXPECT_NE(complaint<std::vector<int>>(std::vector<double>{1}).find("expected integers"), std::string::npos);
}

TEST(Codec, WhatDoesNotFitIsNamed) {
  EXPECT_EQ(complaint<int>(std::string("abc")), "expected an integer, found text of 3 bytes");
  EXPECT_EQ(complaint<int8_t>(300), "300 does not fit an integer of 8 bits");
  EXPECT_EQ(complaint<unsigned>(-1), "-1 does not fit an integer without sign");
  EXPECT_EQ(complaint<std::string>(1.5), "expected text, found a floating-point number");
  EXPECT_EQ((complaint<std::pair<int, int>>(std::tuple<int, int, int>{1, 2, 3})),
            "expected 2 items, found 3");
  EXPECT_EQ((complaint<std::map<std::string, int>>(std::vector<std::string>{})),
            "expected a map, found a list of 0");
  EXPECT_EQ(complaint<Tensor>(1), "expected a tensor (a vector of numbers, a NumPy array), found an integer");
  EXPECT_NE(complaint<std::span<const float>>(std::vector<double>{1}).find("float64, not float32"),
            std::string::npos);
  EXPECT_NE((complaint<std::variant<int>>(std::tuple<int, int>{5, 1}).find("no alternative 5")),
            std::string::npos);
}

TEST(Codec, AnyTakesEveryShape) {
  const Any document(Any::Map{{"name", "x"},
                              {"list", Any::List{1, 2.5, true, Any()}},
                              {"big", std::numeric_limits<uint64_t>::max()},
                              {"data", Tensor::copy_of(std::vector<int16_t>{1, 2, 3, 4}, {2, 2})},
                              {"raw", Bytes{"\xff"}}});
  const Any back = there_and_back(document);
  EXPECT_EQ(back.at("name").as<std::string>(), "x");
  EXPECT_EQ(back.at("list").at(0).as<int64_t>(), 1);
  EXPECT_EQ(back.at("list").at(1).number(), 2.5);
  EXPECT_TRUE(back.at("list").at(3).is_null());
  EXPECT_EQ(back.at("big").as<uint64_t>(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(back.at("data").as<Tensor>().shape(), (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(back.at("raw").size(), 1u);
  EXPECT_EQ(back.size(), 5u);
  EXPECT_THROW(back.at("none"), RayValueException);
  EXPECT_THROW(back.at("name").as<double>(), RayValueException);
}

TEST(Tensor, ItsMemoryIsAlignedAndItsTypeIsChecked) {
  Tensor tensor(DType::kInt32, {2, 3});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data()) % 64, 0u);
  tensor.mutable_span<int>()[5] = 9;
  EXPECT_EQ(tensor.as_span<int>().back(), 9);
  EXPECT_EQ(tensor.size_bytes(), 24u);
  EXPECT_THROW(tensor.as_span<float>(), RayValueException);
  EXPECT_THROW(Tensor(DType::kInt8, {-1}), RayValueException);
  EXPECT_THROW(Tensor::copy_of(std::vector<int>{1, 2}, {3}), RayValueException);
  const int outside[] = {1, 2};
  Tensor view(DType::kInt32, {2}, outside, nullptr);
  EXPECT_EQ(view.as_span<int>()[1], 2);
  EXPECT_THROW(view.mutable_data(), RayValueException);
}

}  // namespace
}  // namespace mobula
