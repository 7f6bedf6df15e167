// Status and Result<T>: how everything in src/ reports failure. A code says what the caller can do about it;
// the message names the thing, the value, the limit and the next step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace mobula {

enum class Code : uint8_t {
  kOk,
  kInvalid,
  kNotFound,
  kExists,
  kDenied,
  kUnsupported,
  kBusy,
  kFull,
  kTimeout,
  kCancelled,
  kLost,
  kInternal,
};

/// The code's word in messages: "invalid", "not_found", ...
std::string_view to_string(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}
  static Status ok() { return {}; }

  bool is_ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  /// "not_found: no actor is called 'x'"
  std::string to_string() const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

/// A value or the reason why there is none. Never built from an ok Status.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) { CHECK(!status_.is_ok()); }

  bool is_ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & {
    CHECK(is_ok());
    return *value_;
  }
  const T& value() const& {
    CHECK(is_ok());
    return *value_;
  }
  T&& value() && {
    CHECK(is_ok());
    return *std::move(value_);
  }
  T* operator->() { return &value(); }
  T& operator*() & { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace mobula

#define MOBULA_JOIN_(a, b) a##b
#define MOBULA_JOIN(a, b) MOBULA_JOIN_(a, b)

/// TRY(call()): returns the Status of a failed call from the enclosing function.
#define TRY(expression)                         \
  do {                                          \
    ::mobula::Status try_status = (expression); \
    if (!try_status.is_ok()) return try_status; \
  } while (false)

/// ASSIGN_OR_RETURN(auto x, call()): unwraps a Result or returns its Status.
#define ASSIGN_OR_RETURN(declaration, expression)                                              \
  auto MOBULA_JOIN(result_, __LINE__) = (expression);                                          \
  if (!MOBULA_JOIN(result_, __LINE__).is_ok()) return MOBULA_JOIN(result_, __LINE__).status(); \
  declaration = std::move(MOBULA_JOIN(result_, __LINE__)).value()
