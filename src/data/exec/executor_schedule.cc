// What runs next: tasks, streams and actors, by capacity, memory and need.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "data/exec/executor.h"

namespace mobula::data {
namespace {

constexpr int64_t kWindowBlocks =
    2;  // blocks of a task's stream made before they are asked for, plus the asked
constexpr double kReservedShare = 0.5;   // of the budget, split evenly; the rest goes to who needs it
constexpr int64_t kBundlesAheadMin = 4;  // for each slot of the operator after
constexpr int64_t kBundlesAheadMax = 4096;
constexpr double kAheadMs = 1000;      // work in the queue of the operator after: enough to keep it busy
constexpr int64_t kOutputsMax = 1024;  // given and not yet taken
constexpr double kTaskMs = 20;         // short bundles share a task until it takes about so long
constexpr size_t kBundlesPerTaskMax = 64;
constexpr double kShortMs = 200;    // who holds a CPU for less need not leave one free for others
constexpr size_t kGrowBacklog = 2;  // waiting bundles for each actor at which a pool grows
constexpr size_t kItemsAsked = 64;  // of one task's stream at once

}  // namespace

void Executor::schedule(double now_ms, Effects& out) {
  if (phase_ != Phase::kRunning) return;
  grow_pools(out);
  while (start_one(now_ms, out)) {
  }
  pull_streams(out);
  shrink_pools(out);
  if (nothing_moves()) force_progress(now_ms, out);
}

bool Executor::start_one(double now_ms, Effects& out) {
  for (auto op = static_cast<OpIndex>(plan_.operators.size()); op-- > 0;) {
    if (!is_unfinished_map(op) || states_[op].queue.size() == 0) continue;
    if (!has_slot(op) || !has_memory(op) || runs_ahead(op)) continue;
    start_task(op, now_ms, out);
    return true;
  }
  return false;
}

void Executor::start_task(OpIndex op, double now_ms, Effects& out) {
  OperatorState& state = states_[op];
  const Operator& node = plan_.operators[op];
  TaskStart start;
  start.task = next_number_++;
  start.op = op;
  size_t bundles = bundles_for_task(op);
  for (size_t i = 0; i < bundles; ++i) start.bundles.push_back(state.queue.pop());
  start.held_back = bundles == 1;
  TaskState task;
  task.op = op;
  task.bundles = start.bundles;
  task.ended.assign(bundles, false);
  task.bundles_open = bundles;
  if (node.pool) {
    start.actor = task.actor = free_actor(op);
    ++actors_.at(task.actor).calls;
  } else {
    task.holds_resources = true;
    capacity_.take(node.resources);
  }
  state.running.insert(start.task);
  TaskNumber number = start.task;
  TaskState& added = tasks_.emplace(number, std::move(task)).first->second;
  ++state.counters.tasks;
  state.counters.tasks_most = std::max(state.counters.tasks_most, static_cast<int64_t>(state.running.size()));
  if (state.counters.first_ms < 0) state.counters.first_ms = now_ms;
  out.starts.push_back(std::move(start));
  pull(number, added, out);
}

/// Each open bundle answers at least once, so as many answers are asked for at once: one wake-up for all of
/// them.
void Executor::pull(TaskNumber number, TaskState& task, Effects& out) {
  task.asked = static_cast<int32_t>(std::clamp<size_t>(task.bundles_open, 1, kItemsAsked));
  out.pulls.push_back({number, task.asked});
}

size_t Executor::bundles_for_task(OpIndex op) const {
  const OperatorState& state = states_[op];
  const Average& ms = state.history.bundle_ms;
  if (!ms.known() || ms.value() > kTaskMs / 2) return 1;
  auto wanted = static_cast<size_t>(kTaskMs / std::max(ms.value(), kTaskMs / kBundlesPerTaskMax));
  auto fair = (state.queue.size() + 2 * slots(op) - 1) / (2 * slots(op));
  double bundle_bytes = state.history.block_bytes.value() * state.history.blocks_per_bundle.value();
  auto affordable =
      static_cast<size_t>(std::max(1.0, options_.memory_bytes_max / 16.0 / std::max(bundle_bytes, 1.0)));
  return std::max<size_t>(1, std::min({wanted, static_cast<size_t>(fair), affordable, state.queue.size()}));
}

void Executor::pull_streams(Effects& out) {
  for (auto op = static_cast<OpIndex>(plan_.operators.size()); op-- > 0;) {
    if (!is_unfinished_map(op)) continue;
    for (TaskNumber number : states_[op].running) {
      TaskState& task = tasks_.at(number);
      if (task.asked > 0) continue;
      if (runs_ahead(op) || (bytes_left(op) <= 0 && states_[op].bytes_out > 0)) break;
      pull(number, task, out);
    }
  }
}

// -- when nothing else moves ----

bool Executor::nothing_moves() const {
  if (outputs_untaken_ > 0) return false;
  if (std::any_of(tasks_.begin(), tasks_.end(), [](const auto& item) { return item.second.asked > 0; }))
    return false;
  return std::all_of(actors_.begin(), actors_.end(), [](const auto& item) { return item.second.standing; });
}

void Executor::force_progress(double now_ms, Effects& out) {
  for (auto op = static_cast<OpIndex>(plan_.operators.size()); op-- > 0;) {
    if (is_unfinished_map(op) && states_[op].queue.size() > 0 && has_slot(op))
      return start_task(op, now_ms, out);
  }
  for (auto op = static_cast<OpIndex>(plan_.operators.size()); op-- > 0;) {
    if (!is_unfinished_map(op) || states_[op].running.empty()) continue;
    TaskNumber number = *states_[op].running.begin();
    pull(number, tasks_.at(number), out);
    return;
  }
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) {  // nothing runs, so what is held are idle actors
    if (!is_unfinished_map(op) || states_[op].queue.size() == 0) continue;
    const Operator& node = plan_.operators[op];
    if (node.pool) return start_actor(op, out);
    return start_task(op, now_ms, out);
  }
}

