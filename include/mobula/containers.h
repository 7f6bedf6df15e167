// The codecs of the standard's containers: vectors, spans, arrays, tuples, sets, maps, optional, variant,
// pointers. Included by <mobula/codec.h>.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include <mobula/codec.h>

namespace mobula::inline v1 {
namespace internal {

/// Elements of a tensor as another type of number; RayValueException when one does not fit.
template <TensorElement To, TensorElement From>
To convert_element(From value) {
  const To converted = static_cast<To>(value);
  if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
    if (static_cast<From>(converted) != value || (converted < To{}) != (value < From{})) {
      throw RayValueException(std::to_string(value) + " does not fit the elements of the vector");
    }
  }
  return converted;
}

/// Calls `visit` with a value of the C++ type of `type`'s elements; RayValueException for float16.
template <typename Visit>
void with_element_type(DType type, Visit visit) {
  switch (type) {
    case DType::kBool:
      return visit(bool{});
    case DType::kInt8:
      return visit(int8_t{});
    case DType::kInt16:
      return visit(int16_t{});
    case DType::kInt32:
      return visit(int32_t{});
    case DType::kInt64:
      return visit(int64_t{});
    case DType::kUint8:
      return visit(uint8_t{});
    case DType::kUint16:
      return visit(uint16_t{});
    case DType::kUint32:
      return visit(uint32_t{});
    case DType::kUint64:
      return visit(uint64_t{});
    case DType::kFloat32:
      return visit(float{});
    case DType::kFloat64:
      return visit(double{});
    case DType::kFloat16:
      break;
  }
  throw RayValueException("C++ has no numbers of type float16: read the Tensor's bytes");
}

/// Sides and element type have to allow a vector of T: one-dimensional, and no float where integers are
/// wanted.
void check_vector_source(const Tensor& tensor, bool integers_wanted);

/// A one-dimensional tensor as a vector of any type of number that its elements fit.
template <TensorElement T>
std::vector<T> tensor_to_vector(const Tensor& tensor) {
  check_vector_source(tensor, std::is_integral_v<T>);
  if (tensor.dtype() == dtype_of<T>()) {
    auto same = tensor.as_span<T>();
    return {same.begin(), same.end()};
  }
  std::vector<T> out;
  out.reserve(tensor.size());
  with_element_type(tensor.dtype(), [&]<typename From>(From) {
    for (From value : tensor.as_span<From>()) out.push_back(convert_element<T>(value));
  });
  return out;
}

template <typename List>
void encode_items(ValueWriter& out, const List& items) {
  for (const auto& item : items) Codec<typename List::value_type>::encode(out, item);
}

template <typename Tuple>
void encode_tuple(ValueWriter& out, const Tuple& values) {
  out.tuple(std::tuple_size_v<Tuple>);
  std::apply([&](const auto&... value) { (Codec<std::decay_t<decltype(value)>>::encode(out, value), ...); },
             values);
}

template <typename Tuple, size_t... I>
Tuple decode_tuple(ValueReader& in, std::index_sequence<I...>) {
  expect_count(in.list(), sizeof...(I));
  return Tuple{Codec<std::tuple_element_t<I, Tuple>>::decode(in)...};
}

template <typename Set>
struct SetCodec {
  static void encode(ValueWriter& out, const Set& values) {
    out.set(values.size());
    encode_items(out, values);
  }
  static Set decode(ValueReader& in) {
    Set values;
    for (size_t left = in.list(); left > 0; --left) values.insert(Codec<typename Set::key_type>::decode(in));
    return values;
  }
};

template <typename Map>
struct MapCodec {
  static void encode(ValueWriter& out, const Map& values) {
    out.map(values.size());
    for (const auto& [key, value] : values) {
      Codec<typename Map::key_type>::encode(out, key);
      Codec<typename Map::mapped_type>::encode(out, value);
    }
  }
  static Map decode(ValueReader& in) {
    Map values;
    for (size_t left = in.map(); left > 0; --left) {
      auto key = Codec<typename Map::key_type>::decode(in);
      values.insert_or_assign(std::move(key), Codec<typename Map::mapped_type>::decode(in));
    }
    return values;
  }
};

template <typename Pointer>
struct PointerCodec {
  using Value = typename Pointer::element_type;
  static void encode(ValueWriter& out, const Pointer& value) {
    if (value == nullptr) return out.null();
    Codec<Value>::encode(out, *value);
  }
  static Pointer decode(ValueReader& in) {
    if (in.kind() == ItemKind::kNull) return in.null(), Pointer();
    return Pointer(new Value(Codec<Value>::decode(in)));
  }
};

}  // namespace internal

template <typename T>
struct Codec<std::optional<T>> {
  static void encode(ValueWriter& out, const std::optional<T>& value) {
    if (!value) return out.null();
    Codec<T>::encode(out, *value);
  }
  static std::optional<T> decode(ValueReader& in) {
    if (in.kind() == ItemKind::kNull) return in.null(), std::nullopt;
    return Codec<T>::decode(in);
  }
};

template <typename T>
  requires Encodable<T>
struct Codec<std::unique_ptr<T>> : internal::PointerCodec<std::unique_ptr<T>> {};
template <typename T>
  requires Encodable<T>
struct Codec<std::shared_ptr<T>> : internal::PointerCodec<std::shared_ptr<T>> {};

