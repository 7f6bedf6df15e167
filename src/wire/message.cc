// The codec of messages: a struct is its fields in order, a variant its number and its struct.
#include "wire/message.h"

#include <map>
#include <type_traits>
#include <utility>

namespace mobula {
namespace {

// Specs belong to engine.h, which knows no codec; so their fields are listed here.
void fields_of(TaskSpec& s, auto& visit) {
  visit(s.id, s.function, s.name, s.method, s.language, s.args, s.refs, s.nested, s.returns, s.resources,
        s.placement_resources, s.max_retries, s.retry_exceptions, s.retry_on, s.backpressure_items,
        s.max_calls, s.runtime_env, s.group, s.placement, s.placement_node, s.placement_soft,
        s.placement_group, s.bundle_index, s.captures, s.actor);
}
void fields_of(ActorSpec& s, auto& visit) {
  visit(s.creation, s.name, s.space, s.class_name, s.handle, s.detached, s.get_if_exists, s.ordered,
        s.max_restarts, s.max_task_retries, s.max_concurrency, s.max_pending_calls);
}
void fields_of(GroupSpec& s, auto& visit) {
  visit(s.bundles, s.bundle_nodes, s.strategy, s.name, s.space, s.detached);
}
template <typename T>
void fields_of(T& message, auto& visit) {
  message.fields(visit);
}

template <typename T>
constexpr bool is_flat = std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_same_v<T, ObjectId> ||
                         std::is_same_v<T, FunctionId> || std::is_same_v<T, TaskId> ||
                         std::is_same_v<T, ActorId> || std::is_same_v<T, GroupId>;
// What a hostile length may at most make us reserve: no item is smaller on the wire than this.
template <typename T>
constexpr size_t wire_bytes_min = is_flat<T> ? sizeof(T) : 4;

template <typename T>
constexpr bool is_vector = false;
template <typename T>
constexpr bool is_vector<std::vector<T>> = true;

struct Encoder {
  std::string& out;
  void operator()(auto&... values) { (put(values), ...); }

  template <typename T>
  void put(T& value) {
    if constexpr (is_flat<std::remove_const_t<T>>) {
      out.append(reinterpret_cast<const char*>(&value), sizeof value);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const std::string>>) {
      put_bytes(value ? std::string_view(*value) : std::string_view());
    } else if constexpr (std::is_same_v<T, std::string>) {
      put_bytes(value);
    } else if constexpr (std::is_same_v<T, ResourceMap>) {
      put_size(value.size());
      for (auto& [name, amount] : value) put_bytes(name), put(amount);
    } else if constexpr (is_vector<T>) {
      put_size(value.size());
      for (auto& item : value) put(item);
    } else {
      fields_of(value, *this);
    }
  }
  void put_size(size_t size) {
    auto number = static_cast<uint32_t>(size);
    put(number);
  }
  void put_bytes(std::string_view bytes) {
    put_size(bytes.size());
    out.append(bytes);
  }
};

struct Decoder {
  std::string_view in;
  bool failed = false;
  void operator()(auto&... values) { (get(values), ...); }

  template <typename T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      uint8_t byte = 0;
      get(byte);
      value = byte != 0;
    } else if constexpr (is_flat<T>) {
      take(&value, sizeof value);
    } else if constexpr (std::is_same_v<T, std::shared_ptr<const std::string>>) {
      value = std::make_shared<const std::string>(get_bytes());
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = get_bytes();
    } else if constexpr (std::is_same_v<T, ResourceMap>) {
      for (uint32_t i = get_size(8); i > 0 && !failed; --i) {
        std::string name(get_bytes());
        get(value[name]);
      }
    } else if constexpr (is_vector<T>) {
      value.resize(get_size(wire_bytes_min<typename T::value_type>));
      for (auto& item : value) get(item);
    } else {
      fields_of(value, *this);
    }
  }
  void take(void* to, size_t size) {
    if (failed || in.size() < size) return void(failed = true);
    std::memcpy(to, in.data(), size);
    in.remove_prefix(size);
  }
  /// The length of a list whose items take at least `item_bytes` each: a false one fails before it allocates.
  uint32_t get_size(size_t item_bytes) {
    uint32_t size = 0;
    get(size);
    if (in.size() / item_bytes < size) failed = true;
    return failed ? 0 : size;
  }
  std::string_view get_bytes() {
    uint32_t size = get_size(1);
    std::string_view bytes = in.substr(0, size);
    in.remove_prefix(size);
    return bytes;
  }
};

template <typename Variant>
std::string encode_variant(const Variant& message) {
  std::string out;
  auto number = static_cast<uint8_t>(message.index());
  out.push_back(static_cast<char>(number));
  Encoder encoder{out};
  std::visit([&](const auto& body) { encoder.put(const_cast<std::decay_t<decltype(body)>&>(body)); },
             message);
  return out;
}

template <typename Variant, size_t I = 0>
bool decode_alternative(uint8_t number, Decoder& decoder, Variant& out) {
  if constexpr (I < std::variant_size_v<Variant>) {
    if (number != I) return decode_alternative<Variant, I + 1>(number, decoder, out);
    decoder.get(out.template emplace<I>());
    return true;
  }
  return false;
}

template <typename Variant>
Result<Variant> decode_variant(std::string_view bytes) {
  Decoder decoder{bytes};
  uint8_t number = 0;
  decoder.get(number);
  Variant message;
  if (decoder.failed || !decode_alternative(number, decoder, message) || decoder.failed ||
      !decoder.in.empty()) {
    return Status(Code::kInvalid, "a message of " + std::to_string(bytes.size()) + " bytes, kind " +
                                      std::to_string(number) + ", cannot be read");
  }
  return message;
}

}  // namespace

Located located_bytes(PayloadKind kind, std::string bytes) {
  Located value;
  value.kind = kind;
  value.bytes = std::make_shared<const std::string>(std::move(bytes));
  value.size = value.bytes->size();
  return value;
}

std::string encode(const UpMessage& message) { return encode_variant(message); }
std::string encode(const DownMessage& message) { return encode_variant(message); }
Result<UpMessage> decode_up(std::string_view bytes) { return decode_variant<UpMessage>(bytes); }
Result<DownMessage> decode_down(std::string_view bytes) { return decode_variant<DownMessage>(bytes); }

}  // namespace mobula
