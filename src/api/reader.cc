// Values on their way in: a ValueReader over the items of an envelope.
#include <mobula/codec.h>
#include <mobula/serialize.h>

#include <cstdlib>
#include <cstring>
#include <limits>

#include "api/session.h"
#include "wire/plain.h"

namespace mobula::inline v1 {
namespace {

ItemKind kind_of(PlainKind kind) {
  switch (kind) {
    case PlainKind::kNull:
      return ItemKind::kNull;
    case PlainKind::kFalse:
    case PlainKind::kTrue:
      return ItemKind::kBool;
    case PlainKind::kInt:
    case PlainKind::kUint:
      return ItemKind::kInteger;
    case PlainKind::kFloat:
      return ItemKind::kReal;
    case PlainKind::kString:
      return ItemKind::kText;
    case PlainKind::kBytes:
    case PlainKind::kLongBytes:
      return ItemKind::kBytes;
    case PlainKind::kList:
    case PlainKind::kTuple:
    case PlainKind::kSet:
      return ItemKind::kList;
    case PlainKind::kMap:
      return ItemKind::kMap;
    case PlainKind::kTensor:
      return ItemKind::kTensor;
    case PlainKind::kArrow:
      return ItemKind::kArrow;
    case PlainKind::kReference:
      return ItemKind::kReference;
    case PlainKind::kActor:
      return ItemKind::kActor;
  }
  return ItemKind::kNull;
}

std::string describe(const PlainItem& item) {
  switch (kind_of(item.kind)) {
    case ItemKind::kNull:
      return "null (None)";
    case ItemKind::kBool:
      return "a bool";
    case ItemKind::kInteger:
      return "an integer";
    case ItemKind::kReal:
      return "a floating-point number";
    case ItemKind::kText:
      return "text of " + std::to_string(item.bytes.size()) + " bytes";
    case ItemKind::kBytes:
      return std::to_string(item.bytes.size()) + " bytes";
    case ItemKind::kList:
      return "a list of " + std::to_string(item.count);
    case ItemKind::kMap:
      return "a map of " + std::to_string(item.count);
    case ItemKind::kTensor:
      return "a tensor of " + std::string(to_string(static_cast<DType>(item.type))) + " with " +
             std::to_string(item.shape.size()) + " dimensions";
    case ItemKind::kArrow:
      return "an Arrow stream";
    case ItemKind::kReference:
      return "a reference to an object";
    case ItemKind::kActor:
      return "a handle to an actor";
  }
  return "something unknown";
}

/// The bytes at an address that elements of this size can be read at: copied where they lie askew.
std::shared_ptr<const void> aligned(std::span<const uint8_t>& bytes, size_t alignment,
                                    const std::shared_ptr<const void>& owner) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignment == 0) return owner;
  const size_t room = (bytes.size() + kBufferAlignment) / kBufferAlignment * kBufferAlignment;
  std::shared_ptr<void> copy(std::aligned_alloc(kBufferAlignment, room), std::free);
  if (copy == nullptr) throw RayValueException("no memory for " + std::to_string(room) + " bytes");
  std::memcpy(copy.get(), bytes.data(), bytes.size());
  bytes = {static_cast<const uint8_t*>(copy.get()), bytes.size()};
  return copy;
}

}  // namespace

struct ValueReader::State {
  PlainCursor cursor;
  std::shared_ptr<const void> owner;
  std::vector<std::shared_ptr<const void>> kept;

  const PlainItem& expect(const ValueReader& reader, ItemKind wanted, std::string_view name) const {
    if (cursor.at_end() || kind_of(cursor.peek()) != wanted) reader.mismatch(name);
    return cursor.item();
  }
};

ValueReader::ValueReader(std::span<const uint8_t> envelope, std::shared_ptr<const void> owner) {
  Result<PlainCursor> cursor = PlainCursor::open(envelope);
  if (!cursor.is_ok()) throw RayValueException(cursor.status().message());
  state_ = std::make_unique<State>(State{std::move(*cursor), std::move(owner), {}});
}
ValueReader::ValueReader(ValueReader&&) noexcept = default;
ValueReader& ValueReader::operator=(ValueReader&&) noexcept = default;
ValueReader::~ValueReader() = default;

void ValueReader::mismatch(std::string_view wanted) const {
  throw RayValueException("expected " + std::string(wanted) + ", found " +
                          (state_->cursor.at_end() ? "nothing more" : describe(state_->cursor.item())));
}

