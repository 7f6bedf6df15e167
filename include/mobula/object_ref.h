// ObjectRef: a typed reference to a value that is in the object store, or will be once its task has run.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mobula/codec.h>
#include <mobula/session.h>

namespace mobula::inline v1 {

/// What Remote and Put return. Copies are cheap and count as one reference; the object is freed after the
/// last reference in any process is gone. As an argument of a remote call it is replaced by its value before
/// the call runs, unless the parameter is itself an ObjectRef; inside containers it stays a reference.
template <typename T>
class ObjectRef {
 public:
  using Type = T;

  ObjectRef() = default;
  explicit ObjectRef(internal::ObjectPtr object) : object_(std::move(object)) {}

  /// The value, waited for. What the task threw is thrown here as RayTaskException. Nothing for a T of void.
  auto Get() const { return Get(-1); }
  /// The same, with RayTimeoutException after `timeout_ms`; a negative number waits without limit.
  auto Get(int timeout_ms) const {
    auto values = internal::fetch({&object_, 1}, timeout_ms);
    if constexpr (!std::is_void_v<T>) return internal::decode_shared<T>(values.front());
  }

  /// The object's id: 32 hex digits; empty for a reference to nothing.
  std::string ID() const { return internal::to_hex(object_); }
  bool IsNil() const { return object_ == nullptr; }
  const internal::ObjectPtr& object() const { return object_; }

  bool operator==(const ObjectRef& other) const {
    if (object_ == nullptr || other.object_ == nullptr) return object_ == other.object_;
    return object_->key() == other.object_->key();
  }

 private:
  internal::ObjectPtr object_;
};

/// A reference inside a value: it keeps its object alive as long as the value exists.
template <typename T>
struct Codec<ObjectRef<T>> {
  static void encode(ValueWriter& out, const ObjectRef<T>& value) {
    if (value.IsNil()) return out.null();
    out.reference(value.object());
  }
  static ObjectRef<T> decode(ValueReader& in) {
    if (in.kind() == ItemKind::kNull) return in.null(), ObjectRef<T>();
    return ObjectRef<T>(in.reference());
  }
};

/// What Wait found, each part in the order in which it was asked for.
template <typename T>
struct WaitResult {
  std::list<ObjectRef<T>> ready;
  std::list<ObjectRef<T>> unready;
};

namespace internal {

template <typename T>
inline constexpr bool kIsObjectRef = false;
template <typename T>
inline constexpr bool kIsObjectRef<ObjectRef<T>> = true;

template <typename T>
std::vector<ObjectPtr> pointers_of(const std::vector<ObjectRef<T>>& objects) {
  std::vector<ObjectPtr> pointers;
  pointers.reserve(objects.size());
  for (const ObjectRef<T>& object : objects) pointers.push_back(object.object());
  return pointers;
}

}  // namespace internal

/// Stores a value. Numbers in vectors, tensors and Arrow tables are copied once, into the arena.
template <typename T>
ObjectRef<std::decay_t<T>> Put(const T& value) {
  static_assert(Encodable<std::decay_t<const T>>, MOBULA_NO_CODEC);
  ValueWriter out;
  Codec<std::decay_t<const T>>::encode(out, value);
  return ObjectRef<std::decay_t<T>>(internal::put(out));
}

/// The value of one object, waited for. It is a copy of its own, except for views (Tensor, std::span,
/// std::string_view, Arrow tables), which read the arena in place and keep the object there. Throws what the
/// object is instead of a value: RayTaskException, RayActorException, RayWorkerException, ...;
/// RayTimeoutException after `timeout_ms`.
template <typename T>
auto Get(const ObjectRef<T>& object, int timeout_ms = -1) {
  return object.Get(timeout_ms);
}

/// The values of several objects, in order. Throws as soon as one of them has failed. Nothing for a T of
/// void.
template <typename T>
auto Get(const std::vector<ObjectRef<T>>& objects, int timeout_ms = -1) {
  auto values = internal::fetch(internal::pointers_of(objects), timeout_ms);
  if constexpr (!std::is_void_v<T>) {
    std::vector<std::shared_ptr<T>> decoded;
    decoded.reserve(values.size());
    for (const internal::Fetched& value : values) decoded.push_back(internal::decode_shared<T>(value));
    return decoded;
  }
}

/// Waits until `num_objects` of them are ready or have failed, or `timeout_ms` has passed (negative: no
/// limit). At most `num_objects` are given as ready.
template <typename T>
WaitResult<T> Wait(const std::vector<ObjectRef<T>>& objects, int num_objects, int timeout_ms) {
  const std::vector<bool> ready = internal::wait(internal::pointers_of(objects), num_objects, timeout_ms);
  WaitResult<T> result;
  for (size_t i = 0; i < objects.size(); ++i)
    (ready[i] ? result.ready : result.unready).push_back(objects[i]);
  return result;
}

}  // namespace mobula::inline v1

template <typename T>
struct std::hash<mobula::ObjectRef<T>> {
  size_t operator()(const mobula::ObjectRef<T>& ref) const {
    if (ref.IsNil()) return 0;
    const auto& key = ref.object()->key();
    return (key.task * 0x9E3779B97F4A7C15ull + key.index) >> 7;
  }
};
