// How blocks pass from operator to operator, and how operators end.
#include "data/exec/executor.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mobula::data {

Executor::Executor(const Plan& plan, ExecutorOptions options, std::map<OpIndex, std::vector<BlockRef>> inputs)
    : plan_(plan), options_(std::move(options)), inputs_(std::move(inputs)), capacity_(options_.resources) {
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) {
    states_.emplace_back(plan_.operators[op]);
    states_.back().open_inputs = plan_.operators[op].upstream.size();
    downstream_.push_back(plan_.downstream_of(op));
  }
}

void Executor::start(double now_ms, Effects& out) {
  CHECK(phase_ == Phase::kFresh);
  phase_ = Phase::kRunning;
  for (OpIndex op = 0; op < plan_.operators.size() && phase_ == Phase::kRunning; ++op) {
    if (plan_.operators[op].kind == OpKind::kLimit && states_[op].rows_left == 0) cut(op, out);
  }
  for (auto& [op, blocks] : inputs_) {
    uint32_t place = 0;
    for (BlockRef& block : blocks) {
      block.order = OrderKey(1, place++);
      if (states_[op].done) {
        release(block, out);
      } else {
        deliver(op, std::move(block), out);
      }
    }
  }
  inputs_.clear();
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) {
    if (plan_.operators[op].kind == OpKind::kInput && !states_[op].done) finish(op, out);
  }
  schedule(now_ms, out);
}

void Executor::on_taken(const BlockRef& block, double now_ms, Effects& out) {
  --outputs_untaken_;
  CHECK(outputs_untaken_ >= 0);
  if (block.producer != kNoOp) states_[block.producer].bytes_out -= block.bytes;
  schedule(now_ms, out);
}

void Executor::stop(Effects& out) {
  if (phase_ == Phase::kEnded) return;
  phase_ = Phase::kEnded;
  for (auto& [op, blocks] : inputs_) {
    for (const BlockRef& block : blocks) release(block, out);
  }
  inputs_.clear();
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) discard(op, out);
}

// -- passing on ----

void Executor::deliver(OpIndex from, BlockRef block, Effects& out) {
  OpIndex to = downstream_[from];
  if (to == plan_.operators.size()) {
    ++outputs_untaken_;
    out.outputs.push_back(std::move(block));
    return;
  }
  OperatorState& next = states_[to];
  if (next.done) return release(block, out);
  next.counters.rows_in += std::max<int64_t>(block.wanted_rows(), 0);
  next.counters.bytes_in += block.bytes;
  switch (plan_.operators[to].kind) {
    case OpKind::kMap: {
      bool spare = block.rows == 0 && next.kept_empty;
      next.kept_empty = next.kept_empty || block.rows == 0;
      return spare ? release(block, out) : next.queue.push(std::move(block));
    }
    case OpKind::kLimit:
      return deliver_to_limit(to, std::move(block), out);
    case OpKind::kUnion:
      return deliver_to_union(to, from, std::move(block), out);
    case OpKind::kInput:
      CHECK(false);
  }
}

void Executor::deliver_to_limit(OpIndex op, BlockRef block, Effects& out) {
  OperatorState& limit = states_[op];
  int64_t rows = std::max<int64_t>(block.wanted_rows(), 0);
  if (rows > limit.rows_left) {
    rows = limit.rows_left;
    block.length = rows;
  }
  limit.rows_left -= rows;
  limit.counters.rows += rows;
  ++limit.counters.blocks;
  deliver(op, std::move(block), out);
  if (limit.rows_left == 0 && phase_ == Phase::kRunning && !limit.done) cut(op, out);
}

void Executor::deliver_to_union(OpIndex op, OpIndex from, BlockRef block, Effects& out) {
  const std::vector<OpIndex>& branches = plan_.operators[op].upstream;
  auto branch = static_cast<size_t>(std::find(branches.begin(), branches.end(), from) - branches.begin());
  block.order.insert(block.order.begin(), static_cast<char32_t>(branch));
  ++states_[op].counters.blocks;
  if (options_.preserve_order && branch != states_[op].branch) {
    states_[op].waiting[from].push_back(std::move(block));
  } else {
    deliver(op, std::move(block), out);
  }
}

void Executor::give_output(OpIndex op, uint64_t sequence, BlockRef block, Effects& out) {
  if (!options_.preserve_order || sequence == states_[op].next_sequence) {
    deliver(op, std::move(block), out);
  } else {
    states_[op].held[sequence].blocks.push_back(std::move(block));
  }
}

