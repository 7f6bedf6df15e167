// Waiting for other members, and breaking the group when one of them will not come. A wait ends because the
// counter has risen, a member has ended or left, the group is broken, the caller was interrupted, or nothing
// has moved for the timeout; in all but the first case the group is broken for everybody, with one reason.
// Any thread. Tests: group_test.cc.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/status.h"
#include "collective/segment.h"

namespace mobula::collective {

struct GroupOptions {
  std::string name;
  uint32_t world = 1, rank = 0;
  std::chrono::milliseconds timeout{30'000};  // without progress; 0: none
};

/// Whether the process of a rank has ended.
using HasEnded = std::function<bool(uint32_t rank)>;
/// Asked now and then while a call waits, without a lock: true ends the wait with `cancelled`.
using Interrupted = std::function<bool()>;

class Sync {
 public:
  Sync(GroupMemory memory, GroupOptions options, HasEnded has_ended);

  const GroupOptions& options() const { return options_; }
  void raise(Counter& counter, uint32_t value) const;
  /// Waits until `counter`, which `rank` raises, has reached `target`. With a `round`, any member that ended
  /// before it was through with that round ends the wait; else only `rank`.
  Status await(const Counter& counter, uint32_t target, uint32_t rank, std::optional<uint32_t> round,
               const Label& label, const Interrupted& interrupted) const;
  /// Breaks the group for all members. The first reason stays.
  Status fail(Code code, const std::string& reason) const;
  /// Why the group is broken, if it is.
  Status broken() const;

 private:
  Status look_round(const Counter& counter, uint32_t target, uint32_t rank, std::optional<uint32_t> round,
                    const Label& label) const;
  std::string described(uint32_t rank) const;

  GroupMemory memory_;
  GroupOptions options_;
  HasEnded has_ended_;
  int spins_;
};

/// Counters only grow, and wrap round.
inline bool has_reached(const Counter& counter, uint32_t target) {
  return static_cast<int32_t>(counter.value.load(std::memory_order_acquire) - target) >= 0;
}
std::string to_string(const Label& label);
std::string_view to_string(Operation operation);

}  // namespace mobula::collective
