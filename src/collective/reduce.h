// Element types and the four ways to combine them. Pure functions over arrays. Tests: reduce_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace mobula::collective {

enum class ElementType : uint8_t {
  kBool,
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kFloat16,
  kBfloat16,
  kFloat32,
  kFloat64,
  kComplex64,
  kComplex128,
};
constexpr size_t kElementTypes = 15;

enum class ReduceOp : uint8_t { kSum, kProduct, kMin, kMax };

/// NumPy's and torch's word: "float32", "bfloat16", ...
std::string_view to_string(ElementType type);
Result<ElementType> element_type(std::string_view name);
std::string_view to_string(ReduceOp op);
size_t bytes_of(ElementType type);

/// into[i] = into[i] op from[i]; both aligned to the element, without overlap.
using Combine = void (*)(uint8_t* into, const uint8_t* from, size_t count);
/// `unsupported` for the least and the greatest of complex numbers.
Result<Combine> combine_of(ElementType type, ReduceOp op);

}  // namespace mobula::collective
