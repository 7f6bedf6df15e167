// ObjectRefGenerator: the reading end of a remote generator. Its values stay in the object store until they
// are read; references to them are passed on without a copy.
#pragma once

#include <iterator>
#include <list>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <mobula/generator.h>
#include <mobula/object_ref.h>
#include <mobula/session.h>

namespace mobula::inline v1 {

/// What Remote returns for a function whose result is a Generator<T>: an ObjectRef<T> for each value, as soon
/// as it is there. An error of the task comes as one last reference, whose Get throws. Copies share the place
/// in the stream; one thread at a time reads. When the last copy is gone, values that were not read are freed
/// and the function ends at its next value. It is no value: pass on the references that it gives.
template <typename T>
class ObjectRefGenerator {
 public:
  using Type = T;

  ObjectRefGenerator() = default;
  explicit ObjectRefGenerator(internal::StreamPtr stream) : stream_(std::move(stream)) {}

  /// The next value's reference once it is there; nothing at the end. RayTimeoutException after `timeout_ms`;
  /// a negative number waits without limit. RayException for a generator of nothing.
  std::optional<ObjectRef<T>> Next(int timeout_ms = -1) {
    internal::ObjectPtr item = internal::next_item(stream_, timeout_ms);
    if (item == nullptr) return std::nullopt;
    return ObjectRef<T>(std::move(item));
  }

  /// Reads the rest: for (const ObjectRef<T>& ref : generator).
  class Iterator {
   public:
    using value_type = ObjectRef<T>;
    using difference_type = std::ptrdiff_t;

    explicit Iterator(ObjectRefGenerator* generator) : generator_(generator), item_(generator->Next()) {}
    const ObjectRef<T>& operator*() const { return *item_; }
    Iterator& operator++() {
      item_ = generator_->Next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !item_; }

   private:
    ObjectRefGenerator* generator_;
    std::optional<ObjectRef<T>> item_;
  };
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

  /// The id of the first value: 32 hex digits; empty for a generator of nothing.
  std::string ID() const { return internal::to_hex(stream_); }
  bool IsNil() const { return stream_ == nullptr; }
  const internal::StreamPtr& stream() const { return stream_; }

  /// Whether both read the same stream.
  bool operator==(const ObjectRefGenerator& other) const { return stream_ == other.stream_; }

 private:
  internal::StreamPtr stream_;
};

/// What Wait found among generators, each part in the order in which it was asked for.
template <typename T>
struct GeneratorWaitResult {
  std::list<ObjectRefGenerator<T>> ready;
  std::list<ObjectRefGenerator<T>> unready;
};

/// Waits until `num_generators` of them have their next value, or have ended, so that Next does not wait; or
/// until `timeout_ms` has passed (negative: no limit). At most `num_generators` are given as ready.
template <typename T>
GeneratorWaitResult<T> Wait(const std::vector<ObjectRefGenerator<T>>& generators, int num_generators,
                            int timeout_ms) {
  std::vector<internal::ObjectPtr> asked;
  for (const ObjectRefGenerator<T>& generator : generators)
    asked.push_back(internal::asked_item(generator.stream()));
  const std::vector<bool> ready = internal::wait(asked, num_generators, timeout_ms);
  GeneratorWaitResult<T> result;
  for (size_t i = 0; i < generators.size(); ++i)
    (ready[i] ? result.ready : result.unready).push_back(generators[i]);
  return result;
}

namespace internal {

template <typename R>
struct ReferenceOf {
  using type = ObjectRef<R>;
};
template <typename T>
struct ReferenceOf<Generator<T>> {
  using type = ObjectRefGenerator<T>;
};

/// What stands for the result of a function of that type.
template <typename R>
using ReferenceTo = typename ReferenceOf<std::decay_t<R>>::type;

}  // namespace internal
}  // namespace mobula::inline v1
