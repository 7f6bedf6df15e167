// A simulated worker process: takes assignments from its ring, runs them as fibers, tells the node how they
// ended. It does what worker/worker.cc does, and dies when the world wants it to.
#pragma once

#include <deque>
#include <memory>

#include "client.h"

namespace mobula::sim {

/// One assignment that has begun.
struct Execution {
  RunMessage run;
  uint32_t produced = 0, consumed = 0;  // items of a stream, as RingWorker counts them
  bool dropped = false, cancelled = false, done = false;
  std::coroutine_handle<> paused;  // waits for its reader
  TaskId task() const { return run.spec.id; }
};

class Worker : public Client {
 public:
  Worker(World& world, WorkerId id) : Client(world, ClientId{id.value}), worker_(id) {}

  WorkerId worker() const { return worker_; }
  void give(RunMessage run);
  /// The node takes back what has not begun.
  std::vector<TaskId> take_back();
  void on_message(DownMessage message) override;

  /// What runs, and what was given and has not begun.
  const std::list<std::shared_ptr<Execution>>& executions() const { return executions_; }
  const std::deque<RunMessage>& ring() const { return ring_; }
  ActorId actor() const { return actor_; }
  bool is_told_to_end() const { return told_to_end_; }

  // For the bodies of tasks
  void finish(Execution& execution, std::vector<Located> values, bool retriable = false,
              bool exit_after = false);
  /// False once nobody reads the stream.
  Fiber<bool> stream_item(std::shared_ptr<Execution> execution, uint32_t index, Located value);
  /// Dies, as far as the caller can tell: never returns.
  Pause crash();
  std::vector<ObjectId> kept;  // an actor's state: references that it never lets go

 private:
  void look();
  void begin(RunMessage run);
  void end_if_told();
  struct Reader {  // waits until the reader has come far enough
    Execution& execution;
    bool may_go_on() const;
    bool await_ready() const { return may_go_on(); }
    void await_suspend(std::coroutine_handle<> handle) { execution.paused = handle; }
    void await_resume() const {}
  };

  WorkerId worker_;
  std::deque<RunMessage> ring_;
  std::list<std::shared_ptr<Execution>> executions_;
  std::set<FunctionId> functions_;
  ActorId actor_;
  int32_t concurrency_ = 1;
  bool told_to_end_ = false;
  std::map<ClientId, uint64_t> last_call_;
};

}  // namespace mobula::sim
