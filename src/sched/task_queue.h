// Tasks of one class that wait for a worker: first in, first out; or, while many workers wait for tasks of
// their own, those nested deepest first, so that what was begun ends before more begins. Pure. Tests:
// sched_test.cc.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "base/id.h"

namespace mobula {

class TaskQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void push_back(TaskId task, uint32_t depth) { by_depth_[depth].push_back({++last_, task}), ++size_; }
  void push_front(TaskId task, uint32_t depth) { by_depth_[depth].push_front({--first_, task}), ++size_; }
  TaskId pop(bool deepest_first) {
    auto chosen = by_depth_.begin();
    for (auto at = std::next(chosen); !deepest_first && at != by_depth_.end(); ++at) {
      if (at->second.front().first < chosen->second.front().first) chosen = at;
    }
    TaskId task = chosen->second.front().second;
    chosen->second.pop_front();
    if (chosen->second.empty()) by_depth_.erase(chosen);
    --size_;
    return task;
  }
  bool remove(TaskId task) {
    for (auto at = by_depth_.begin(); at != by_depth_.end(); ++at) {
      auto& tasks = at->second;
      auto found =
          std::find_if(tasks.begin(), tasks.end(), [&](const auto& one) { return one.second == task; });
      if (found == tasks.end()) continue;
      tasks.erase(found);
      if (tasks.empty()) by_depth_.erase(at);
      --size_;
      return true;
    }
    return false;
  }
  /// All of them, those in front first at each depth.
  void append_to(std::vector<TaskId>& out) const {
    for (const auto& [depth, tasks] : by_depth_) {
      for (const auto& [place, task] : tasks) out.push_back(task);
    }
  }

 private:
  std::map<uint32_t, std::deque<std::pair<int64_t, TaskId>>, std::greater<>> by_depth_;  // with their places
  int64_t first_ = 0, last_ = 0;
  size_t size_ = 0;
};

}  // namespace mobula
