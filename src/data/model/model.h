// The words of this folder: element types, shapes and views of tensors in caller memory.
// Plain values, any thread. Tests: predictor_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mobula::model {

enum class Element : uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF16,
  kBf16,
  kF32,
  kF64,
  kOther,
};

/// "f32"
std::string_view to_string(Element element);
/// 0 for kOther.
size_t element_bytes(Element element);

/// Lengths of the axes, outermost first; -1 is free.
using Shape = std::vector<int64_t>;

/// "1x128x128x3"; a free axis shows as '?'.
std::string to_string(const Shape& shape);
/// Elements of a shape without free axes; 0 if one is free or the product exceeds 2^40.
size_t element_count(const Shape& shape);

/// An input or output of a model.
struct Port {
  std::string name;
  Element element = Element::kOther;
  Shape shape;
};

/// A tensor in someone else's memory, packed, outermost axis first.
struct TensorView {
  Element element = Element::kOther;
  Shape shape;
  std::span<const std::byte> bytes;

  std::span<const float> floats() const {
    return {reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float)};
  }
};

}  // namespace mobula::model
