// The streaming executor: decides what of a plan runs next. A pure state machine: facts in (a block came, an
// actor stands, the consumer took a block), effects out (start this task, pull that stream, release these
// blocks). No thread, no clock, no I/O; `run.h` drives it over an Engine. Calls are made by one thread at a
// time.
//
// Rules: the operator furthest downstream that can run goes first, since it relieves memory; one budget
// bounds all blocks in existence, half of it reserved evenly so that no operator can starve another; nobody
// runs far ahead of who comes after him; and when nothing else can move, the stream furthest downstream is
// pulled on, so there is always progress. Tests: executor_test.cc.
#pragma once

#include <map>
#include <vector>

#include "data/exec/capacity.h"
#include "data/exec/operator_state.h"

namespace mobula::data {

struct ExecutorOptions {
  int64_t memory_bytes_max = 256 << 20;  // of blocks in existence
  bool preserve_order = false;
  int64_t failures_max = 0;  // inputs that may fail; -1: any number
  int32_t retries_max = 3;   // of an input whose worker was lost
  ResourceMap resources;     // all that this run may hold
};

enum class ItemKind : uint8_t { kBlock = 0, kRowsOnly = 1, kFailure = 2 };

/// One answer of a task: a block of one of its bundles, or a failure.
struct Item {
  ItemKind kind = ItemKind::kBlock;
  bool last = false;    // of its bundle
  uint32_t bundle = 0;  // place in TaskStart::bundles
  ObjectId object;      // of kBlock
  int64_t rows = 0, bytes = 0;
  double busy_ms = 0;
  uint64_t detail = 0;  // of kFailure
};

class Executor {
 public:
  /// `inputs[op]` is what the input operator `op` hands out. The plan must have passed its check and outlive
  /// this.
  Executor(const Plan& plan, ExecutorOptions options, std::map<OpIndex, std::vector<BlockRef>> inputs);

  void start(double now_ms, Effects& out);
  void on_item(TaskNumber task, const Item& item, double now_ms, Effects& out);
  /// The stream ended before its last bundle did, or an engine error took its place.
  void on_task_lost(TaskNumber task, uint64_t detail, bool retriable, double now_ms, Effects& out);
  void on_actor_standing(ActorNumber actor, double now_ms, Effects& out);
  /// `by_user`: the constructor raised, so another try is no use.
  void on_actor_lost(ActorNumber actor, uint64_t detail, bool by_user, double now_ms, Effects& out);
  /// The consumer took a block of effects.outputs; it is his from now on.
  void on_taken(const BlockRef& block, double now_ms, Effects& out);
  /// The consumer wants no more.
  void stop(Effects& out);

  bool ended() const { return phase_ == Phase::kEnded; }
  int64_t failures() const { return failures_; }
  int64_t memory_bytes() const;
  const OperatorState& state(OpIndex op) const { return states_[op]; }
  /// Every invariant.
  void check() const;

 private:
  enum class Phase { kFresh, kRunning, kEnded };

  // how blocks pass from one operator to the next (executor.cc)
  void deliver(OpIndex from, BlockRef block, Effects& out);
  void deliver_to_limit(OpIndex op, BlockRef block, Effects& out);
  void deliver_to_union(OpIndex op, OpIndex from, BlockRef block, Effects& out);
  void give_output(OpIndex op, uint64_t sequence, BlockRef block, Effects& out);
  void end_sequence(OpIndex op, uint64_t sequence, Effects& out);
  void finish(OpIndex op, Effects& out);
  void input_finished(OpIndex op, OpIndex from, Effects& out);
  void finish_if_drained(OpIndex op, Effects& out);
  void cut(OpIndex op, Effects& out);
  void release(const BlockRef& block, Effects& out);
  void discard(OpIndex op, Effects& out);
  void fail(OpIndex op, uint64_t detail, Effects& out);

  // the life of tasks (executor_task.cc)
  bool take_failure(OpIndex op, uint64_t detail, Effects& out);
  void take_block(TaskState& task, const Item& item, Effects& out);
  void end_bundle(TaskState& task, size_t bundle, double now_ms, Effects& out);
  void end_task(TaskNumber number, bool running, double now_ms, Effects& out);
  void drop_actor(ActorNumber number, bool stop, Effects& out);

  // what runs next (executor_schedule.cc)
  void schedule(double now_ms, Effects& out);
  bool start_one(double now_ms, Effects& out);
  void start_task(OpIndex op, double now_ms, Effects& out);
  void pull_streams(Effects& out);
  void pull(TaskNumber number, TaskState& task, Effects& out);
  void grow_pools(Effects& out);
  void shrink_pools(Effects& out);
  void start_actor(OpIndex op, Effects& out);
  void force_progress(double now_ms, Effects& out);
  bool nothing_moves() const;
  bool has_slot(OpIndex op) const;
  bool has_room(OpIndex op) const;
  bool has_memory(OpIndex op) const;
  bool runs_ahead(OpIndex op) const;
  ActorNumber free_actor(OpIndex op) const;
  size_t bundles_for_task(OpIndex op) const;
  int64_t slots(OpIndex op) const;
  int64_t window_bytes(OpIndex op) const;
  int64_t usage_bytes(OpIndex op) const;
  int64_t bytes_left(OpIndex op) const;
  bool has_work(OpIndex op) const;
  bool is_unfinished_map(OpIndex op) const;
  OpIndex map_after(OpIndex op) const;
  bool feeds(OpIndex from, OpIndex to) const;

  const Plan& plan_;
  const ExecutorOptions options_;
  std::map<OpIndex, std::vector<BlockRef>> inputs_;
  std::vector<OperatorState> states_;
  std::vector<OpIndex> downstream_;
  std::map<TaskNumber, TaskState> tasks_;
  std::map<ActorNumber, ActorState> actors_;
  Capacity capacity_;
  Phase phase_ = Phase::kFresh;
  int64_t failures_ = 0;
  int64_t outputs_untaken_ = 0;
  uint64_t next_number_ = 1;  // of tasks and actors
};

}  // namespace mobula::data
