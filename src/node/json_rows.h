// Builds one JSON array of objects, a field at a time: what a table of the state API is.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "engine/engine.h"

namespace mobula {

class JsonRows {
 public:
  void begin() {
    out_ += rows_++ == 0 ? "{" : ",{";
    first_field_ = true;
  }
  void end() { out_ += "}"; }
  void field(const char* name, std::string_view value) {
    key(name);
    text(value);
  }
  void field(const char* name, uint64_t value) { key(name), out_ += std::to_string(value); }
  void field(const char* name, const ResourceMap& amounts) {
    key(name);
    char separator = '{';
    for (const auto& [resource, units] : amounts) {
      out_ += std::exchange(separator, ',');
      text(resource);
      out_ += ":" + std::to_string(static_cast<double>(units) / static_cast<double>(kResourceUnit));
    }
    out_ += amounts.empty() ? "{}" : "}";
  }
  size_t rows() const { return rows_; }
  std::string finish() { return out_ + "]"; }

 private:
  void key(const char* name) {
    out_ += first_field_ ? "\"" : ",\"";
    first_field_ = false;
    out_ += name;
    out_ += "\":";
  }
  void text(std::string_view value) {
    out_ += '"';
    for (char c : value) escape(c);
    out_ += '"';
  }
  void escape(char c) {
    if (c == '"' || c == '\\')
      out_ += '\\', out_ += c;
    else if (static_cast<unsigned char>(c) >= 0x20)
      out_ += c;
    else {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      out_ += code;
    }
  }

  std::string out_ = "[";
  size_t rows_ = 0;
  bool first_field_ = true;
};

}  // namespace mobula
