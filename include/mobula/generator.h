// Generator<T>: what a remote function returns that gives its values one by one. Such a function is a
// coroutine: it says `co_yield value` for each of them. Its caller reads an ObjectRefGenerator<T> while it
// runs.
//
//   mobula::Generator<int> Count(int end) {
//     for (int i = 0; i < end; ++i) co_yield i;
//   }
#pragma once

#include <coroutine>
#include <exception>
#include <memory>
#include <utility>

namespace mobula::inline v1 {

/// Values that are made when they are asked for. As the result of a task or method each is sent on its way
/// as soon as it is there. What parameters refer to lives until the call has ended; where the function is
/// called directly, its caller sees to that.
template <typename T>
class Generator {
 public:
  /// What the language asks of a coroutine's result.
  class promise_type {
   public:
    Generator get_return_object() {
      return Generator(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() const noexcept { return {}; }
    std::suspend_always final_suspend() const noexcept { return {}; }
    /// The value lives in the coroutine until that is resumed.
    std::suspend_always yield_value(const T& value) noexcept {
      value_ = std::addressof(value);
      return {};
    }
    void return_void() noexcept { value_ = nullptr; }
    void unhandled_exception() noexcept {
      value_ = nullptr;
      error_ = std::current_exception();
    }
    /// A generator waits for nothing with co_await.
    template <typename U>
    std::suspend_never await_transform(U&&) = delete;

    const T* value() const { return value_; }
    std::exception_ptr take_error() { return std::exchange(error_, nullptr); }

   private:
    const T* value_ = nullptr;
    std::exception_ptr error_;
  };

  Generator(Generator&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  Generator& operator=(Generator&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~Generator() {
    if (coroutine_) coroutine_.destroy();
  }

  /// The next value, valid until the next call; null at the end. Throws what the function throws, once.
  const T* next() {
    if (!coroutine_ || coroutine_.done()) return nullptr;
    coroutine_.resume();
    if (auto error = coroutine_.promise().take_error()) std::rethrow_exception(error);
    return coroutine_.promise().value();
  }

 private:
  explicit Generator(std::coroutine_handle<promise_type> coroutine) : coroutine_(coroutine) {}

  std::coroutine_handle<promise_type> coroutine_;
};

namespace internal {

template <typename T>
inline constexpr bool kIsGenerator = false;
template <typename T>
inline constexpr bool kIsGenerator<Generator<T>> = true;

}  // namespace internal
}  // namespace mobula::inline v1
