// Fibers: user code of the simulated program, as coroutines. A fiber runs until it waits for something (an
// answer, a time) and goes on when the timeline says so. Dropping one drops all that it called.
#pragma once

#include <coroutine>
#include <cstdlib>
#include <optional>
#include <utility>

namespace mobula::sim {

template <typename T>
struct FiberResult {
  std::optional<T> value;
  void return_value(T given) { value = std::move(given); }
  T take() { return std::move(*value); }
};
template <>
struct FiberResult<void> {
  void return_void() {}
  void take() {}
};

/// Runs when it is awaited, or by start().
template <typename T = void>
class [[nodiscard]] Fiber {
 public:
  struct promise_type : FiberResult<T> {
    std::coroutine_handle<> caller = std::noop_coroutine();
    Fiber get_return_object() { return Fiber(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Back {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          return self.promise().caller;
        }
        void await_resume() noexcept {}
      };
      return Back{};
    }
    void unhandled_exception() { std::abort(); }
  };
  using Handle = std::coroutine_handle<promise_type>;

  explicit Fiber(Handle handle) : handle_(handle) {}
  Fiber(Fiber&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Fiber& operator=(Fiber&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Fiber() {
    if (handle_) handle_.destroy();
  }

  void start() { handle_.resume(); }
  bool is_done() const { return !handle_ || handle_.done(); }

  bool await_ready() const { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) {
    handle_.promise().caller = caller;
    return handle_;
  }
  T await_resume() { return handle_.promise().take(); }

 private:
  Handle handle_;
};

}  // namespace mobula::sim