/// Numbers travel as a tensor and are copied once; a std::span or a Tensor reads them in place.
template <typename T, typename A>
struct Codec<std::vector<T, A>> {
  using Vector = std::vector<T, A>;
  static void encode(ValueWriter& out, const Vector& values) {
    if constexpr (std::is_same_v<T, bool>) {
      Tensor tensor(DType::kBool, {static_cast<int64_t>(values.size())});
      std::copy(values.begin(), values.end(), tensor.mutable_span<bool>().begin());
      out.write(std::move(tensor));
    } else if constexpr (TensorElement<T>) {
      const int64_t size = static_cast<int64_t>(values.size());
      out.tensor(dtype_of<T>(), {&size, 1}, values.data());
    } else if constexpr (std::is_same_v<T, std::byte>) {
      out.bytes({reinterpret_cast<const uint8_t*>(values.data()), values.size()});
    } else {
      out.list(values.size());
      internal::encode_items(out, values);
    }
  }
  static Vector decode(ValueReader& in) {
    if constexpr (TensorElement<T>) {
      if (in.kind() == ItemKind::kTensor) {
        auto values = internal::tensor_to_vector<T>(in.tensor());
        return Vector(values.begin(), values.end());
      }
    }
    if constexpr (sizeof(T) == 1 && !std::is_same_v<T, bool> && std::is_trivially_copyable_v<T>) {
      if (in.kind() == ItemKind::kBytes) {
        auto bytes = in.bytes();
        auto first = reinterpret_cast<const T*>(bytes.data());
        return Vector(first, first + bytes.size());
      }
    }
    Vector values;
    size_t left = in.list();
    values.reserve(left);
    for (; left > 0; --left) values.push_back(Codec<T>::decode(in));
    return values;
  }
};

/// Numbers in place: the span is valid as long as the argument, or the pointer that Get returned. The
/// element's type has to be the very one that was written; std::vector converts.
template <typename T>
struct Codec<std::span<T>> {
  using Element = std::remove_const_t<T>;
  static_assert(TensorElement<Element> || std::is_same_v<Element, std::byte>, "a span of numbers or bytes");
  static void encode(ValueWriter& out, std::span<T> values) {
    const int64_t size = static_cast<int64_t>(values.size());
    if constexpr (TensorElement<Element>)
      out.tensor(dtype_of<Element>(), {&size, 1}, values.data());
    else
      out.bytes({reinterpret_cast<const uint8_t*>(values.data()), values.size()});
  }
  static std::span<T> decode(ValueReader& in) {
    static_assert(std::is_const_v<T>, "values are read-only: take a std::span<const T>");
    in.borrow();
    if constexpr (sizeof(T) == 1 && !std::is_same_v<Element, bool>) {
      if (in.kind() == ItemKind::kBytes || !TensorElement<Element>) {
        auto bytes = in.bytes();
        return {reinterpret_cast<T*>(bytes.data()), bytes.size()};
      }
    }
    if constexpr (TensorElement<Element>) {
      Tensor tensor = in.tensor();
      in.keep(tensor.owner());
      return tensor.as_span<Element>();
    }
  }
};

template <typename T, size_t N>
struct Codec<std::array<T, N>> {
  static void encode(ValueWriter& out, const std::array<T, N>& values) {
    out.tuple(N);
    internal::encode_items(out, values);
  }
  static std::array<T, N> decode(ValueReader& in) {
    std::array<T, N> values;
    if constexpr (TensorElement<T>) {
      if (in.kind() == ItemKind::kTensor) {
        auto found = internal::tensor_to_vector<T>(in.tensor());
        internal::expect_count(found.size(), N);
        std::copy(found.begin(), found.end(), values.begin());
        return values;
      }
    }
    internal::expect_count(in.list(), N);
    for (T& value : values) value = Codec<T>::decode(in);
    return values;
  }
};

template <typename... T>
struct Codec<std::tuple<T...>> {
  static void encode(ValueWriter& out, const std::tuple<T...>& values) {
    internal::encode_tuple(out, values);
  }
  static std::tuple<T...> decode(ValueReader& in) {
    return internal::decode_tuple<std::tuple<T...>>(in, std::index_sequence_for<T...>{});
  }
};
template <typename A, typename B>
struct Codec<std::pair<A, B>> {
  static void encode(ValueWriter& out, const std::pair<A, B>& values) { internal::encode_tuple(out, values); }
  static std::pair<A, B> decode(ValueReader& in) {
    return internal::decode_tuple<std::pair<A, B>>(in, std::index_sequence_for<A, B>{});
  }
};

/// A pair of the alternative's number and its value.
template <typename... T>
struct Codec<std::variant<T...>> {
  using Variant = std::variant<T...>;
  static void encode(ValueWriter& out, const Variant& value) {
    out.tuple(2);
    out.integer(static_cast<int64_t>(value.index()));
    std::visit([&](const auto& held) { Codec<std::decay_t<decltype(held)>>::encode(out, held); }, value);
  }
  static Variant decode(ValueReader& in) {
    internal::expect_count(in.list(), 2);
    const auto wanted = in.unsigned_integer();
    std::optional<Variant> value;
    size_t index = 0;
    ((index++ == wanted ? void(value.emplace(Codec<T>::decode(in))) : void()), ...);
    if (!value) throw RayValueException("a variant has no alternative " + std::to_string(wanted));
    return std::move(*value);
  }
};

template <typename... A>
struct Codec<std::set<A...>> : internal::SetCodec<std::set<A...>> {};
template <typename... A>
struct Codec<std::unordered_set<A...>> : internal::SetCodec<std::unordered_set<A...>> {};
template <typename... A>
struct Codec<std::map<A...>> : internal::MapCodec<std::map<A...>> {};
template <typename... A>
struct Codec<std::unordered_map<A...>> : internal::MapCodec<std::unordered_map<A...>> {};

}  // namespace mobula::inline v1
