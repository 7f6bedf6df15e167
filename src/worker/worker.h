// A worker's life, seen by the code that runs users' functions. `Worker` reads the ring of assignments on the
// thread that calls run() and hands each to a TaskRunner (one for each language); results may be reported
// from any thread. The first file to read in worker/. Tests: tests/contract, tests/process.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "engine/engine.h"

namespace mobula {

/// What a worker is told about one task. `definition` is set the first time that this worker sees the
/// function.
struct Assignment {
  TaskId task;
  uint32_t attempt = 0;
  FunctionId function;
  Language language = Language::kPython;
  std::string definition;
  std::string name, method, args, retry_on, runtime_env, group;
  std::vector<Payload> refs;  // values of TaskSpec::refs, in order; pinned while the task runs
  int32_t returns = 1;
  int32_t backpressure_items = -1;
  bool retry_exceptions = false;
  bool creates_actor = false;
  bool actor_restarted = false;  // creations: the actor has lived before
  ActorId actor;                 // nil for plain tasks
  std::string actor_name, space;
  int32_t max_concurrency = 1;  // creations
  ResourceMap resources;
  std::vector<int32_t> gpu_ids;  // logical GPUs of the lease
  GroupId placement_group;
  bool captures = false;  // its children run in that group
};

/// How a task ended: `returns` values, or one error for all of them.
struct Outcome {
  std::vector<Value> values;  // kTaskError values: one, repeated by the node for every result
  bool retriable = false;     // an exception that the caller asked to retry
  bool exit_after = false;    // the worker is to end after this (exit_actor, max_calls)
  std::string exit_reason;
};

class TaskRunner {
 public:
  virtual ~TaskRunner() = default;
  /// Runs the task, or passes it to threads of its own; each task is answered by Worker::finish exactly once.
  virtual void run(Assignment assignment) = 0;
  /// Interrupts the task if it runs here. Called on the reply thread; must not block.
  virtual void cancel(TaskId task) = 0;
  /// No more assignments come: finish what is running, then return.
  virtual void drain() = 0;
};

class Worker {
 public:
  virtual ~Worker() = default;
  /// The engine as this worker sees it: nested tasks, put, get.
  virtual Engine& engine() = 0;
  virtual WorkerId id() const = 0;
  virtual const std::string& node_id() const = 0;  // 56 hex digits
  virtual const std::string& job_id() const = 0;   // 8 hex digits
  /// The driver's start-up document (JSON): sys.path, working folder, --as-ray, job-wide runtime environment,
  /// …
  virtual const std::string& job_config() const = 0;
  /// Memory of the MetricTable that all workers share; nothing in a worker of a test.
  virtual std::span<uint8_t> metric_memory() { return {}; }

  /// Serves assignments until told to exit; returns the process's exit status.
  virtual int run(TaskRunner& runner) = 0;
  /// Answers a task. Thread-safe. Never blocks longer than the node takes to drain the ring.
  virtual void finish(TaskId task, Outcome outcome) = 0;
  /// One more item of a streaming task. Blocks while the consumer is too far behind; `cancelled` once nobody
  /// reads.
  virtual Status stream_item(TaskId task, uint32_t index, Value item) = 0;
};

/// What the zygote passes to a fresh child.
struct WorkerBoot {
  WorkerId id;
  uint32_t slot = 0;  // of the control segment: which rings are this worker's
  int control_fd = -1, arena_fd = -1, log_fd = -1;
};

/// Maps the segments and says hello. The calling thread becomes the worker's main thread.
Result<std::unique_ptr<Worker>> open_worker(const WorkerBoot& boot);

}  // namespace mobula
