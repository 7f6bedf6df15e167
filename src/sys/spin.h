// Spinning before sleeping. Waking a thread on another CPU takes microseconds, and tens of them where that
// CPU has gone to rest; where the next thing comes sooner than that, as in calls one after the other, it is
// cheaper to look for it. Where it does not come, or all CPUs are wanted, looking is a waste.
#pragma once

#include <algorithm>
#include <chrono>

namespace mobula {

/// Tells the processor that this thread waits for another.
inline void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("" ::: "memory");
#endif
}

/// Of one waiting thread. Looks for long where that helped lately, and now and then to learn whether it
/// would.
template <typename Clock>
class AdaptiveSpinBy {
 public:
  /// Looks for work for a while. False when there was none: then sleep. `has_cpu`: nobody else wants it.
  /// Calls `if_not_soon` once when there was no work at first.
  template <typename HasWork, typename IfNotSoon>
  bool run(bool has_cpu, HasWork has_work, IfNotSoon if_not_soon) {
    bool is_long = has_cpu && (credit_ > 0 || ++waits_ % kProbeEvery == 0);
    bool found = look(kShort, has_work);
    if (!found) if_not_soon();
    if (!is_long) return found;
    if (!found) found = look(kLong, has_work);
    credit_ = std::clamp(credit_ + (found ? 2 : -1), 0, kCreditMax);
    return found;
  }
  template <typename HasWork>
  bool run(bool has_cpu, HasWork has_work) {
    return run(has_cpu, has_work, [] {});
  }

 private:
  static constexpr int kLooks = 16;  // between two looks at the clock
  static constexpr unsigned kProbeEvery = 16;
  static constexpr int kCreditMax = 8;
  static constexpr std::chrono::microseconds kShort{5}, kLong{100};

  template <typename HasWork>
  static bool look(std::chrono::microseconds limit, HasWork has_work) {
    auto until = Clock::now() + limit;
    do {
      for (int i = 0; i < kLooks; ++i) {
        if (has_work()) return true;
        spin_pause();
      }
    } while (Clock::now() < until);
    return has_work();
  }

  int credit_ = 0;
  unsigned waits_ = 0;
};
using AdaptiveSpin = AdaptiveSpinBy<std::chrono::steady_clock>;

}  // namespace mobula
