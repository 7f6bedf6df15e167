// A task's way: submitted, arguments awaited, brought into memory, queued, run, answered; or tried again, or
// failed.
#include <algorithm>

#include "base/check.h"
#include "node/node_core.h"

namespace mobula {
namespace {

using State = TaskRecord::State;
constexpr double kAdmittedShare = 0.7;  // of the arena may be arguments of tasks that are queued or running

void make_unique(std::vector<ObjectId>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

void NodeCore::on(ClientId, DefineMessage& message) {
  definitions_[message.function] = {message.language, std::move(message.definition)};
}

TaskId NodeCore::running_on(ClientId client) const {
  const WorkerState* worker = sched_.find(WorkerId{client.value});
  if (worker != nullptr && !worker->inflight.empty()) return worker->inflight.front();
  auto found = clients_.find(client);
  if (found == clients_.end()) return {};
  auto actor = actors_.all().find(found->second.actor);
  return actor == actors_.all().end() || actor->second.sent.empty() ? TaskId{} : *actor->second.sent.begin();
}

void NodeCore::on(ClientId from, SubmitMessage& message) {
  for (TaskSpec& spec : message.specs) submit(from, std::move(spec));
}

void NodeCore::submit(ClientId from, TaskSpec spec) {
  TaskId parent = running_on(from);
  if (spec.actor.is_nil()) join_group(from, parent, spec);
  TaskRecord& task = tasks_.add(std::move(spec), from, parent);
  TaskId id = task.spec.id;
  task.times.submitted_us = now_us_;
  if (task.spec.returns == kStreaming) tasks_.add_stream(id, from);
  for (int32_t i = 0; i < task.spec.returns; ++i) {
    ObjectId result = object_of(id, static_cast<uint32_t>(i));
    store_.create(result, 1);
    hold_for(from, result);
  }
  for (ObjectId ref : task.spec.refs) store_.hold(ref, effects_);
  for (ObjectId ref : task.spec.nested) store_.hold(ref, effects_);
  if (!task.spec.actor.is_nil()) {
    store_.hold(life_of(task.spec.actor), effects_);
    submit_call(task);
    return;
  }
  if (fail_if_misplaced(task, task.spec.resources)) return;
  task.cls = sched_.class_of(class_key(task.spec, task.spec.resources, false));
  await_arguments(task);
}

void NodeCore::await_arguments(TaskRecord& task) {
  task.state = State::kWaiting;
  task.missing = 0;
  std::vector<ObjectId> refs = task.spec.refs;
  make_unique(refs);
  for (ObjectId ref : refs) {
    if (store_.find(ref)->is_ready()) continue;
    store_.add_waiter(ref, {Waiter::Kind::kTask, task.spec.id.value});
    ++task.missing;
  }
  if (task.missing == 0) begin(task);
}

void NodeCore::begin(TaskRecord& task) {
  if (fail_on_bad_argument(task)) return;
  bool is_call = !task.spec.actor.is_nil() && !task.creates_actor;
  if (!is_call || !takes_room(task)) return stage(task);
  task.state = State::kParked;
  send_calls(task.spec.actor);
}

bool NodeCore::takes_room(const TaskRecord& task) const {
  return std::any_of(task.spec.refs.begin(), task.spec.refs.end(),
                     [&](ObjectId ref) { return store_.find(ref)->value.in_arena; });
}

bool NodeCore::fail_on_bad_argument(TaskRecord& task) {
  for (ObjectId ref : task.spec.refs) {
    const ObjectEntry* entry = store_.find(ref);
    if (!entry->is_error()) continue;
    Located error = entry->value;
    error.contained.clear();
    if (error.in_arena)
      error = located_bytes(PayloadKind::kSystemError,
                            "an argument of " + task.spec.name + " failed: " + to_hex(ref));
    fail_with(task.spec.id, std::move(error));
    return true;
  }
  return false;
}

bool NodeCore::admit(TaskRecord& task) {
  if (task.admitted_bytes > 0) return true;
  if (store_.is_making_room()) return false;  // it would keep what goes to disk
  std::vector<ObjectId> refs = task.spec.refs;
  make_unique(refs);
  uint64_t bytes = 0, fresh = 0;
  for (ObjectId ref : refs) {
    const ObjectEntry* entry = store_.find(ref);
    if (!entry->value.in_arena) continue;
    bytes += std::max<uint64_t>(entry->value.size, 1);
    if (!admitted_.contains(ref)) fresh += Arena::rounded(entry->value.size);
  }
  if (bytes > 0) {
    auto limit = static_cast<uint64_t>(kAdmittedShare * static_cast<double>(store_.arena().bytes()));
    bool no_room = store_.is_waiting_for_room() || admitted_bytes_ + fresh > limit;
    if (admitted_bytes_ > 0 && no_room) return false;  // one task may always go on
    for (ObjectId ref : refs) {
      const ObjectEntry* entry = store_.find(ref);
      if (!entry->value.in_arena) continue;
      auto [admitted, first] = admitted_.try_emplace(ref, Admitted{0, Arena::rounded(entry->value.size)});
      admitted->second.tasks++;
      if (first) admitted_bytes_ += admitted->second.bytes;
    }
    task.admitted_bytes = bytes;
  }
  stage(task);
  return true;
}

void NodeCore::stage(TaskRecord& task) {
  if (fail_on_bad_argument(task)) return;
  task.missing = 0;
  if (task.admitted_bytes == 0 && takes_room(task)) {
    task.state = State::kStaging;
    if (!staging_.empty() || !admit(task)) staging_.push_back(task.spec.id);
    return;
  }
  std::vector<ObjectId> refs = task.spec.refs;
  make_unique(refs);
  task.state = State::kStaging;
  for (ObjectId ref : refs) {
    if (!store_.find(ref)->value.in_arena) continue;
    if (std::find(task.pinned.begin(), task.pinned.end(), ref) != task.pinned.end()) continue;
    if (store_.pin(ref)) task.pinned.push_back(ref);
  }
  for (ObjectId ref : refs) {  // only now, so that what is there does not go to disk for it
    if (store_.find(ref)->place != ObjectEntry::Place::kDisk) continue;
    store_.add_waiter(ref, {Waiter::Kind::kStage, task.spec.id.value});
    ++task.missing;
    store_.restore(ref, effects_);
  }
  if (task.missing == 0) queue(task);
}

/// What runs needs room and nothing can go to disk: tasks that are only queued let their arguments go.
void NodeCore::make_room() {
  for (TaskId id : sched_.queued_tasks()) {
    TaskRecord& task = *tasks_.find(id);
    if (task.admitted_bytes == 0) continue;
    sched_.remove(id, task.cls);
    withdraw(task);
    task.state = State::kStaging;
    staging_.push_back(id);
  }
}

void NodeCore::withdraw(TaskRecord& task) {
  for (ObjectId ref : std::exchange(task.pinned, {})) store_.unpin(ref, effects_);
  if (std::exchange(task.admitted_bytes, 0) == 0) return;
  std::vector<ObjectId> refs = task.spec.refs;
  make_unique(refs);
  for (ObjectId ref : refs) {
    auto admitted = admitted_.find(ref);
    if (admitted == admitted_.end() || --admitted->second.tasks > 0) continue;
    admitted_bytes_ -= admitted->second.bytes;
    admitted_.erase(admitted);
  }
}

void NodeCore::queue(TaskRecord& task) {
  task.state = State::kQueued;
  task.times.queued_us = now_us_;
  if (task.spec.actor.is_nil() || task.creates_actor)
    sched_.enqueue(task.spec.id, task.cls, task.depth);
  else
    send_calls(task.spec.actor);
}

void NodeCore::run(WorkerId worker, TaskId id) {
  TaskRecord& task = *tasks_.find(id);
  Client& client = clients_.at(ClientId{worker.value});
  task.state = State::kRunning;
  task.worker = worker;
  task.times.sent_us = now_us_;
  task.times.given_to = worker;
  RunMessage message;
  message.spec = task.spec;
  message.spec.refs.clear();
  message.spec.nested.clear();
  message.attempt = task.attempt;
  message.value_ids = task.spec.refs;
  message.values.reserve(task.spec.refs.size());
  for (ObjectId ref : task.spec.refs) {
    Located value = store_.find(ref)->value;
    value.contained.clear();
    if (value.in_arena && store_.pin(ref)) client.pins[ref]++;
    message.values.push_back(std::move(value));
  }
  for (ObjectId ref : std::exchange(task.pinned, {})) store_.unpin(ref, effects_);
  if (client.functions.insert(task.spec.function).second) {
    auto definition = definitions_.find(task.spec.function);
    if (definition != definitions_.end()) message.definition = definition->second.text;
  }
  if (const WorkerState* state = sched_.find(worker)) {
    for (const GpuShare& share : state->gpus) message.gpu_ids.push_back(share.index);
  }
  if (!task.spec.actor.is_nil()) {
    ActorRecord& actor = *actors_.find(task.spec.actor);
    message.creates_actor = task.creates_actor;
    message.actor_restarted = actor.restarts > 0;
    message.actor_name = actor.spec.name;
    message.space = actor.spec.space;
    message.max_concurrency = actor.spec.max_concurrency;
    if (task.creates_actor) {
      actor.worker = actor.last_worker = worker;
      client.actor = task.spec.actor;
      worker_log_.at(worker).actor = task.spec.actor;
    }
  }
  out_->runs.emplace_back(worker, std::move(message));
}

void NodeCore::requeue(TaskRecord& task) {
  task.worker = {};
  task.times = {};
  task.times.submitted_us = now_us_;
  withdraw(task);
  if (StreamRecord* stream = tasks_.find_stream(task.spec.id)) {
    stream->attempted = 0;
    return_cpu(stream->lending);
    if (stream->dropped)
      return fail(task.spec.id, PayloadKind::kCancelled, "nobody reads the stream of " + task.spec.name);
  }
  await_arguments(task);
}

void NodeCore::discard(std::vector<Located>& values) {
  for (Located& value : values) {
    if (value.in_arena) store_.abandon(value.offset, effects_);
  }
}

void NodeCore::on(ClientId from, DoneMessage& message) {
  TaskRecord* task = tasks_.find(message.task);
  WorkerId worker{from.value};
  if (task == nullptr || task->worker != worker || task->attempt != message.attempt)
    return discard(message.values);
  clients_.at(from).leaving |= message.exit_after;
  sched_.on_done(worker, message.task, message.run_ns / 1000, now_us_);
  kill_if_cancelled(worker);
  remember(*task, message);
  if (task->creates_actor) return on_actor_created(*task, message);
  ActorId actor = task->spec.actor;
  if (!actor.is_nil()) actors_.on_answered(actor, message.task);
  if (message.retriable && tasks_.take_retry(*task)) {
    discard(message.values);
    if (!actor.is_nil()) {
      park_calls(*actors_.find(actor));  // those behind it do not keep it from its room
      actors_.requeue(actor, task->submitter, {message.task});
    }
    requeue(*task);
    if (!actor.is_nil()) send_calls(actor);
  } else {
    seal_results(*task, message.values);
    erase_task(*task);
  }
  if (!actor.is_nil() && message.exit_after)
    bury(actor, message.exit_reason.empty() ? "it ended itself" : message.exit_reason);
  else if (!actor.is_nil())
    end_if_idle(actor);
}

void NodeCore::seal_results(TaskRecord& task, std::vector<Located>& values) {
  TaskId id = task.spec.id;
  if (task.spec.returns == kStreaming) return end_stream(task, values);
  auto returns = static_cast<size_t>(task.spec.returns);
  bool one_error = values.size() == 1 && values[0].kind != PayloadKind::kValue;
  for (size_t i = 0; i < returns; ++i) {
    Located value;
    if (one_error && !values[0].in_arena)
      value = values[0];
    else if (i < values.size())
      value = std::move(values[i]);
    else
      value =
          located_bytes(PayloadKind::kSystemError, task.spec.name + " gave " + std::to_string(values.size()) +
                                                       " values for " + std::to_string(returns));
    store_.seal(object_of(id, static_cast<uint32_t>(i)), std::move(value), effects_);
  }
  for (size_t i = returns; i < values.size(); ++i) {
    if (values[i].in_arena) store_.abandon(values[i].offset, effects_);
  }
}

void NodeCore::erase_task(TaskRecord& task) {
  withdraw(task);
  TaskSpec spec = std::move(task.spec);
  tasks_.erase(spec.id);
  for (ObjectId ref : spec.refs) store_.release(ref, effects_);
  for (ObjectId ref : spec.nested) store_.release(ref, effects_);
  if (!spec.actor.is_nil() && spec.id.value != spec.actor.value)
    store_.release(life_of(spec.actor), effects_);
}

void NodeCore::retry_or_fail(TaskId id, PayloadKind kind, const std::string& message) {
  TaskRecord* task = tasks_.find(id);
  if (task->cancelled) return fail(id, PayloadKind::kCancelled, task->spec.name + " was cancelled");
  if (tasks_.take_retry(*task)) {
    remember_failure(*task, task->attempt - 1, kind, message);
    return requeue(*task);
  }
  fail(id, kind, message);
}

void NodeCore::fail(TaskId id, PayloadKind kind, std::string message) {
  fail_with(id, located_bytes(kind, std::move(message)));
}

void NodeCore::fail_with(TaskId id, Located error) {
  TaskRecord* task = tasks_.find(id);
  if (task == nullptr) return;
  for (ObjectId ref : task->spec.refs) {
    store_.remove_waiter(ref, {Waiter::Kind::kTask, id.value}, effects_);
    store_.remove_waiter(ref, {Waiter::Kind::kStage, id.value}, effects_);
  }
  if (task->state == State::kQueued && !task->cls.is_nil()) sched_.remove(id, task->cls);
  ActorId actor = task->spec.actor;
  bool creates = task->creates_actor;
  if (!actor.is_nil() && !creates) actors_.remove_call(actor, task->submitter, id);
  std::string text = error.bytes ? *error.bytes : std::string();
  PayloadKind kind = error.kind;
  bool readable = kind != PayloadKind::kTaskError;
  remember_failure(*task, task->attempt, error.kind, readable ? text : "an argument of it failed");
  std::vector<Located> values{std::move(error)};
  seal_results(*task, values);
  erase_task(*task);
  if (creates)
    bury(actor, readable ? "its constructor could not run: " + text : "an argument of its constructor failed",
         kind == PayloadKind::kGroupRemoved    ? PayloadKind::kActorGroupRemoved
         : kind == PayloadKind::kUnschedulable ? PayloadKind::kActorUnschedulable
                                               : PayloadKind::kActorDied);
  else if (!actor.is_nil())
    send_calls(actor);
}

// ---- cancellation
// -------------------------------------------------------------------------------------------------

void NodeCore::on(ClientId, CancelMessage& message) {
  cancel(message.id.task, message.force, message.recursive);
}

void NodeCore::cancel(TaskId id, bool force, bool recursive) {
  if (id.is_nil()) return;
  if (recursive) {
    for (TaskId child : tasks_.children(id)) cancel(child, false, true);
  }
  TaskRecord* task = tasks_.find(id);
  if (task == nullptr || task->creates_actor) return;
  task->cancelled = true;
  if (task->state != State::kRunning)
    return fail(id, PayloadKind::kCancelled, task->spec.name + " was cancelled before it ran");
  const WorkerState* worker = sched_.find(task->worker);
  bool is_plain = task->spec.actor.is_nil();
  task->cancelled_by_force |= force && is_plain;
  if (is_plain && worker != nullptr && worker->inflight.size() > 1 && worker->inflight.front() != id) {
    out_->take_back.push_back(task->worker);  // it may not have begun: then it comes back and never runs
    if (force) return;                        // nor is the one before it killed
  }
  if (force && is_plain)
    out_->kills.push_back({task->worker, "cancelled by force"});
  else
    out_->replies.emplace_back(ClientId{task->worker.value}, CancelTaskMessage{id});
}

/// What was cancelled by force behind another task, and could not be taken back, is killed when it is next.
void NodeCore::kill_if_cancelled(WorkerId id) {
  const WorkerState* worker = sched_.find(id);
  if (worker == nullptr || worker->inflight.empty()) return;
  const TaskRecord* head = tasks_.find(worker->inflight.front());
  if (head != nullptr && head->cancelled_by_force) out_->kills.push_back({id, "cancelled by force"});
}

}  // namespace mobula
