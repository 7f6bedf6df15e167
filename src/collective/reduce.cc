// Whole numbers wrap round as NumPy's do; of a NaN and a number, least and greatest are NaN. Half floats are
// combined as floats and rounded to even. Sums of bools are "or", products "and".
#include "collective/reduce.h"

#include <array>
#include <bit>
#include <cmath>
#include <complex>
#include <string>
#include <type_traits>

namespace mobula::collective {
namespace {

struct Bool {
  uint8_t value;
};

struct Bfloat16 {
  uint16_t bits;
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  static Bfloat16 from(float value) {
    auto wide = std::bit_cast<uint32_t>(value);
    if (value != value) return {static_cast<uint16_t>(wide >> 16 | 0x40)};  // a NaN stays one
    return {static_cast<uint16_t>((wide + 0x7FFF + (wide >> 16 & 1)) >> 16)};
  }
};

/// IEEE half precision, in portable bit arithmetic.
struct Float16 {
  uint16_t bits;
  operator float() const {
    uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16, rest = bits & 0x7FFF;
    if (rest >= 0x7C00) return std::bit_cast<float>(sign | 0x7F800000 | (rest & 0x3FF) << 13);
    if (rest >= 0x0400) return std::bit_cast<float>(sign | ((rest << 13) + 0x38000000));
    float small = std::ldexp(static_cast<float>(rest), -24);
    return sign ? -small : small;
  }
  static Float16 from(float value) {
    auto wide = std::bit_cast<uint32_t>(value);
    auto sign = static_cast<uint16_t>(wide >> 16 & 0x8000);
    uint32_t rest = wide & 0x7FFFFFFF;
    if (rest > 0x7F800000) return {static_cast<uint16_t>(sign | 0x7E00)};
    if (rest >= 0x47800000) return {static_cast<uint16_t>(sign | 0x7C00)};
    if (rest < 0x38800000) {  // subnormal: whole multiples of 2^-24, rounded to even
      auto units = std::nearbyint(std::ldexp(std::bit_cast<float>(rest), 24));
      return {static_cast<uint16_t>(sign | static_cast<uint16_t>(units))};
    }
    uint32_t rounded = rest - 0x38000000 + 0xFFF + (rest >> 13 & 1);
    return {static_cast<uint16_t>(sign | rounded >> 13)};
  }
};

template <typename T>
constexpr bool kIsHalf = std::is_same_v<T, Float16> || std::is_same_v<T, Bfloat16>;

template <typename T>
bool is_nan(T value) {
  if constexpr (std::is_floating_point_v<T>) return value != value;
  return false;
}

template <typename T, ReduceOp op>
T combined(T a, T b) {
  if constexpr (std::is_same_v<T, Bool>) {
    bool any = op == ReduceOp::kSum || op == ReduceOp::kMax;
    return {static_cast<uint8_t>(any ? a.value | b.value : a.value & b.value)};
  } else if constexpr (kIsHalf<T>) {
    return T::from(combined<float, op>(a, b));
  } else if constexpr (std::is_integral_v<T> && (op == ReduceOp::kSum || op == ReduceOp::kProduct)) {
    auto x = static_cast<uint64_t>(a), y = static_cast<uint64_t>(b);  // unsigned: wrapping is defined
    return static_cast<T>(op == ReduceOp::kSum ? x + y : x * y);
  } else if constexpr (op == ReduceOp::kSum) {
    return a + b;
  } else if constexpr (op == ReduceOp::kProduct) {
    return a * b;
  } else if constexpr (op == ReduceOp::kMin) {
    return a < b || is_nan(a) ? a : b;
  } else {
    return a > b || is_nan(a) ? a : b;
  }
}

template <typename T, ReduceOp op>
void combine(uint8_t* into, const uint8_t* from, size_t count) {
  auto* out = reinterpret_cast<T*>(into);
  auto* in = reinterpret_cast<const T*>(from);
  for (size_t i = 0; i < count; ++i) out[i] = combined<T, op>(out[i], in[i]);
}

template <typename T>
constexpr std::array<Combine, 4> all_ops() {
  constexpr bool ordered =
      !std::is_same_v<T, std::complex<float>> && !std::is_same_v<T, std::complex<double>>;
  if constexpr (ordered) {
    return {combine<T, ReduceOp::kSum>, combine<T, ReduceOp::kProduct>, combine<T, ReduceOp::kMin>,
            combine<T, ReduceOp::kMax>};
  } else {
    return {combine<T, ReduceOp::kSum>, combine<T, ReduceOp::kProduct>, nullptr, nullptr};
  }
}

struct Row {
  std::string_view name;
  size_t bytes;
  std::array<Combine, 4> combines;
};

constexpr Row kRows[kElementTypes] = {
    {"bool", 1, all_ops<Bool>()},
    {"int8", 1, all_ops<int8_t>()},
    {"uint8", 1, all_ops<uint8_t>()},
    {"int16", 2, all_ops<int16_t>()},
    {"uint16", 2, all_ops<uint16_t>()},
    {"int32", 4, all_ops<int32_t>()},
    {"uint32", 4, all_ops<uint32_t>()},
    {"int64", 8, all_ops<int64_t>()},
    {"uint64", 8, all_ops<uint64_t>()},
    {"float16", 2, all_ops<Float16>()},
    {"bfloat16", 2, all_ops<Bfloat16>()},
    {"float32", 4, all_ops<float>()},
    {"float64", 8, all_ops<double>()},
    {"complex64", 8, all_ops<std::complex<float>>()},
    {"complex128", 16, all_ops<std::complex<double>>()},
};
constexpr std::string_view kOps[] = {"SUM", "PRODUCT", "MIN", "MAX"};

const Row& row_of(ElementType type) { return kRows[static_cast<size_t>(type)]; }

}  // namespace

std::string_view to_string(ElementType type) { return row_of(type).name; }
std::string_view to_string(ReduceOp op) { return kOps[static_cast<size_t>(op)]; }
size_t bytes_of(ElementType type) { return row_of(type).bytes; }

Result<ElementType> element_type(std::string_view name) {
  for (size_t i = 0; i < kElementTypes; ++i) {
    if (kRows[i].name == name) return static_cast<ElementType>(i);
  }
  return Status(Code::kUnsupported, "arrays of " + std::string(name) + " cannot be passed between members");
}

Result<Combine> combine_of(ElementType type, ReduceOp op) {
  Combine found = row_of(type).combines[static_cast<size_t>(op)];
  if (found != nullptr) return found;
  return Status(Code::kUnsupported,
                std::string(to_string(op)) + " of " + std::string(to_string(type)) + " is not defined");
}

}  // namespace mobula::collective
