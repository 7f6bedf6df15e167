// The processes of a node, for those who look at a running program: when they began and how they ended. Those
// that live, and the newest kEndedMax of those that ended. Pure. Owned by the node's loop. Tests:
// worker_log_test.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "base/id.h"

namespace mobula {

struct LoggedWorker {
  int pid = 0;
  bool intended = false;                                  // it was told to end, or said that it would
  uint64_t spawned_us = 0, started_us = 0, ended_us = 0;  // 0: not yet
  ActorId actor;
  std::string cause;  // of its end
};

class WorkerLog {
 public:
  static constexpr size_t kEndedMax = 1'000;

  /// The record of a worker, made if there is none.
  LoggedWorker& at(WorkerId worker) { return workers_[worker]; }
  void on_ended(WorkerId worker, uint64_t now_us, bool intended, std::string cause);
  const LoggedWorker* find(WorkerId worker) const;
  const std::map<WorkerId, LoggedWorker>& all() const { return workers_; }
  uint64_t forgotten() const { return forgotten_; }

 private:
  std::map<WorkerId, LoggedWorker> workers_;
  std::deque<WorkerId> ended_;  // oldest first
  uint64_t forgotten_ = 0;
};

}  // namespace mobula
