// The eventfd behind a Waker.
#include "bind/core/waker.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace mobula::python {

WakerState::WakerState() : fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

WakerState::~WakerState() { close(fd); }

void WakerState::signal(uint64_t token) {
  bool first;
  {
    std::lock_guard lock(mutex);
    first = ready.empty();
    ready.push_back(token);
  }
  uint64_t one = 1;
  if (first && write(fd, &one, sizeof one) < 0) return;  // full: the reader is awake anyway
}

std::vector<uint64_t> WakerState::take() {
  uint64_t count = 0;
  if (read(fd, &count, sizeof count) < 0) count = 0;
  std::lock_guard lock(mutex);
  return std::exchange(ready, {});
}

void WakerState::wait(int timeout_ms) const {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  (void)poll(&wanted, 1, timeout_ms);
}

}  // namespace mobula::python