// -- actors ----

void Executor::grow_pools(Effects& out) {
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) {
    if (!is_unfinished_map(op) || !plan_.operators[op].pool) continue;
    const ActorPool& pool = *plan_.operators[op].pool;
    const OperatorState& state = states_[op];
    while (true) {
      auto size = static_cast<int32_t>(state.actors.size());
      if (pool.actors_max >= 0 && size >= pool.actors_max) break;
      bool first = size < (state.counters.actors_started < pool.actors_initial ? pool.actors_initial
                                                                               : pool.actors_min);
      bool starting = std::any_of(state.actors.begin(), state.actors.end(),
                                  [&](ActorNumber number) { return !actors_.at(number).standing; });
      bool behind = !starting && size > 0 && state.queue.size() >= kGrowBacklog * static_cast<size_t>(size) &&
                    free_actor(op) == kNoActor;
      if ((!first && !behind) || !has_work(op) || !has_room(op)) break;
      start_actor(op, out);
    }
  }
}

/// Actors that will not be needed again give back what they hold at once.
void Executor::shrink_pools(Effects& out) {
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) {
    if (!is_unfinished_map(op) || !plan_.operators[op].pool || has_work(op)) continue;
    for (ActorNumber number : std::set<ActorNumber>(states_[op].actors)) {
      if (actors_.at(number).calls == 0) drop_actor(number, true, out);
    }
  }
}

void Executor::start_actor(OpIndex op, Effects& out) {
  OperatorState& state = states_[op];
  ActorStart start{next_number_++, op};
  capacity_.take(plan_.operators[op].resources);
  actors_.emplace(start.actor, ActorState{op, false, 0});
  state.actors.insert(start.actor);
  ++state.counters.actors_started;
  state.counters.actors_most =
      std::max(state.counters.actors_most, static_cast<int64_t>(state.actors.size()));
  out.actor_starts.push_back(start);
}

ActorNumber Executor::free_actor(OpIndex op) const {
  ActorNumber best = kNoActor;
  int32_t calls_max = plan_.operators[op].pool->calls_per_actor_max;
  int32_t fewest = calls_max;
  for (ActorNumber number : states_[op].actors) {
    const ActorState& actor = actors_.at(number);
    if (actor.standing && actor.calls < fewest) {
      best = number;
      fewest = actor.calls;
    }
  }
  return best;
}

// -- may it run? ----

bool Executor::is_unfinished_map(OpIndex op) const {
  return plan_.operators[op].kind == OpKind::kMap && !states_[op].done;
}

/// Is there input, or may more come?
bool Executor::has_work(OpIndex op) const {
  return !states_[op].queue.is_closed() || !states_[op].queue.empty();
}

bool Executor::has_slot(OpIndex op) const {
  const Operator& node = plan_.operators[op];
  if (node.pool) return free_actor(op) != kNoActor;
  auto running = static_cast<int32_t>(states_[op].running.size());
  return (node.tasks_max == 0 || running < node.tasks_max) && has_room(op);
}

