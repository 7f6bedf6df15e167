// Values that other memory holds: tensors, raw bytes, Arrow streams. Reading one from the arena copies
// nothing: it points into the arena and keeps its object there until the last copy of it is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <mobula/exception.h>

namespace mobula::inline v1 {

/// Type of a tensor's elements. kFloat16 has no C++ type here: read it as raw bytes.
enum class DType : uint8_t {
  kBool = 0,
  kInt8 = 1,
  kInt16 = 2,
  kInt32 = 3,
  kInt64 = 4,
  kUint8 = 5,
  kUint16 = 6,
  kUint32 = 7,
  kUint64 = 8,
  kFloat16 = 9,
  kFloat32 = 10,
  kFloat64 = 11,
};

/// "int64", "float32", as NumPy calls them.
std::string_view to_string(DType type);

/// Bytes of one element.
size_t dtype_bytes(DType type);

/// Whether T is stored as a tensor's element: bool, integers, float and double.
template <typename T>
concept TensorElement = std::is_same_v<T, bool> || std::is_same_v<T, float> || std::is_same_v<T, double> ||
                        (std::is_integral_v<T> && !std::is_same_v<T, wchar_t> && sizeof(T) <= 8);

/// The DType of a C++ type.
template <TensorElement T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, bool>) return DType::kBool;
  if constexpr (std::is_same_v<T, float>) return DType::kFloat32;
  if constexpr (std::is_same_v<T, double>) return DType::kFloat64;
  constexpr uint8_t log = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 1 : sizeof(T) == 4 ? 2 : 3;
  return static_cast<DType>((std::is_signed_v<T> ? 1 : 5) + log);
}

/// An array of numbers in rows, dense; NumPy's ndarray in the other language. A cheap handle: copies share
/// the elements.
class Tensor {
 public:
  /// No elements: shape {0}.
  Tensor() = default;
  /// Own memory, 64-byte aligned, all zero.
  Tensor(DType type, std::vector<int64_t> shape);
  /// Someone else's memory, kept alive by `owner`. It is not written through this tensor.
  Tensor(DType type, std::vector<int64_t> shape, const void* data, std::shared_ptr<const void> owner);

  /// A copy of `values`, one-dimensional unless a shape is given that has as many elements.
  template <TensorElement T>
  static Tensor copy_of(std::span<const T> values, std::vector<int64_t> shape = {}) {
    if (shape.empty()) shape = {static_cast<int64_t>(values.size())};
    return copy_bytes(dtype_of<T>(), std::move(shape), values.data(), values.size_bytes());
  }
  template <TensorElement T>
  static Tensor copy_of(const std::vector<T>& values, std::vector<int64_t> shape = {}) {
    return copy_of(std::span<const T>(values), std::move(shape));
  }

  DType dtype() const { return type_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  size_t rank() const { return shape_.size(); }
  /// Number of elements.
  size_t size() const { return size_; }
  size_t size_bytes() const { return size_ * dtype_bytes(type_); }
  const void* data() const { return data_; }
  /// What keeps the elements alive; null for an empty tensor.
  const std::shared_ptr<const void>& owner() const { return owner_; }

  /// The elements in row-major order, without a copy. RayValueException when they are of another type.
  template <TensorElement T>
  std::span<const T> as_span() const {
    check_type(dtype_of<T>());
    return {static_cast<const T*>(data_), size_};
  }
  /// The elements to write to. RayValueException for a tensor that does not own its memory.
  template <TensorElement T>
  std::span<T> mutable_span() {
    check_type(dtype_of<T>());
    return {static_cast<T*>(mutable_data()), size_};
  }
  /// The memory to write to; RayValueException for a tensor that does not own it.
  void* mutable_data();

 private:
  static Tensor copy_bytes(DType type, std::vector<int64_t> shape, const void* data, size_t size);
  void check_type(DType wanted) const;

  DType type_ = DType::kFloat64;
  std::vector<int64_t> shape_ = {0};
  size_t size_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  bool writable_ = false;
};

/// Raw bytes that are no text; `bytes` in Python. (A std::string is text: `str`.)
struct Bytes {
  std::string data;
  auto operator<=>(const Bytes&) const = default;
};

/// An Arrow IPC stream, not decoded: <mobula/arrow.h> makes an arrow::Table of it without a copy.
struct ArrowStream {
  std::span<const uint8_t> data;
  std::shared_ptr<const void> owner;
};

}  // namespace mobula::inline v1
