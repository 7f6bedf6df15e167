// Reading and writing of flat little-endian bytes: the one codec below all messages. A Reader never reads
// past its end: once anything was missing it stays failed, and every later value is zero or empty.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace mobula {

static_assert(std::endian::native == std::endian::little, "the wire format is little-endian");

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  template <typename T>
  void number(T value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void bytes(std::string_view value) {
    number(static_cast<uint32_t>(value.size()));
    out_.append(value);
  }
  template <typename T, typename Write>
  void list(const std::vector<T>& items, Write write) {
    number(static_cast<uint32_t>(items.size()));
    for (const T& item : items) write(item);
  }

 private:
  std::string& out_;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  template <typename T>
  T number() {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    if constexpr (std::is_same_v<T, bool>) return number<uint8_t>() != 0;  // any other byte is no bool
    T value{};
    if (in_.size() < sizeof value) return fail(), value;
    std::memcpy(&value, in_.data(), sizeof value);
    in_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view view() {
    auto size = number<uint32_t>();
    if (in_.size() < size) return fail(), std::string_view{};
    std::string_view value = in_.substr(0, size);
    in_.remove_prefix(size);
    return value;
  }
  std::string bytes() { return std::string(view()); }
  /// Reads a list; each item takes at least one byte, so a hostile length fails before it allocates.
  template <typename T, typename Read>
  std::vector<T> list(Read read) {
    auto count = number<uint32_t>();
    if (count > in_.size()) return fail(), std::vector<T>{};
    std::vector<T> items;
    items.reserve(count);
    for (uint32_t i = 0; i < count && !failed_; ++i) items.push_back(read());
    return items;
  }
  bool failed() const { return failed_; }
  /// Everything was read and nothing was missing.
  bool complete() const { return !failed_ && in_.empty(); }
  size_t left() const { return in_.size(); }

 private:
  void fail() {
    failed_ = true;
    in_ = {};
  }

  std::string_view in_;
  bool failed_ = false;
};

}  // namespace mobula
