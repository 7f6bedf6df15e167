// Names and sizes of element types and shapes. Tests: predictor_test.cc.
#include "data/model/model.h"

namespace mobula::model {

std::string_view to_string(Element element) {
  switch (element) {
    case Element::kBool:
      return "bool";
    case Element::kU8:
      return "u8";
    case Element::kI8:
      return "i8";
    case Element::kU16:
      return "u16";
    case Element::kI16:
      return "i16";
    case Element::kU32:
      return "u32";
    case Element::kI32:
      return "i32";
    case Element::kU64:
      return "u64";
    case Element::kI64:
      return "i64";
    case Element::kF16:
      return "f16";
    case Element::kBf16:
      return "bf16";
    case Element::kF32:
      return "f32";
    case Element::kF64:
      return "f64";
    case Element::kOther:
      return "other";
  }
  return "other";
}

size_t element_bytes(Element element) {
  switch (element) {
    case Element::kBool:
    case Element::kU8:
    case Element::kI8:
      return 1;
    case Element::kU16:
    case Element::kI16:
    case Element::kF16:
    case Element::kBf16:
      return 2;
    case Element::kU32:
    case Element::kI32:
    case Element::kF32:
      return 4;
    case Element::kU64:
    case Element::kI64:
    case Element::kF64:
      return 8;
    case Element::kOther:
      return 0;
  }
  return 0;
}

std::string to_string(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (int64_t length : shape) {
    if (!text.empty()) text += 'x';
    text += length < 0 ? "?" : std::to_string(length);
  }
  return text;
}

size_t element_count(const Shape& shape) {
  constexpr size_t kMax = size_t{1} << 40;
  size_t count = 1;
  for (int64_t length : shape) {
    if (length < 0) return 0;
    if (length > 0 && count > kMax / static_cast<size_t>(length)) return 0;
    count *= static_cast<size_t>(length);
  }
  return count;
}

}  // namespace mobula::model
