// A value whose shape is known only when it is there: what Python passed, or a document. For the rest, plain
// types do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <mobula/codec.h>
#include <mobula/object_ref.h>

namespace mobula::inline v1 {

/// Null, bool, integer, double, text, bytes, list, map, tensor, Arrow stream, or a reference to an object.
class Any {
 public:
  using List = std::vector<Any>;
  /// In the order in which they were written; keys are mostly text.
  using Map = std::vector<std::pair<Any, Any>>;
  using Held = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Bytes, List, Map,
                            Tensor, ArrowStream, ObjectRef<Any>>;

  Any() = default;
  template <typename T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, Any>)
  Any(T&& value) {
    using Plain = std::remove_cvref_t<T>;
    if constexpr (std::is_same_v<Plain, bool>)
      held_ = value;
    else if constexpr (std::is_integral_v<Plain> && std::is_signed_v<Plain>)
      held_ = static_cast<int64_t>(value);
    else if constexpr (std::is_integral_v<Plain>)
      assign_unsigned(value);
    else if constexpr (std::is_floating_point_v<Plain>)
      held_ = static_cast<double>(value);
    else if constexpr (std::is_convertible_v<T, std::string_view>)
      held_ = std::string(std::string_view(value));
    else
      held_ = Held(std::forward<T>(value));
  }

  bool is_null() const { return std::holds_alternative<std::monostate>(held_); }
  template <typename T>
  bool is() const {
    return std::holds_alternative<T>(held_);
  }
  /// The value as one of Held's types; RayValueException when it is another.
  template <typename T>
  const T& as() const {
    if (const T* found = std::get_if<T>(&held_)) return *found;
    wrong_type();
  }
  /// A number of any kind as a double.
  double number() const;
  /// The value under a key of a map; RayValueException when this is no map or has no such key.
  const Any& at(std::string_view key) const;
  /// The item of a list; RayValueException when this is no list or too short.
  const Any& at(size_t index) const;
  /// Items of a list, pairs of a map, characters of text or bytes; 0 for the rest.
  size_t size() const;

  const Held& held() const { return held_; }
  Held& held() { return held_; }

 private:
  void assign_unsigned(uint64_t value);
  [[noreturn]] void wrong_type() const;

  Held held_;
};

template <>
struct Codec<Any> {
  static void encode(ValueWriter& out, const Any& value);
  static Any decode(ValueReader& in);
};

}  // namespace mobula::inline v1
