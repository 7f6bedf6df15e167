// What a node and its zygote say to each other over a SOCK_SEQPACKET socket: one Order or Report a packet; a
// spawn order carries the descriptor for the child's output.
#pragma once

#include <cstdint>

namespace mobula {

enum class OrderKind : uint8_t { kSpawn = 1, kKill = 2, kPreload = 3 };

struct ZygoteOrder {
  OrderKind kind = OrderKind::kSpawn;
  uint8_t unused[3] = {};
  uint32_t slot = 0;
  uint64_t worker = 0;
  char module[112] = {};  // kPreload: what to import, zero-terminated
};

struct ZygoteReport {
  uint64_t worker = 0;
  int32_t pid = 0;
  int32_t status = 0;  // as waitpid gives it, once `ended`
  uint32_t ended = 0;
  uint32_t unused = 0;
};

// Descriptors that a zygote inherits, by number, and the variable that tells it so.
constexpr int kZygoteSocketFd = 3, kZygoteControlFd = 4, kZygoteArenaFd = 5;
constexpr char kZygoteVariable[] = "MOBULA_ZYGOTE";

}  // namespace mobula
