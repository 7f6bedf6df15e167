// Actors: placed like a task, then fed their calls; restarted or buried when their process ends.
#include <algorithm>

#include "base/check.h"
#include "node/node_core.h"

namespace mobula {
namespace {

using Life = ActorRecord::State;

ResourceMap larger_of(ResourceMap one, const ResourceMap& other) {
  for (const auto& [name, amount] : other) one[name] = std::max(one[name], amount);
  return one;
}

}  // namespace

void NodeCore::on(ClientId from, CreateActorMessage& message) {
  ReplyMessage answer{
      .request = message.request, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  ActorSpec& spec = message.spec;
  ActorId id{spec.creation.id.value};
  spec.creation.actor = id;
  spec.creation.returns = 1;
  TaskId parent = running_on(from);
  join_group(from, parent, spec.creation);
  ActorId existing = actors_.find_named(spec.name, spec.space);
  if (!spec.name.empty() && !existing.is_nil() && spec.get_if_exists) {
    hold_actor(from, existing);
    answer.number = existing.value;
    answer.text = actors_.find(existing)->spec.handle;
    return reply(from, std::move(answer));
  }
  std::string handle = spec.handle;
  Status added = actors_.add(id, spec);
  if (!added.is_ok()) {
    answer.code = added.code();
    answer.text = added.message();
    return reply(from, std::move(answer));
  }
  store_.create(life_of(id), spec.detached ? 2 : 1);
  store_.watch(life_of(id));
  hold_for(from, life_of(id));
  if (spec.max_restarts != 0) {  // a restart needs the constructor's arguments again
    for (ObjectId ref : spec.creation.refs) store_.hold(ref, effects_);
    for (ObjectId ref : spec.creation.nested) store_.hold(ref, effects_);
  }
  tasks_.add(std::move(spec.creation), from, parent).times.submitted_us = now_us_;
  start_actor(id);
  answer.number = id.value;
  answer.text = std::move(handle);
  reply(from, std::move(answer));
}

void NodeCore::start_actor(ActorId id) {
  ActorRecord& actor = *actors_.find(id);
  TaskRecord* task = tasks_.find(TaskId{id.value});
  if (task == nullptr) {  // a restart: the constructor's task is made anew
    TaskSpec spec = actor.spec.creation;
    task = &tasks_.add(std::move(spec), kDriver, {});
    task->attempt = actor.restarts;
    task->times.submitted_us = now_us_;
  }
  task->creates_actor = true;
  task->retries_left = actor.spec.max_restarts;
  for (ObjectId ref : task->spec.refs) store_.hold(ref, effects_);
  for (ObjectId ref : task->spec.nested) store_.hold(ref, effects_);
  ResourceMap need = larger_of(task->spec.resources, task->spec.placement_resources);
  if (fail_if_misplaced(*task, need)) return;
  task->cls = sched_.class_of(class_key(task->spec, std::move(need), true));
  await_arguments(*task);
}

void NodeCore::on_actor_created(TaskRecord& task, DoneMessage& message) {
  ActorId id = task.spec.actor;
  ActorRecord& actor = *actors_.find(id);
  bool failed = !message.values.empty() && message.values[0].kind != PayloadKind::kValue;
  WorkerId worker = task.worker;
  ResourceMap for_life = task.spec.resources;
  seal_results(task, message.values);
  erase_task(task);
  if (failed) {
    bury(id, "its constructor raised an exception:\n" + message.exit_reason);
    return dismiss(worker);
  }
  actor.state = Life::kAlive;
  sched_.on_actor_alive(worker, for_life);
  send_calls(id);
  end_if_idle(id);
}

void NodeCore::submit_call(TaskRecord& task) {
  ActorRecord* actor = actors_.find(task.spec.actor);
  TaskId id = task.spec.id;
  if (actor == nullptr || actor->state == Life::kDead) {
    std::string cause = actor == nullptr ? "it is not known to this node" : actor->death_cause;
    std::string who = actor == nullptr ? task.spec.name : actor->spec.class_name;
    PayloadKind kind = actor == nullptr ? PayloadKind::kActorDied : actor->death_kind;
    return fail(id, kind, "actor " + who + " is dead: " + cause);
  }
  if (actor->spec.max_pending_calls >= 0 &&
      actor->pending() >= static_cast<size_t>(actor->spec.max_pending_calls)) {
    return fail(id, PayloadKind::kPendingCallsLimit,
                "actor " + actor->spec.class_name + " has " + std::to_string(actor->pending()) +
                    " pending calls, its limit (max_pending_calls)");
  }
  if (actor->state == Life::kRestarting && task.retries_left > 0) --task.retries_left;
  actors_.queue_call(task.spec.actor, task.submitter, id);
  await_arguments(task);
}

void NodeCore::send_calls(ActorId id) {
  ActorRecord* actor = actors_.find(id);
  if (actor == nullptr || actor->state != Life::kAlive || sending_) return;
  sending_ = true;
  auto is_ready = [&](TaskId call) { return tasks_.find(call)->state == TaskRecord::State::kQueued; };
  for (bool moved = true; moved;) {
    moved = stage_next_calls(*actor);
    std::vector<TaskId> calls = actors_.take_sendable(id, is_ready);
    for (TaskId call : calls) run(actor->worker, call);
    moved |= !calls.empty();
  }
  sending_ = false;
}

/// Calls whose turn it is get room for their arguments: the head of each caller's queue, or all of them.
bool NodeCore::stage_next_calls(ActorRecord& actor) {
  std::vector<TaskId> next;
  for (const auto& [caller, queue] : actor.queues) {
    size_t count = actor.spec.ordered ? 1 : queue.size();
    next.insert(next.end(), queue.begin(), queue.begin() + static_cast<ptrdiff_t>(count));
  }
  bool any = false;
  for (TaskId call : next) {
    TaskRecord* task = tasks_.find(call);
    if (task == nullptr || task->state != TaskRecord::State::kParked) continue;
    any = true;
    stage(*task);
  }
  return any;
}

/// Calls of an actor that has to be made again give their room back: its constructor may need it.
void NodeCore::park_calls(ActorRecord& actor) {
  for (const auto& [caller, queue] : actor.queues) {
    for (TaskId call : queue) {
      TaskRecord& task = *tasks_.find(call);
      bool staged = task.state == TaskRecord::State::kStaging || task.admitted_bytes > 0;
      if (!staged) continue;
      for (ObjectId ref : task.spec.refs)
        store_.remove_waiter(ref, {Waiter::Kind::kStage, call.value}, effects_);
      withdraw(task);
      task.missing = 0;
      task.state = TaskRecord::State::kParked;
    }
  }
}

void NodeCore::hold_actor(ClientId client, ActorId id) {
  store_.hold(life_of(id), effects_);
  store_.watch(life_of(id));
  actors_.find(id)->unreferenced = false;
  hold_for(client, life_of(id));
}

void NodeCore::on_actor_lost(ActorId id, const std::string& cause, bool may_restart) {
  ActorRecord& actor = *actors_.find(id);
  std::vector<TaskId> sent;
  std::string who = "actor " + actor.spec.class_name;
  if (!may_restart || !actors_.take_restart(id, &sent)) return bury(id, cause);
  park_calls(actor);
  std::map<ClientId, std::vector<TaskId>> again;
  for (TaskId call : sent) {
    TaskRecord* task = tasks_.find(call);
    task->worker = {};
    if (tasks_.take_retry(*task)) {
      remember_failure(*task, task->attempt - 1, PayloadKind::kActorUnavailable,
                       who + " died while it ran it: " + cause);
      again[task->submitter].push_back(call);
    } else {
      fail(call, task->cancelled ? PayloadKind::kCancelled : PayloadKind::kActorUnavailable,
           who + " died while it ran " + task->spec.name + " (" + cause +
               ") and is being restarted; set max_task_retries to repeat such calls");
    }
  }
  for (auto& [caller, calls] : again) {
    actors_.requeue(id, caller, calls);
    for (TaskId call : calls) requeue(*tasks_.find(call));
  }
  TaskRecord* creation = tasks_.find(TaskId{id.value});
  if (creation == nullptr) return start_actor(id);
  creation->attempt = actors_.find(id)->restarts;
  if (creation->state != TaskRecord::State::kRunning) return;
  remember_failure(*creation, creation->attempt - 1, PayloadKind::kActorDied, cause);
  requeue(*creation);
}

void NodeCore::bury(ActorId id, const std::string& cause, PayloadKind kind) {
  ActorRecord& actor = *actors_.find(id);
  if (actor.state == Life::kDead) return;
  TaskSpec creation = actor.spec.creation;
  bool keeps_arguments = actor.spec.max_restarts != 0;
  bool detached = actor.spec.detached;
  std::string who = "actor " + actor.spec.class_name;
  actor.death_kind = kind;
  std::vector<TaskId> calls = actors_.bury(id, cause);
  std::sort(calls.begin(), calls.end());
  for (TaskId call : calls) {
    TaskRecord* task = tasks_.find(call);
    task->worker = {};
    if (task->state == TaskRecord::State::kRunning) task->state = TaskRecord::State::kQueued;
    fail(call, task->cancelled ? PayloadKind::kCancelled : kind, who + " is dead: " + cause);
  }
  TaskRecord* starting = tasks_.find(TaskId{id.value});
  if (starting != nullptr) {
    starting->worker = {};
    fail(TaskId{id.value}, PayloadKind::kActorDied, who + " is dead: " + cause);
  }
  if (keeps_arguments) {
    for (ObjectId ref : creation.refs) store_.release(ref, effects_);
    for (ObjectId ref : creation.nested) store_.release(ref, effects_);
  }
  if (detached) store_.release(life_of(id), effects_);
  remove_groups_of(id);
}

void NodeCore::end_if_idle(ActorId id) {
  ActorRecord* actor = actors_.find(id);
  if (actor == nullptr || !actor->unreferenced || actor->pending() > 0) return;
  if (actor->state == Life::kAlive) {
    WorkerId worker = actor->worker;
    bury(id, "all handles to it are gone");
    return dismiss(worker);
  }
  bool in_constructor = tasks_.find(TaskId{id.value}) != nullptr && !actor->worker.is_nil();
  if (actor->state != Life::kDead && !in_constructor) bury(id, "all handles to it are gone");
}

void NodeCore::dismiss(WorkerId worker) {
  auto client = clients_.find(ClientId{worker.value});
  if (client != clients_.end()) client->second.leaving = true;
  out_->replies.emplace_back(ClientId{worker.value}, ExitMessage{});
}

void NodeCore::on(ClientId from, FindActorMessage& message) {
  ReplyMessage answer{
      .request = message.request, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  ActorId id = actors_.find_named(message.name, message.space);
  if (id.is_nil()) {
    answer.code = Code::kNotFound;
    answer.text = "no actor is called '" + message.name + "' in namespace '" + message.space +
                  "'; was it created with name=, in this namespace, and is it alive?";
    return reply(from, std::move(answer));
  }
  hold_actor(from, id);
  answer.number = id.value;
  answer.text = actors_.find(id)->spec.handle;
  reply(from, std::move(answer));
}

void NodeCore::on(ClientId, KillMessage& message) {
  ActorRecord* actor = actors_.find(message.actor);
  if (actor == nullptr || actor->state == Life::kDead) return;
  if (!actor->worker.is_nil()) {
    worker_log_.at(actor->worker).intended = true;
    out_->kills.push_back({actor->worker, "killed by kill()"});
  }
  on_actor_lost(message.actor, "it was killed by kill()", !message.no_restart);
}

}  // namespace mobula
