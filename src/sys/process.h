// Other processes of this user: whether they have ended. A watch holds a pidfd, so that a number that is
// given out again is never mistaken for the process that was meant. Tests: sys_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "sys/shm.h"

namespace mobula {

/// A process, however it ends. One that was gone before the watch began counts as ended.
class ProcessWatch {
 public:
  ProcessWatch() = default;
  explicit ProcessWatch(int pid);
  int pid() const { return pid_; }
  bool has_ended() const;

 private:
  int pid_ = 0;
  Descriptor fd_;
};

/// A number that no other process will have: its pid and when it started. 0: there is no such process.
uint64_t process_mark(int pid);
/// Whether the process that process_mark() named still runs.
bool process_runs(uint64_t mark);
/// This process's pid.
int own_pid();

}  // namespace mobula
