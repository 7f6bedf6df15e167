// The futex system call, shared between processes, with a mask that says which kind of sleeper to wake.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mobula {

/// Sleeps while `word` is `expected`, until woken with a mask that meets `mask`, or `timeout` (negative:
/// none) passes.
void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, uint32_t mask,
                std::chrono::nanoseconds timeout);
void futex_wake(const std::atomic<uint32_t>& word, int count, uint32_t mask);

}  // namespace mobula
