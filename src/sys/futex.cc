// Thin wrappers; interruptions by signals look like wake-ups.
#include "sys/futex.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

namespace mobula {

void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, uint32_t mask,
                std::chrono::nanoseconds timeout) {
  timespec until{}, *limit = nullptr;
  if (timeout.count() >= 0) {
    clock_gettime(CLOCK_MONOTONIC, &until);  // FUTEX_WAIT_BITSET takes an absolute time
    auto total = static_cast<int64_t>(until.tv_nsec) + timeout.count() % 1'000'000'000;
    until.tv_sec += timeout.count() / 1'000'000'000 + total / 1'000'000'000;
    until.tv_nsec = total % 1'000'000'000;
    limit = &until;
  }
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, limit, nullptr, mask);
}

void futex_wake(const std::atomic<uint32_t>& word, int count, uint32_t mask) {
  syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, count, nullptr, nullptr, mask);
}

}  // namespace mobula