void Executor::end_sequence(OpIndex op, uint64_t sequence, Effects& out) {
  if (!options_.preserve_order) return;
  OperatorState& state = states_[op];
  state.held[sequence].ended = true;
  while (!state.done) {
    auto next = state.held.find(state.next_sequence);
    if (next == state.held.end()) return;
    for (BlockRef& block : std::exchange(next->second.blocks, {})) deliver(op, std::move(block), out);
    if (state.done || !next->second.ended) return;
    state.held.erase(next);
    ++state.next_sequence;
  }
}

// -- the end of operators ----

void Executor::finish_if_drained(OpIndex op, Effects& out) {
  OperatorState& state = states_[op];
  if (state.done || plan_.operators[op].kind != OpKind::kMap) return;
  if (state.queue.is_closed() && state.queue.empty() && state.running.empty()) finish(op, out);
}

void Executor::finish(OpIndex op, Effects& out) {
  OperatorState& state = states_[op];
  if (state.done) return;
  state.done = true;
  CHECK(state.held.empty());
  for (ActorNumber actor : std::set<ActorNumber>(state.actors)) drop_actor(actor, true, out);
  OpIndex to = downstream_[op];
  if (to < plan_.operators.size()) return input_finished(to, op, out);
  phase_ = Phase::kEnded;
  out.finished = true;
}

void Executor::input_finished(OpIndex op, OpIndex from, Effects& out) {
  OperatorState& state = states_[op];
  if (state.done) return;
  --state.open_inputs;
  switch (plan_.operators[op].kind) {
    case OpKind::kMap:
      state.queue.close();
      return finish_if_drained(op, out);
    case OpKind::kLimit:
      return finish(op, out);
    case OpKind::kUnion: {
      const std::vector<OpIndex>& branches = plan_.operators[op].upstream;
      while (state.branch < branches.size() && states_[branches[state.branch]].done) {
        if (++state.branch == branches.size()) break;
        for (BlockRef& block : std::exchange(state.waiting[branches[state.branch]], {})) {
          deliver(op, std::move(block), out);
        }
      }
      if (state.open_inputs == 0) finish(op, out);
      return;
    }
    case OpKind::kInput:
      CHECK(from == op);
  }
}

void Executor::cut(OpIndex op, Effects& out) {
  for (OpIndex other = 0; other < op; ++other) {
    if (feeds(other, op)) discard(other, out);
  }
  finish(op, out);
}

void Executor::discard(OpIndex op, Effects& out) {
  OperatorState& state = states_[op];
  state.done = true;
  for (TaskNumber number : std::set<TaskNumber>(state.running)) {
    for (const Bundle& bundle : tasks_.at(number).bundles) {
      for (const BlockRef& block : bundle.blocks) release(block, out);
    }
    tasks_.at(number).bundles.clear();
    end_task(number, true, state.counters.last_ms, out);
  }
  for (ActorNumber actor : std::set<ActorNumber>(state.actors)) drop_actor(actor, true, out);
  for (const BlockRef& block : state.queue.clear()) release(block, out);
  for (auto& [sequence, held] : std::exchange(state.held, {})) {
    for (const BlockRef& block : held.blocks) release(block, out);
  }
  for (auto& [from, blocks] : std::exchange(state.waiting, {})) {
    for (const BlockRef& block : blocks) release(block, out);
  }
}

void Executor::release(const BlockRef& block, Effects& out) {
  if (block.is_literal()) return;
  if (block.producer != kNoOp) states_[block.producer].bytes_out -= block.bytes;
  out.releases.push_back(block.object);
}

void Executor::fail(OpIndex op, uint64_t detail, Effects& out) {
  if (phase_ == Phase::kEnded) return;
  out.failed = Failure{op, detail};
  stop(out);
}

int64_t Executor::memory_bytes() const {
  int64_t bytes = 0;
  for (const OperatorState& state : states_) bytes += state.bytes_out;
  return bytes;
}

void Executor::check() const {
  std::vector<int64_t> running(states_.size(), 0);
  for (const auto& [number, task] : tasks_) {
    CHECK(states_[task.op].running.contains(number));
    CHECK(task.bundles.size() == task.ended.size());
    CHECK(task.actor == kNoActor || actors_.at(task.actor).op == task.op);
    ++running[task.op];
  }
  for (OpIndex op = 0; op < states_.size(); ++op) {
    const OperatorState& state = states_[op];
    state.queue.check();
    CHECK(static_cast<int64_t>(state.running.size()) == running[op]);
    CHECK(state.bytes_out >= 0);
    CHECK(!state.done || (state.running.empty() && state.actors.empty() && state.queue.empty()));
  }
  for (const auto& [number, actor] : actors_) CHECK(states_[actor.op].actors.contains(number));
  CHECK(outputs_untaken_ >= 0);
  if (phase_ == Phase::kEnded) CHECK(tasks_.empty() && actors_.empty() && capacity_.idle());
}

}  // namespace mobula::data