/// Does a task or an actor of `op` fit, and leave what others need to begin at all? An actor stays, so it
/// leaves room for the operators that feed it; a long task leaves room for those that take its output.
bool Executor::has_room(OpIndex op) const {
  const Operator& node = plan_.operators[op];
  const Average& ms = states_[op].history.bundle_ms;
  bool stays = node.pool.has_value() || !ms.known() || ms.value() > kShortMs;
  ResourceMap upstream, downstream;
  for (OpIndex other = 0; other < plan_.operators.size(); ++other) {
    if (other == op || !is_unfinished_map(other) || !has_work(other)) continue;
    bool begun = !states_[other].running.empty() || !states_[other].actors.empty();
    if (begun) continue;
    if (node.pool && feeds(other, op)) add_to(upstream, plan_.operators[other].resources);
    if (stays && feeds(op, other)) add_to(downstream, plan_.operators[other].resources);
  }
  ResourceMap everything = upstream;
  add_to(everything, downstream);
  if (capacity_.fits(node.resources, everything)) return true;
  add_to(everything, node.resources);
  return !capacity_.possible(everything) && capacity_.fits(node.resources, upstream);
}

/// Is there memory for another task? One is always allowed to whoever has no output about.
bool Executor::has_memory(OpIndex op) const {
  if (usage_bytes(op) == 0) return true;
  return window_bytes(op) <= bytes_left(op);
}

/// Has the operator after so much to do that more would only lie about?
bool Executor::runs_ahead(OpIndex op) const {
  OpIndex after = map_after(op);
  if (after == plan_.operators.size()) return outputs_untaken_ >= kOutputsMax;
  const OperatorState& next = states_[after];
  auto waiting = static_cast<int64_t>(next.queue.size());
  int64_t room = slots(after);
  if (waiting < kBundlesAheadMin * room) return false;
  if (waiting >= kBundlesAheadMax) return true;
  const Average& ms = next.history.bundle_ms;
  return !ms.known() || static_cast<double>(waiting) * ms.value() / static_cast<double>(room) >= kAheadMs;
}

int64_t Executor::slots(OpIndex op) const {
  const Operator& node = plan_.operators[op];
  if (node.pool) return std::max<int64_t>(1, static_cast<int64_t>(states_[op].actors.size()));
  int64_t fit = capacity_.times(node.resources);
  return node.tasks_max > 0 ? std::min<int64_t>(fit, node.tasks_max) : fit;
}

/// What a running task of `op` may have made and not yet handed over.
int64_t Executor::window_bytes(OpIndex op) const {
  const History& history = states_[op].history;
  if (!history.block_bytes.known()) {
    return std::min(plan_.operators[op].block_bytes_max, options_.memory_bytes_max / 16) * kWindowBlocks;
  }
  double blocks = kWindowBlocks;
  if (history.blocks_per_bundle.known()) blocks = std::clamp(history.blocks_per_bundle.value(), 1.0, blocks);
  return static_cast<int64_t>(history.block_bytes.value() * blocks);
}

int64_t Executor::usage_bytes(OpIndex op) const {
  int64_t windows = 0;
  for (TaskNumber number : states_[op].running) {
    windows += std::max<int64_t>(1, static_cast<int64_t>(tasks_.at(number).bundles_open));
  }
  return states_[op].bytes_out + windows * window_bytes(op);
}

int64_t Executor::bytes_left(OpIndex op) const {
  int64_t operators = 0, borrowed = 0;
  for (OpIndex other = 0; other < plan_.operators.size(); ++other)
    operators += is_unfinished_map(other) ? 1 : 0;
  auto reserved = static_cast<int64_t>(static_cast<double>(options_.memory_bytes_max) * kReservedShare);
  int64_t share = reserved / std::max<int64_t>(operators, 1);
  for (OpIndex other = 0; other < plan_.operators.size(); ++other) {
    if (plan_.operators[other].kind == OpKind::kMap) {
      borrowed += std::max<int64_t>(0, usage_bytes(other) - (states_[other].done ? 0 : share));
    }
  }
  int64_t shared = options_.memory_bytes_max - reserved - borrowed;
  return std::max<int64_t>(0, share - usage_bytes(op)) + std::max<int64_t>(0, shared);
}

/// The next operator after `op` that runs something; the number of operators if the consumer comes first.
OpIndex Executor::map_after(OpIndex op) const {
  OpIndex after = downstream_[op];
  while (after < plan_.operators.size() && plan_.operators[after].kind != OpKind::kMap)
    after = downstream_[after];
  return after;
}

bool Executor::feeds(OpIndex from, OpIndex to) const {
  while (from < to) from = downstream_[from];
  return from == to;
}

}  // namespace mobula::data