ItemKind ValueReader::kind() const {
  if (state_->cursor.at_end()) mismatch("another value");
  return kind_of(state_->cursor.peek());
}

void ValueReader::null() {
  state_->expect(*this, ItemKind::kNull, "null");
  state_->cursor.advance();
}

bool ValueReader::boolean() {
  const bool value = state_->expect(*this, ItemKind::kBool, "a bool").kind == PlainKind::kTrue;
  state_->cursor.advance();
  return value;
}

int64_t ValueReader::integer() {
  if (kind() == ItemKind::kBool) return boolean() ? 1 : 0;
  const PlainItem& item = state_->expect(*this, ItemKind::kInteger, "an integer");
  if (item.kind == PlainKind::kUint) {
    throw RayValueException(std::to_string(item.unsigned_integer) +
                            " does not fit an integer of 64 bits with sign");
  }
  const int64_t value = item.integer;
  state_->cursor.advance();
  return value;
}

uint64_t ValueReader::unsigned_integer() {
  if (kind() == ItemKind::kBool) return boolean() ? 1 : 0;
  const PlainItem& item = state_->expect(*this, ItemKind::kInteger, "an integer");
  if (item.kind == PlainKind::kInt && item.integer < 0) {
    throw RayValueException(std::to_string(item.integer) + " does not fit an integer without sign");
  }
  const uint64_t value =
      item.kind == PlainKind::kUint ? item.unsigned_integer : static_cast<uint64_t>(item.integer);
  state_->cursor.advance();
  return value;
}

double ValueReader::real() {
  if (kind() == ItemKind::kInteger) {
    const PlainItem& item = state_->cursor.item();
    const double value = item.kind == PlainKind::kUint ? static_cast<double>(item.unsigned_integer)
                                                       : static_cast<double>(item.integer);
    state_->cursor.advance();
    return value;
  }
  const double value = state_->expect(*this, ItemKind::kReal, "a number").real;
  state_->cursor.advance();
  return value;
}

std::string_view ValueReader::text() {
  if (kind() != ItemKind::kText && kind() != ItemKind::kBytes) mismatch("text");
  const std::string_view value = state_->cursor.item().text();
  state_->cursor.advance();
  return value;
}

std::span<const uint8_t> ValueReader::bytes() {
  const std::string_view value = text();
  return {reinterpret_cast<const uint8_t*>(value.data()), value.size()};
}

size_t ValueReader::list() {
  const size_t count = state_->expect(*this, ItemKind::kList, "a list").count;
  state_->cursor.advance();
  return count;
}

size_t ValueReader::map() {
  const size_t count = state_->expect(*this, ItemKind::kMap, "a map").count;
  state_->cursor.advance();
  return count;
}

Tensor ValueReader::tensor() {
  const PlainItem& item =
      state_->expect(*this, ItemKind::kTensor, "a tensor (a vector of numbers, a NumPy array)");
  std::span<const uint8_t> bytes = item.bytes;
  auto owner = aligned(bytes, element_bytes(item.type), state_->owner);
  Tensor value(static_cast<DType>(item.type), item.shape, bytes.data(), std::move(owner));
  state_->cursor.advance();
  return value;
}

ArrowStream ValueReader::arrow() {
  std::span<const uint8_t> bytes = state_->expect(*this, ItemKind::kArrow, "an Arrow table").bytes;
  auto owner = aligned(bytes, kBufferAlignment, state_->owner);
  state_->cursor.advance();
  return {bytes, std::move(owner)};
}

internal::ObjectPtr ValueReader::reference() {
  const ObjectId id = state_->expect(*this, ItemKind::kReference, "a reference to an object").reference;
  auto object = internal::require_session()->share(id);
  state_->cursor.advance();
  return object;
}

internal::ActorPtr ValueReader::actor() {
  const PlainActor& found = state_->expect(*this, ItemKind::kActor, "a handle to an actor").actor;
  auto actor = internal::require_session()->share(internal::key_of(found));
  state_->cursor.advance();
  return actor;
}

void ValueReader::skip() {
  kind();
  state_->cursor.skip();
}

void ValueReader::keep(std::shared_ptr<const void> owner) {
  if (owner != nullptr && owner != state_->owner) state_->kept.push_back(std::move(owner));
}

std::shared_ptr<const void> ValueReader::owner() const {
  if (state_->kept.empty()) return state_->owner;
  return std::make_shared<std::pair<std::shared_ptr<const void>, std::vector<std::shared_ptr<const void>>>>(
      state_->owner, state_->kept);
}

}  // namespace mobula::inline v1
