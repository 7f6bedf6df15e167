// Tensors: shapes, memory, and what their types are called.
#include <mobula/tensor.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include <mobula/codec.h>

#include "wire/plain.h"

namespace mobula::inline v1 {
namespace {

constexpr std::string_view kNames[kElementTypes] = {"bool",   "int8",    "int16",   "int32",
                                                    "int64",  "uint8",   "uint16",  "uint32",
                                                    "uint64", "float16", "float32", "float64"};
static_assert(static_cast<uint8_t>(DType::kFloat64) == static_cast<uint8_t>(ElementType::kFloat64));
static_assert(static_cast<uint8_t>(DType::kUint8) == static_cast<uint8_t>(ElementType::kUint8));

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text = "{";
  for (int64_t side : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(side);
  return text + "}";
}

size_t elements_of(DType type, const std::vector<int64_t>& shape) {
  uint64_t count = 1, bytes = 0;
  for (int64_t side : shape) {
    if (side < 0 || __builtin_mul_overflow(count, static_cast<uint64_t>(side), &count) ||
        __builtin_mul_overflow(count, dtype_bytes(type), &bytes) || bytes > uint64_t{1} << 62) {
      throw RayValueException("no tensor can have the shape " + text_of(shape));
    }
  }
  return count;
}

}  // namespace

std::string_view to_string(DType type) {
  const auto at = static_cast<uint8_t>(type);
  return at < kElementTypes ? kNames[at] : "unknown";
}

size_t dtype_bytes(DType type) { return element_bytes(static_cast<ElementType>(type)); }

Tensor::Tensor(DType type, std::vector<int64_t> shape)
    : type_(type), shape_(std::move(shape)), size_(elements_of(type, shape_)), writable_(true) {
  const size_t room = (size_bytes() + kBufferAlignment) / kBufferAlignment * kBufferAlignment;
  std::shared_ptr<void> memory(std::aligned_alloc(kBufferAlignment, room), std::free);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory.get(), 0, room);
  data_ = memory.get();
  owner_ = std::move(memory);
}

Tensor::Tensor(DType type, std::vector<int64_t> shape, const void* data, std::shared_ptr<const void> owner)
    : type_(type),
      shape_(std::move(shape)),
      size_(elements_of(type, shape_)),
      data_(data),
      owner_(std::move(owner)) {}

Tensor Tensor::copy_bytes(DType type, std::vector<int64_t> shape, const void* data, size_t size) {
  Tensor made(type, std::move(shape));
  if (made.size_bytes() != size) {
    throw RayValueException("the shape " + text_of(made.shape_) + " has " + std::to_string(made.size_) +
                            " elements, the values are " + std::to_string(size / dtype_bytes(type)));
  }
  if (size > 0) std::memcpy(made.mutable_data(), data, size);
  return made;
}

void* Tensor::mutable_data() {
  if (!writable_)
    throw RayValueException("the tensor is a view of memory that it does not own: copy it to change it");
  return const_cast<void*>(data_);
}

void Tensor::check_type(DType wanted) const {
  if (wanted == type_) return;
  throw RayValueException("the tensor's elements are " + std::string(to_string(type_)) + ", not " +
                          std::string(to_string(wanted)));
}

namespace internal {

void check_vector_source(const Tensor& tensor, bool integers_wanted) {
  if (tensor.rank() != 1) {
    throw RayValueException("expected a tensor of one dimension, found one of shape " +
                            text_of(tensor.shape()));
  }
  if (integers_wanted && tensor.dtype() >= DType::kFloat16) {
    throw RayValueException("expected integers, found a tensor of " + std::string(to_string(tensor.dtype())));
  }
}

}  // namespace internal
}  // namespace mobula::inline v1
