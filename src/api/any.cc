// Any: values of every shape.
#include <limits>

#include <mobula/value.h>

namespace mobula::inline v1 {
namespace {

template <typename... F>
struct Cases : F... {
  using F::operator()...;
};

Any decode_list(ValueReader& in) {
  Any::List items;
  const size_t count = in.list();
  items.reserve(count);
  for (size_t i = 0; i < count; ++i) items.push_back(Codec<Any>::decode(in));
  return Any(std::move(items));
}

Any decode_map(ValueReader& in) {
  Any::Map pairs;
  const size_t count = in.map();
  pairs.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    Any key = Codec<Any>::decode(in);
    pairs.emplace_back(std::move(key), Codec<Any>::decode(in));
  }
  return Any(std::move(pairs));
}

/// The kind in words; the order is that of Any::Held.
constexpr std::string_view kHeldNames[] = {"null",     "a bool",   "an integer",      "an integer",
                                           "a number", "text",     "bytes",           "a list",
                                           "a map",    "a tensor", "an Arrow stream", "a reference"};
static_assert(std::size(kHeldNames) == std::variant_size_v<Any::Held>);

}  // namespace

void Codec<Any>::encode(ValueWriter& out, const Any& value) {
  std::visit(Cases{
                 [&](const Any::List& items) {
                   out.list(items.size());
                   for (const Any& item : items) encode(out, item);
                 },
                 [&](const Any::Map& pairs) {
                   out.map(pairs.size());
                   for (const auto& [key, item] : pairs) encode(out, key), encode(out, item);
                 },
                 [&](const auto& held) { Codec<std::decay_t<decltype(held)>>::encode(out, held); },
             },
             value.held());
}

Any Codec<Any>::decode(ValueReader& in) {
  switch (in.kind()) {
    case ItemKind::kNull:
      return in.null(), Any();
    case ItemKind::kBool:
      return in.boolean();
    case ItemKind::kInteger: {
      try {
        return in.integer();
      } catch (const RayValueException&) {
        return in.unsigned_integer();
      }
    }
    case ItemKind::kReal:
      return in.real();
    case ItemKind::kText:
      return std::string(in.text());
    case ItemKind::kBytes:
      return Bytes{std::string(in.text())};
    case ItemKind::kList:
      return decode_list(in);
    case ItemKind::kMap:
      return decode_map(in);
    case ItemKind::kTensor:
      return in.tensor();
    case ItemKind::kArrow:
      return in.arrow();
    case ItemKind::kReference:
      return ObjectRef<Any>(in.reference());
    case ItemKind::kActor:
      break;
  }
  in.mismatch("a value (read a handle to an actor as an ActorHandle)");
}

double Any::number() const {
  if (const auto* value = std::get_if<int64_t>(&held_)) return static_cast<double>(*value);
  if (const auto* value = std::get_if<uint64_t>(&held_)) return static_cast<double>(*value);
  return as<double>();
}

const Any& Any::at(std::string_view key) const {
  for (const auto& [name, value] : as<Map>()) {
    if (const auto* text = std::get_if<std::string>(&name.held()); text != nullptr && *text == key)
      return value;
  }
  throw RayValueException("the map has no key '" + std::string(key) + "'");
}

const Any& Any::at(size_t index) const {
  const List& items = as<List>();
  if (index < items.size()) return items[index];
  throw RayValueException("the list has " + std::to_string(items.size()) + " items, none at " +
                          std::to_string(index));
}

size_t Any::size() const {
  return std::visit(Cases{
                        [](const List& items) { return items.size(); },
                        [](const Map& pairs) { return pairs.size(); },
                        [](const std::string& text) { return text.size(); },
                        [](const Bytes& bytes) { return bytes.data.size(); },
                        [](const auto&) { return size_t{0}; },
                    },
                    held_);
}

void Any::assign_unsigned(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    held_ = static_cast<int64_t>(value);
  else
    held_ = value;
}

void Any::wrong_type() const {
  throw RayValueException("the value is of another kind: it is " + std::string(kHeldNames[held_.index()]));
}

}  // namespace mobula::inline v1
