// Records of processes that live or have ended.
#include "sched/worker_log.h"

#include <utility>

namespace mobula {

void WorkerLog::on_ended(WorkerId worker, uint64_t now_us, bool intended, std::string cause) {
  LoggedWorker& ended = workers_[worker];
  if (ended.ended_us != 0) return;
  ended.ended_us = now_us;
  ended.intended |= intended;
  ended.cause = std::move(cause);
  ended_.push_back(worker);
  if (ended_.size() <= kEndedMax) return;
  workers_.erase(ended_.front());
  ended_.pop_front();
  ++forgotten_;
}

const LoggedWorker* WorkerLog::find(WorkerId worker) const {
  auto found = workers_.find(worker);
  return found == workers_.end() ? nullptr : &found->second;
}

}  // namespace mobula
