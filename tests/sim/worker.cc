// Assignments to fibers, and back.
#include "worker.h"

#include <algorithm>

#include "program.h"

namespace mobula::sim {

void Worker::give(RunMessage run) {
  ring_.push_back(std::move(run));
  world_.timeline().after(world_.delay(), [this] { look(); });
}

std::vector<TaskId> Worker::take_back() {
  std::vector<TaskId> tasks;
  for (const RunMessage& run : ring_) tasks.push_back(run.spec.id);
  ring_.clear();
  return tasks;
}

void Worker::look() {
  while (alive && !told_to_end_ && !ring_.empty() && executions_.size() < static_cast<size_t>(concurrency_)) {
    RunMessage run = std::move(ring_.front());
    ring_.pop_front();
    begin(std::move(run));
  }
  end_if_told();
}

void Worker::begin(RunMessage run) {
  const TaskFacts& facts = world_.tasks.at(run.spec.id);
  world_.trace("worker " + std::to_string(worker_.value) + " begins " +
               std::to_string(run.spec.id.value & 0xFFFF) + " of " +
               std::to_string(run.spec.id.value >> kClientShift) + " attempt " + std::to_string(run.attempt));
  ++world_.counts[run.attempt > 0     ? "repeated attempts"
                  : run.creates_actor ? "constructors"
                                      : "first attempts"];
  bool known = !functions_.insert(run.spec.function).second;
  world_.expect(known || run.definition == to_hex(run.spec.function.low),
                "a worker is given a function that it was not told");
  world_.expect(run.value_ids == facts.refs, "a task gets its own arguments");
  world_.expect(run.creates_actor == facts.creates_actor, "a constructor is known as one");
  world_.expect(facts.group.is_nil() || run.spec.placement_group == facts.group,
                "a task runs in the group that it asked for");
  if (!run.spec.placement_group.is_nil()) ++world_.counts["tasks in placement groups"];
  if (run.creates_actor) {
    world_.expect(actor_.is_nil(), "a worker has one actor");
    actor_ = facts.actor;
    concurrency_ = run.max_concurrency;
  } else {
    world_.expect(actor_ == facts.actor, "a call comes to its actor's worker, and a task to no actor's");
  }
  if (!run.creates_actor && !actor_.is_nil() && run.attempt == 0 && world_.actors.at(actor_).ordered) {
    uint64_t& last = last_call_[facts.caller];
    world_.expect(last < facts.order, "calls of one caller begin in their order");
    last = facts.order;
  }
  auto execution = std::make_shared<Execution>();
  execution->run = std::move(run);
  executions_.push_back(execution);
  start(task_body(*this, execution));
}

void Worker::finish(Execution& execution, std::vector<Located> values, bool retriable, bool exit_after) {
  execution.done = true;
  world_.trace("worker " + std::to_string(worker_.value) + " ends " +
               std::to_string(execution.task().value & 0xFFFF));
  send(DoneMessage{execution.task(), execution.run.attempt, std::move(values), retriable, exit_after,
                   "it said so", random_.below(3'000'000)});
  std::erase_if(executions_, [&](const auto& one) { return one.get() == &execution; });
  told_to_end_ |= exit_after;
  world_.timeline().after(0, [this] { look(); });
}

void Worker::end_if_told() {
  if (!alive || !told_to_end_ || !executions_.empty()) return;
  world_.kill(worker_, "it was told to end");
}

Worker::Pause Worker::crash() {
  world_.timeline().after(0, [this] { world_.kill(worker_, "it crashed"); });
  return sleep(1'000'000'000);
}

void Worker::on_message(DownMessage message) {
  if (auto* reply = std::get_if<ReplyMessage>(&message)) return on_reply(std::move(*reply));
  if (std::holds_alternative<ExitMessage>(message)) {
    told_to_end_ = true;
    return end_if_told();
  }
  auto* consumed = std::get_if<ConsumedMessage>(&message);
  auto* cancel = std::get_if<CancelTaskMessage>(&message);
  world_.expect(consumed != nullptr || cancel != nullptr, "a worker's replies are replies");
  TaskId task = consumed != nullptr ? consumed->task : cancel->task;
  auto found =
      std::find_if(executions_.begin(), executions_.end(), [&](auto& one) { return one->task() == task; });
  if (found == executions_.end()) return;  // not begun, or over
  std::shared_ptr<Execution> execution = *found;
  if (consumed != nullptr) execution->consumed = std::max(execution->consumed, consumed->index);
  execution->dropped |= cancel != nullptr || consumed->dropped;
  execution->cancelled |= cancel != nullptr;
  if (!execution->paused || !Reader{*execution}.may_go_on()) return;
  std::exchange(execution->paused, nullptr).resume();
}

// ---- streams ----------------------------------------------------------------------------------------

bool Worker::Reader::may_go_on() const {
  int32_t ahead = execution.run.spec.backpressure_items;
  if (execution.dropped || ahead < 0) return true;
  return static_cast<int64_t>(execution.produced) - execution.consumed < std::max(ahead, 1);
}

Fiber<bool> Worker::stream_item(std::shared_ptr<Execution> execution, uint32_t index, Located value) {
  send(ItemMessage{execution->task(), execution->run.attempt, index, std::move(value)});
  execution->produced = index + 1;
  co_await Reader{*execution};
  co_return !execution->dropped;
}

}  // namespace mobula::sim
