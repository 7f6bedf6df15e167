// A node at work: NodeCore plus rings, threads, processes and files. Whoever holds the token (a mutex) is the
// loop: a driver's thread that submits or waits runs it in place, without a hop; a background thread takes
// over when no other is there. A watcher thread reads what the zygote says and what workers print; a disk
// thread spills. Invariant: callbacks run without the token. Tests: tests/process, tests/contract.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "node/assignments.h"
#include "node/node_core.h"
#include "node/outside.h"
#include "sys/shm.h"
#include "sys/spin.h"
#include "wire/segment.h"

namespace mobula {

struct NodeOptions {
  ResourceMap resources;
  uint64_t arena_bytes = 0;
  std::map<std::string, std::string> labels;
  std::vector<std::string> zygote_command, zygote_environment;
  std::string job_config, node_id, job_id, spill_folder;
  bool log_to_driver = true;
  size_t workers_max = 96, idle_workers_max = 4;
  uint32_t session = 0;
};

using ReplyCallback = std::function<void(ReplyMessage)>;

class Node {
 public:
  static Result<std::unique_ptr<Node>> open(NodeOptions options);
  ~Node();

  // The driver's client. Thread-safe.
  void send(UpMessage message);
  Result<ReplyMessage> ask(UpMessage message, RequestId request, Deadline deadline);
  void ask_async(UpMessage message, RequestId request, ReplyCallback callback);
  void preload(std::string_view module);
  void stop();

  uint8_t* arena_writable() const { return arena_rw_.data(); }
  const uint8_t* arena_readable() const { return arena_ro_.data(); }
  const NodeOptions& options() const { return options_; }
  /// The MetricTable of the workers.
  std::span<uint8_t> metric_memory() const {
    return {control_.data() + segment_->metrics_offset, segment_->metrics_bytes};
  }

 private:
  struct Port {  // a worker's place in the control segment
    explicit Port(uint8_t* segment, uint32_t index) : slot(segment, index), index(index) {}
    Slot slot;
    uint32_t index;
    bool ready = false;
    Assignments assignments{slot.tasks};
    std::deque<std::string> replies_waiting;
    size_t replies_done_bytes = 0;  // of the first that waits
  };
  struct Waiter {
    std::optional<ReplyMessage> reply;
    std::condition_variable_any wake;
    ReplyCallback callback;
  };

  explicit Node(NodeOptions options);
  Status start();
  void run_background();
  // All below: with the token held.
  void drain();
  bool drain_port(WorkerId worker, Port& port);
  void handle_events();
  void on_worker_exit(WorkerId worker, const std::string& cause);
  void perform();
  void answer(Waiter& waiter, ReplyMessage reply);
  void deliver(ClientId client, DownMessage message);
  void push_tasks(Port& port);
  void push_replies(Port& port);
  void take_back(WorkerId worker);
  void start_worker(WorkerId worker);
  void arm_tick();
  /// Before the token is let go: wakes who goes on with what is left.
  void pass_on();
  /// Reads all rings: workers leave it to the next tick to find an answer while they have more to do.
  void drain_quiet_ports();
  bool has_work() const;
  std::optional<std::chrono::nanoseconds> tick_timeout() const;
  void lead(std::unique_lock<std::mutex>& token, Waiter& waiter, Deadline deadline);
  void run_callbacks(std::unique_lock<std::mutex>& token);  // the background thread's
  void hand_over_callbacks();

  NodeOptions options_;
  std::mutex token_;  // the right to be the loop; guards everything below
  std::unique_ptr<NodeCore> core_;
  NodeEffects effects_;
  Descriptor control_fd_, arena_fd_;
  Mapping control_, arena_rw_, arena_ro_;
  SegmentHeader* segment_ = nullptr;
  std::map<WorkerId, std::unique_ptr<Port>> ports_;
  std::vector<uint32_t> free_slots_;
  std::vector<WorkerId> port_of_slot_;
  std::unordered_map<RequestId, Waiter*> waiters_;
  std::unordered_map<RequestId, std::unique_ptr<Waiter>> async_waiters_;
  std::vector<std::pair<ReplyCallback, ReplyMessage>> callbacks_;  // to run once the token is let go
  Waiter* leader_ = nullptr;  // a driver's thread runs the loop while it waits
  AdaptiveSpin leader_spin_;
  std::atomic<bool> tick_armed_ = false, stopping_ = false, has_callbacks_ = false, leading_ = false,
                    leader_answered_ = false;
  uint64_t last_tick_us_ = 0;
  std::string fatal_;                 // why the node cannot go on
  std::unique_ptr<Outside> outside_;  // zygote, watcher and disk threads
  std::thread background_;
};

}  // namespace mobula
