// The codecs of the standard's types, and MOBULA_SERIALIZE for one's own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <mobula/serialize.h>

/// In a struct: MOBULA_SERIALIZE(field, other) makes it a value. It travels as a map from the fields' names
/// to their values (a dict in Python); every field has to be there when it is read. The struct needs a
/// default constructor.
#define MOBULA_SERIALIZE(...)                                                     \
  static constexpr std::string_view mobula_field_names() { return #__VA_ARGS__; } \
  auto mobula_fields() { return std::tie(__VA_ARGS__); }                          \
  auto mobula_fields() const { return std::tie(__VA_ARGS__); }                    \
  static_assert(true, "takes the semicolon")

namespace mobula::inline v1 {
namespace internal {

template <typename T>
concept HasFields = requires(T& value) {
  value.mobula_fields();
  T::mobula_field_names();
};

/// "a, b, c" as three names.
template <size_t N>
constexpr std::array<std::string_view, N> split_names(std::string_view list) {
  std::array<std::string_view, N> names;
  for (size_t i = 0; i < N; ++i) {
    std::string_view name = list.substr(0, list.find(','));
    list.remove_prefix(i + 1 < N ? name.size() + 1 : name.size());
    while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    names[i] = name;
  }
  return names;
}

/// How many items a list has when exactly `wanted` are wanted.
inline void expect_count(size_t found, size_t wanted) {
  if (found == wanted) return;
  throw RayValueException("expected " + std::to_string(wanted) + " items, found " + std::to_string(found));
}

}  // namespace internal

template <>
struct Codec<bool> {
  static void encode(ValueWriter& out, bool value) { out.boolean(value); }
  static bool decode(ValueReader& in) { return in.boolean(); }
};

template <typename T>
  requires std::is_integral_v<T>
struct Codec<T> {
  static void encode(ValueWriter& out, T value) {
    if constexpr (std::is_signed_v<T>)
      out.integer(value);
    else
      out.unsigned_integer(value);
  }
  static T decode(ValueReader& in) {
    if constexpr (std::is_signed_v<T>)
      return narrow(in.integer());
    else
      return narrow(in.unsigned_integer());
  }

 private:
  template <typename Wide>
  static T narrow(Wide value) {
    if (value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max())
      return static_cast<T>(value);
    throw RayValueException(std::to_string(value) + " does not fit an integer of " +
                            std::to_string(sizeof(T) * 8) + " bits");
  }
};

template <typename T>
  requires std::is_floating_point_v<T>
struct Codec<T> {
  static void encode(ValueWriter& out, T value) { out.real(static_cast<double>(value)); }
  static T decode(ValueReader& in) { return static_cast<T>(in.real()); }
};

template <typename T>
  requires std::is_enum_v<T>
struct Codec<T> {
  using Number = std::underlying_type_t<T>;
  static void encode(ValueWriter& out, T value) { Codec<Number>::encode(out, static_cast<Number>(value)); }
  static T decode(ValueReader& in) { return static_cast<T>(Codec<Number>::decode(in)); }
};

template <>
struct Codec<std::string> {
  static void encode(ValueWriter& out, const std::string& value) { out.text(value); }
  static std::string decode(ValueReader& in) { return std::string(in.text()); }
};

/// Read in place: the view is valid as long as the argument, or the pointer that Get returned.
template <>
struct Codec<std::string_view> {
  static void encode(ValueWriter& out, std::string_view value) { out.text(value); }
  static std::string_view decode(ValueReader& in) {
    in.borrow();
    return in.text();
  }
};

/// Written only.
template <>
struct Codec<const char*> {
  static void encode(ValueWriter& out, const char* value) { out.text(value); }
};
template <>
struct Codec<char*> : Codec<const char*> {};

template <>
struct Codec<Bytes> {
  static void encode(ValueWriter& out, const Bytes& value) {
    out.bytes({reinterpret_cast<const uint8_t*>(value.data.data()), value.data.size()});
  }
  static Bytes decode(ValueReader& in) { return Bytes{std::string(in.text())}; }
};

template <>
struct Codec<Tensor> {
  static void encode(ValueWriter& out, const Tensor& value) {
    out.tensor(value.dtype(), value.shape(), value.data());
  }
  static Tensor decode(ValueReader& in) { return in.tensor(); }
};

template <>
struct Codec<ArrowStream> {
  static void encode(ValueWriter& out, const ArrowStream& value) {
    std::span<const uint8_t> data = value.data;
    out.keep(value.owner);
    out.arrow(data.size(),
              [data](std::span<uint8_t> place) { std::copy(data.begin(), data.end(), place.begin()); });
  }
  static ArrowStream decode(ValueReader& in) { return in.arrow(); }
};

template <>
struct Codec<std::monostate> {
  static void encode(ValueWriter& out, std::monostate) { out.null(); }
  static std::monostate decode(ValueReader& in) { return in.null(), std::monostate{}; }
};

/// Structs with MOBULA_SERIALIZE: written as a map; read from a map, or from a list in the fields' order.
template <typename T>
  requires internal::HasFields<T>
struct Codec<T> {
  static constexpr size_t kCount = std::tuple_size_v<decltype(std::declval<T&>().mobula_fields())>;
  static constexpr auto kNames = internal::split_names<kCount>(T::mobula_field_names());

  static void encode(ValueWriter& out, const T& value) {
    out.map(kCount);
    size_t at = 0;
    std::apply([&](const auto&... field) { ((out.text(kNames[at++]), write_field(out, field)), ...); },
               value.mobula_fields());
  }
  static T decode(ValueReader& in) {
    T value{};
    auto fields = value.mobula_fields();
    if (in.kind() == ItemKind::kList) {
      internal::expect_count(in.list(), kCount);
      std::apply([&](auto&... field) { (read_field(in, field), ...); }, fields);
      return value;
    }
    std::array<bool, kCount> found{};
    for (size_t left = in.map(); left > 0; --left) {
      const std::string_view name = in.text();
      size_t at = 0;
      bool taken = false;
      std::apply(
          [&](auto&... field) {
            ((name == kNames[at] ? (read_field(in, field), found[at] = taken = true) : false, ++at), ...);
          },
          fields);
      if (!taken) in.skip();
    }
    for (size_t i = 0; i < kCount; ++i) {
      if (!found[i]) throw RayValueException("the value has no field '" + std::string(kNames[i]) + "'");
    }
    return value;
  }

 private:
  template <typename F>
  static void write_field(ValueWriter& out, const F& field) {
    Codec<F>::encode(out, field);
  }
  template <typename F>
  static void read_field(ValueReader& in, F& field) {
    field = Codec<F>::decode(in);
  }
};

}  // namespace mobula::inline v1

#include <mobula/containers.h>  // IWYU pragma: export
