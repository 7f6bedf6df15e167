// A doorbell in shared memory: how one process tells another that its ring has something. Two kinds of
// sleeper may wait at it: the foreground (a thread that wants an answer) is woken first; the background only
// when nobody else is there. Ringing costs a system call only when somebody sleeps.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "sys/futex.h"

namespace mobula {

enum class Sleeper : uint32_t { kForeground = 1, kBackground = 2 };

class Doorbell {
 public:
  void ring() {
    signal_.fetch_add(1, std::memory_order_seq_cst);
    uint32_t asleep = sleepers_.load(std::memory_order_seq_cst);
    if (asleep & bit(Sleeper::kForeground))
      futex_wake(signal_, 1, bit(Sleeper::kForeground));
    else if (asleep & bit(Sleeper::kBackground))
      futex_wake(signal_, 1, bit(Sleeper::kBackground));
  }
  /// Wakes this kind alone.
  void ring(Sleeper who) {
    signal_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) & bit(who)) futex_wake(signal_, 1, bit(who));
  }

  /// Sleeps once unless `has_work()`, which is looked at after the sleeper has made itself known: what is
  /// rung later wakes it. Spins up to `spins` times before it sleeps. `timeout` below zero: none.
  template <typename HasWork>
  void wait(Sleeper who, int spins, std::chrono::nanoseconds timeout, HasWork has_work) {
    for (int i = 0; i < spins; ++i) {
      if (has_work()) return;
      pause();
    }
    uint32_t seen = signal_.load(std::memory_order_seq_cst);
    sleepers_.fetch_or(bit(who), std::memory_order_seq_cst);
    if (!has_work()) futex_wait(signal_, seen, bit(who), timeout);
    sleepers_.fetch_and(~bit(who), std::memory_order_seq_cst);
  }

 private:
  static constexpr uint32_t bit(Sleeper who) { return static_cast<uint32_t>(who); }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("" ::: "memory");
#endif
  }

  std::atomic<uint32_t> signal_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace mobula
