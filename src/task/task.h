// Tasks that have not ended: what they wait for, where they run, how often they may be tried again; and the
// streams of generator tasks, which live until their consumer is done. Pure. Owned by the node's loop. Tests:
// task_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/id.h"
#include "engine/engine.h"

namespace mobula {

/// When a task went on, by the node's clock, and to whom; for those who look at it.
struct TaskTimes {
  uint64_t submitted_us = 0, queued_us = 0, sent_us = 0;  // 0: not yet
  WorkerId given_to;                                      // by the last sending
};

struct TaskRecord {
  enum class State : uint8_t {
    kWaiting,  // for values of its arguments
    kParked,   // a call with large arguments, for its turn: it takes no room before that
    kStaging,  // for room to bring spilled arguments back
    kQueued,   // for a worker (or, for a call, for its actor)
    kRunning,  // in a worker's ring, or begun
  };
  TaskSpec spec;
  State state = State::kWaiting;
  ClientId submitter;
  TaskId parent;       // the task whose worker submitted it
  uint32_t depth = 0;  // of nesting: one more than the parent's
  uint32_t attempt = 0;
  uint32_t missing = 0;      // arguments that are not there yet
  int32_t retries_left = 0;  // -1: no end
  bool cancelled = false, cancelled_by_force = false;
  bool creates_actor = false;
  TaskTimes times;
  WorkerId worker;               // while kRunning
  ClassId cls;                   // of plain tasks and creations
  std::vector<ObjectId> pinned;  // arguments that are held in memory for it
  uint64_t admitted_bytes = 0;   // what it takes of the room for arguments of staged tasks
};

/// The CPU of a worker whose task waits for somebody else: lent to others, at once or when it has waited for
/// long enough.
struct Lending {
  WorkerId worker;      // nil: none waits
  uint64_t due_us = 0;  // when its CPU will be lent; 0: it is, or there is none to lend
  uint64_t lease = 0;   // which the worker had then; 0: nothing is lent
};

/// The consumer's and the producer's places in a stream of results.
struct StreamRecord {
  ClientId consumer;
  uint32_t produced = 0;   // items {task, 0 … produced-1} were reported
  uint32_t taken = 0;      // items below were asked for
  uint32_t attempted = 0;  // of the produced, those that the current attempt has reported
  bool ended = false;      // there are `produced` items in all
  bool dropped = false;    // nobody reads any more
  Lending lending;         // of a producer that is too far ahead
  /// Items below were used: the reader that asks for one has done with those before.
  uint32_t consumed() const { return taken > 0 ? taken - 1 : 0; }
};

class TaskTable {
 public:
  TaskRecord& add(TaskSpec spec, ClientId submitter, TaskId parent);
  TaskRecord* find(TaskId task);
  void erase(TaskId task) { tasks_.erase(task); }
  /// Uses up one try. False when there is none left, or the task was cancelled.
  bool take_retry(TaskRecord& task);
  std::vector<TaskId> children(TaskId parent) const;
  size_t size() const { return tasks_.size(); }
  const std::unordered_map<TaskId, TaskRecord>& all() const { return tasks_; }

  StreamRecord& add_stream(TaskId task, ClientId consumer);
  StreamRecord* find_stream(TaskId task);
  void erase_stream(TaskId task) { streams_.erase(task); }
  size_t streams() const { return streams_.size(); }
  std::unordered_map<TaskId, StreamRecord>& all_streams() { return streams_; }
  const std::unordered_map<TaskId, StreamRecord>& all_streams() const { return streams_; }
  std::vector<TaskId> streams_of(ClientId consumer) const;

  void check() const;

 private:
  std::unordered_map<TaskId, TaskRecord> tasks_;
  std::unordered_map<TaskId, StreamRecord> streams_;
};

}  // namespace mobula
