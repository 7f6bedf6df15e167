// Waker: carries "this object is there" from engine threads to an event loop or a thread, without ever taking
// the GIL on an engine thread: the loop reads an eventfd, then takes the tokens of what became ready.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "bind/core/object_ref.h"

namespace mobula::python {

/// Lives until the last callback of the engine has been called, hence shared.
struct WakerState {
  WakerState();
  ~WakerState();
  WakerState(const WakerState&) = delete;
  WakerState& operator=(const WakerState&) = delete;

  void signal(uint64_t token);
  /// Empties it. Never blocks.
  std::vector<uint64_t> take();
  /// Blocks until something is there or `timeout_ms` has passed (-1: no limit).
  void wait(int timeout_ms) const;

  int fd;
  std::mutex mutex;
  std::vector<uint64_t> ready;
};

}  // namespace mobula::python
