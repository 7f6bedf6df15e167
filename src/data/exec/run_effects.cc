// Effects: from the executor to the engine. The run's thread.
#include <algorithm>
#include <utility>

#include "data/exec/run.h"

namespace mobula::data {
namespace {

// Asking for a pair of items says that those before are consumed; the producer may be one pair further on.
constexpr int32_t kItemsAhead = 2;

}  // namespace

void Run::perform(Effects effects) {
  for (const TaskDrop& dropped : effects.drops) drop(dropped);
  for (ActorNumber number : effects.actor_stops) {
    auto at = actors_.find(number);
    if (at == actors_.end()) continue;
    if (!at->second.ready.is_nil()) engine_.release(at->second.ready);
    actors_.erase(at);
    factory_.end(number);
  }
  for (const ActorStart& start : effects.actor_starts) start_actor(start);
  if (!effects.starts.empty()) start_tasks(std::move(effects.starts));
  for (const Pull& wanted : effects.pulls) pull(wanted);
  for (ObjectId object : effects.releases) engine_.release(object);
  if (!effects.outputs.empty() || effects.finished || effects.failed) {
    {
      std::lock_guard lock(mutex_);
      for (BlockRef& block : effects.outputs) outputs_.push_back(std::move(block));
      if (effects.finished) finished_ = true;
      if (effects.failed) failed_ = effects.failed;
      if (finished_ || failed_) ended_ms_ = now_ms();
    }
    output_came_.notify_all();
  }
}

TaskSpec Run::spec_of(const TaskStart& start) const {
  const Binding& binding = bindings_[start.op];
  TaskSpec spec = binding.spec;
  spec.returns = kStreaming;
  spec.backpressure_items = start.held_back ? kItemsAhead : -1;
  codec_.add_bytes(spec.args, encode_header(start.bundles));
  OpIndex source = plan_.operators[start.op].upstream[0];
  for (const Bundle& bundle : start.bundles) {
    for (const BlockRef& block : bundle.blocks) {
      if (block.is_literal()) {
        codec_.add_encoded(spec.args, bindings_[source].literals[block.literal]);
      } else {
        codec_.add_reference(spec.args);
        spec.refs.push_back(block.object);
      }
    }
  }
  if (start.actor != kNoActor) {
    auto at = actors_.find(start.actor);
    if (at != actors_.end()) spec.actor = at->second.id;
  }
  return spec;
}

void Run::start_tasks(std::vector<TaskStart> starts) {
  auto calls = std::stable_partition(starts.begin(), starts.end(),
                                     [](const TaskStart& start) { return start.actor == kNoActor; });
  for (bool actors : {false, true}) {
    auto begin = actors ? calls : starts.begin(), end = actors ? starts.end() : calls;
    if (begin == end) continue;
    std::vector<TaskStart> part(std::make_move_iterator(begin), std::make_move_iterator(end));
    std::vector<TaskSpec> specs;
    for (const TaskStart& start : part) specs.push_back(spec_of(start));
    Result<std::vector<TaskId>> ids =
        actors ? engine_.call(std::move(specs)) : engine_.submit(std::move(specs));
    if (!ids.is_ok()) {
      fail_starts(part, ids.status());
      continue;
    }
    for (size_t i = 0; i < part.size(); ++i) {
      live_.emplace(part[i].task, Live{(*ids)[i], part[i].op, part[i].actor, 0, {}});
    }
  }
}

/// The engine took none of them: that is no fault of the input, so it is not tried again.
void Run::fail_starts(const std::vector<TaskStart>& starts, const Status& status) {
  for (const TaskStart& start : starts) {
    Effects effects;
    {
      std::lock_guard lock(mutex_);
      uint64_t detail = note_failure({start.op, {}, {}, status.message()});
      executor_.on_task_lost(start.task, detail, false, now_ms(), effects);
    }
    perform(std::move(effects));
  }
}

void Run::start_actor(const ActorStart& start) {
  Result<MadeActor> made = factory_.make(start.op, start.actor);
  if (made.is_ok()) {
    actors_.emplace(start.actor, Standing{made->actor, start.op, made->ready});
    auto post = [inbox = inbox_, number = start.actor] { inbox->post({Fact::Kind::kActor, number, {}}); };
    return engine_.on_ready({&made->ready, 1}, std::move(post));
  }
  Effects effects;
  {
    std::lock_guard lock(mutex_);
    uint64_t detail = note_failure({start.op, {}, {}, made.status().message()});
    executor_.on_actor_lost(start.actor, detail, true, now_ms(), effects);
  }
  perform(std::move(effects));
}

void Run::pull(const Pull& pull) {
  auto at = live_.find(pull.task);
  if (at == live_.end()) return;
  Live& live = at->second;
  std::vector<ObjectId> records;
  for (int32_t i = 0; i < pull.items; ++i) {
    Result<ObjectId> block = engine_.stream_item(live.id, live.next_item++);
    Result<ObjectId> record = engine_.stream_item(live.id, live.next_item++);
    if (!block.is_ok() || !record.is_ok()) return;  // the engine ends, and so will this run
    live.asked.push_back({*block, *record});
    records.push_back(*record);
  }
  auto post = [inbox = inbox_, task = pull.task] { inbox->post({Fact::Kind::kItems, task, {}}); };
  engine_.on_ready(records, std::move(post));
}

void Run::drop(const TaskDrop& dropped) {
  auto at = live_.find(dropped.task);
  if (at == live_.end()) return;
  Live live = std::move(at->second);
  live_.erase(at);
  for (const Pair& pair : live.asked) {
    engine_.release(pair.block);
    engine_.release(pair.record);
  }
  engine_.drop_stream(live.id);
  bool is_call = plan_.operators[live.op].pool.has_value();
  if (dropped.running && !is_call) {
    (void)engine_.cancel({live.id, 0, engine_.session()}, {.force = false, .recursive = true}).is_ok();
  }
}

}  // namespace mobula::data
