// The life of tasks and actors: their answers, their ends, and what is done when they are lost.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "data/exec/executor.h"

namespace mobula::data {

void Executor::on_item(TaskNumber number, const Item& item, double now_ms, Effects& out) {
  auto at = tasks_.find(number);
  if (at == tasks_.end()) {  // it was dropped while this was on its way
    if (item.kind == ItemKind::kBlock) out.releases.push_back(item.object);
    return;
  }
  TaskState& task = at->second;
  OpIndex op = task.op;
  if (task.asked > 0) --task.asked;
  if (item.bundle >= task.bundles.size()) return fail(op, item.detail, out);
  task.bundles[item.bundle].busy_ms += item.busy_ms;
  if (item.kind == ItemKind::kFailure) {
    if (!take_failure(op, item.detail, out)) return;
  } else {
    take_block(task, item, out);
  }
  at = tasks_.find(number);  // a limit downstream may have ended it
  if (at != tasks_.end() && item.last) {
    for (size_t i = 0; i <= item.bundle; ++i) end_bundle(at->second, i, now_ms, out);
    if (tasks_.contains(number) && item.bundle + 1 == at->second.bundles.size())
      end_task(number, false, now_ms, out);
    finish_if_drained(op, out);
  }
  schedule(now_ms, out);
}

void Executor::take_block(TaskState& task, const Item& item, Effects& out) {
  OpIndex op = task.op;
  OperatorState& state = states_[op];
  Bundle& bundle = task.bundles[item.bundle];
  bundle.rows_delivered += item.rows;
  state.counters.rows += item.rows;
  if (item.kind == ItemKind::kRowsOnly) return;
  ++state.counters.blocks;
  state.counters.bytes += item.bytes;
  state.history.block_bytes.add(static_cast<double>(item.bytes));
  BlockRef block;
  block.object = item.object;
  block.rows = item.rows;
  block.bytes = item.bytes;
  block.producer = op;
  block.order = bundle.blocks.empty() ? OrderKey() : bundle.blocks.front().order;
  block.order.push_back(bundle.outputs++);
  state.bytes_out += item.bytes;
  state.counters.bytes_peak = std::max(state.counters.bytes_peak, state.bytes_out);
  give_output(op, bundle.sequence, std::move(block), out);
}

bool Executor::take_failure(OpIndex op, uint64_t detail, Effects& out) {
  ++failures_;
  ++states_[op].counters.failed;
  if (options_.failures_max < 0 || failures_ <= options_.failures_max) return true;
  fail(op, detail, out);
  return false;
}

void Executor::end_bundle(TaskState& task, size_t place, double now_ms, Effects& out) {
  if (task.ended[place]) return;
  task.ended[place] = true;
  --task.bundles_open;
  OperatorState& state = states_[task.op];
  Bundle& bundle = task.bundles[place];
  ++state.counters.bundles;
  state.counters.last_ms = now_ms;
  state.history.blocks_per_bundle.add(bundle.outputs);
  state.history.bundle_ms.add(bundle.busy_ms);
  for (const BlockRef& block : std::exchange(bundle.blocks, {})) release(block, out);
  end_sequence(task.op, bundle.sequence, out);
}

void Executor::end_task(TaskNumber number, bool running, double now_ms, Effects& out) {
  TaskState& task = tasks_.at(number);
  OperatorState& state = states_[task.op];
  state.running.erase(number);
  state.counters.last_ms = std::max(state.counters.last_ms, now_ms);
  out.drops.push_back({number, running});
  if (task.holds_resources) capacity_.give(plan_.operators[task.op].resources);
  if (auto actor = actors_.find(task.actor); actor != actors_.end()) --actor->second.calls;
  tasks_.erase(number);
}

void Executor::on_task_lost(TaskNumber number, uint64_t detail, bool retriable, double now_ms, Effects& out) {
  auto at = tasks_.find(number);
  if (at == tasks_.end()) return;
  OpIndex op = at->second.op;
  OperatorState& state = states_[op];
  std::vector<Bundle> left;
  for (size_t i = 0; i < at->second.bundles.size(); ++i) {
    if (!at->second.ended[i]) left.push_back(std::move(at->second.bundles[i]));
  }
  at->second.bundles.clear();
  at->second.ended.clear();
  end_task(number, false, now_ms, out);
  for (size_t i = 0; i < left.size(); ++i) {
    bool at_work = i == 0;
    if (at_work && (!retriable || left[i].attempts >= options_.retries_max)) {
      for (const BlockRef& block : left[i].blocks) release(block, out);
      if (!take_failure(op, detail, out)) {
        for (size_t k = i + 1; k < left.size(); ++k) {
          for (const BlockRef& block : left[k].blocks) release(block, out);
        }
        return;
      }
      end_sequence(op, left[i].sequence, out);
      continue;
    }
    if (at_work) ++left[i].attempts, ++state.counters.retried;
    state.queue.put_back(std::move(left[i]));
  }
  finish_if_drained(op, out);
  schedule(now_ms, out);
}

void Executor::on_actor_standing(ActorNumber number, double now_ms, Effects& out) {
  auto at = actors_.find(number);
  if (at == actors_.end()) return;
  at->second.standing = true;
  schedule(now_ms, out);
}

void Executor::on_actor_lost(ActorNumber number, uint64_t detail, bool by_user, double now_ms, Effects& out) {
  auto at = actors_.find(number);
  if (at == actors_.end()) return;
  OpIndex op = at->second.op;
  drop_actor(number, true, out);
  if (by_user || ++states_[op].actors_lost > options_.retries_max) return fail(op, detail, out);
  schedule(now_ms, out);
}

void Executor::drop_actor(ActorNumber number, bool stop, Effects& out) {
  OpIndex op = actors_.at(number).op;
  actors_.erase(number);
  states_[op].actors.erase(number);
  for (TaskNumber task : states_[op].running) {  // they end by themselves: the engine reports each as lost
    if (tasks_.at(task).actor == number) tasks_.at(task).actor = kNoActor;
  }
  capacity_.give(plan_.operators[op].resources);
  if (stop) out.actor_stops.push_back(number);
}

}  // namespace mobula::data
