// Records of tasks and streams.
#include "task/task.h"

#include "base/check.h"

namespace mobula {

TaskRecord& TaskTable::add(TaskSpec spec, ClientId submitter, TaskId parent) {
  TaskId id = spec.id;
  TaskRecord& task = tasks_[id];
  task = {};
  task.retries_left = spec.max_retries;
  task.spec = std::move(spec);
  task.submitter = submitter;
  task.parent = parent;
  if (const TaskRecord* above = find(parent)) task.depth = above->depth + 1;
  return task;
}

TaskRecord* TaskTable::find(TaskId task) {
  auto found = tasks_.find(task);
  return found == tasks_.end() ? nullptr : &found->second;
}

bool TaskTable::take_retry(TaskRecord& task) {
  if (task.cancelled || task.retries_left == 0) return false;
  if (task.retries_left > 0) --task.retries_left;
  ++task.attempt;
  return true;
}

std::vector<TaskId> TaskTable::children(TaskId parent) const {
  std::vector<TaskId> found;
  for (const auto& [id, task] : tasks_) {
    if (task.parent == parent) found.push_back(id);
  }
  return found;
}

StreamRecord& TaskTable::add_stream(TaskId task, ClientId consumer) {
  StreamRecord& stream = streams_[task];
  stream.consumer = consumer;
  return stream;
}

StreamRecord* TaskTable::find_stream(TaskId task) {
  auto found = streams_.find(task);
  return found == streams_.end() ? nullptr : &found->second;
}

std::vector<TaskId> TaskTable::streams_of(ClientId consumer) const {
  std::vector<TaskId> found;
  for (const auto& [id, stream] : streams_) {
    if (stream.consumer == consumer) found.push_back(id);
  }
  return found;
}

void TaskTable::check() const {
  for (const auto& [id, task] : tasks_) {
    CHECK(task.spec.id == id);
    CHECK((task.state == TaskRecord::State::kRunning) == !task.worker.is_nil());
    CHECK(task.state != TaskRecord::State::kWaiting || task.missing > 0);
  }
}

}  // namespace mobula
