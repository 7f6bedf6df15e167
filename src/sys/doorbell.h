// A doorbell in shared memory: how one process tells another that its ring has something. Two kinds of
// sleeper may wait at it: the foreground (a thread that wants an answer) is woken first; the background only
// when nobody else is there, asleep or awake. Ringing costs a system call only when somebody must be woken.
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
    else if ((asleep & (bit(Sleeper::kBackground) | kWatched)) == bit(Sleeper::kBackground))
      futex_wake(signal_, 1, bit(Sleeper::kBackground));
  }
  /// Wakes the foreground alone. True when the background sleeps instead, and nobody watches: whoever rings
  /// must call ring() before it goes to sleep or to work, unless what it rang for was seen by then.
  bool ring_patiently() {
    signal_.fetch_add(1, std::memory_order_seq_cst);
    uint32_t asleep = sleepers_.load(std::memory_order_seq_cst);
    if (asleep & bit(Sleeper::kForeground)) {
      futex_wake(signal_, 1, bit(Sleeper::kForeground));
      return false;
    }
    if ((asleep & (bit(Sleeper::kBackground) | kWatched)) != bit(Sleeper::kBackground)) return false;
    if ((asleep & kImpatient) == 0) return true;
    futex_wake(signal_, 1, bit(Sleeper::kBackground));
    return false;
  }
  /// Whether somebody waits for what only the background can do: then it is woken at once.
  void set_impatient(bool impatient) {
    if (impatient)
      sleepers_.fetch_or(kImpatient, std::memory_order_seq_cst);
    else
      sleepers_.fetch_and(~kImpatient, std::memory_order_seq_cst);
  }
  /// From here to unwatch() the foreground looks for work by itself whenever it is awake, and the background
  /// is left alone. What was rung before unwatch() has to be looked for once more after it.
  void watch() { sleepers_.fetch_or(kWatched, std::memory_order_seq_cst); }
  void unwatch() { sleepers_.fetch_and(~kWatched, std::memory_order_seq_cst); }
  /// Wakes this kind alone.
  void ring(Sleeper who) {
    signal_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) & bit(who)) futex_wake(signal_, 1, bit(who));
  }

  /// Sleeps once unless `has_work()`, which is looked at after the sleeper has made itself known: what is
  /// rung later wakes it. `timeout` below zero: none.
  template <typename HasWork>
  void wait(Sleeper who, std::chrono::nanoseconds timeout, HasWork has_work) {
    uint32_t seen = signal_.load(std::memory_order_seq_cst);
    sleepers_.fetch_or(bit(who), std::memory_order_seq_cst);
    if (!has_work()) futex_wait(signal_, seen, bit(who), timeout);
    sleepers_.fetch_and(~bit(who), std::memory_order_seq_cst);
  }

 private:
  static constexpr uint32_t kWatched = 4, kImpatient = 8;
  static constexpr uint32_t bit(Sleeper who) { return static_cast<uint32_t>(who); }
  std::atomic<uint32_t> signal_{0};
  std::atomic<uint32_t> sleepers_{0};
};

}  // namespace mobula
