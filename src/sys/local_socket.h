// Sockets between processes of one machine and one user, in the abstract namespace: no file, so nothing is
// left when their processes are killed. Messages keep their bounds; one may carry a descriptor. Tests:
// sys_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "sys/shm.h"

namespace mobula {

/// Listens under a name of at most 100 bytes; `exists` while somebody else does.
Result<Descriptor> listen_local(const std::string& name);
/// `not_found` while nobody listens.
Result<Descriptor> connect_local(const std::string& name);
/// One who has connected, without waiting; `denied` for another user's process, `busy` when nobody is there.
Result<Descriptor> accept_local(const Descriptor& listener);
/// The process at the other end.
int peer_pid(const Descriptor& socket);

/// Sends one message, with a descriptor unless `passed` is below 0.
Status send_local(const Descriptor& socket, std::span<const uint8_t> message, int passed = -1);

struct LocalMessage {
  std::vector<uint8_t> bytes;
  Descriptor passed;
};
/// The next message without waiting: `busy` when there is none yet, `lost` when the other end is gone.
Result<LocalMessage> receive_local(const Descriptor& socket, size_t bytes_max);
/// Waits until one of them has something (or its other end is gone), or `timeout` has passed.
void wait_readable(std::span<const int> sockets, std::chrono::milliseconds timeout);

}  // namespace mobula
