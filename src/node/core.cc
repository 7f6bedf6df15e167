// The frame of each fact: dispatch, then let the consequences settle (woken waiters, freed actors, new
// assignments) until nothing moves any more.
#include <algorithm>

#include "base/check.h"
#include "node/node_core.h"

namespace mobula {
namespace {

constexpr uint64_t kStallUs = 10'000'000;  // so long may an allocation wait without anything moving
constexpr uint32_t kFailedStartsMax = 5;
constexpr uint64_t kQuickTickUs = 2'000, kSlowTickUs = 250'000;

template <typename T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  from.clear();
}

}  // namespace

NodeCore::NodeCore(NodeCoreOptions options)
    : options_(std::move(options)),
      store_(options_.arena_bytes),
      sched_({options_.resources, options_.workers_max, options_.processes_max, options_.idle_workers_max,
              options_.node_id}) {
  clients_[kDriver];
}

void NodeCore::on_message(ClientId from, UpMessage message, uint64_t now_us, NodeEffects& out) {
  if (!clients_.contains(from)) return;  // the last words of a worker that was given up
  out_ = &out;
  now_us_ = now_us;
  std::visit([&](auto& body) { on(from, body); }, message);
  settle(now_us, out);
}

void NodeCore::on_worker_started(WorkerId worker, uint64_t now_us, NodeEffects& out) {
  clients_[ClientId{worker.value}];
  sched_.on_worker_started(worker, now_us);
  settle(now_us, out);
}

void NodeCore::on_taken_back(WorkerId worker, const std::vector<TaskId>& tasks, uint64_t now_us,
                             NodeEffects& out) {
  out_ = &out;
  now_us_ = now_us;
  sched_.on_taken_back(worker, tasks);
  for (TaskId id : tasks) {
    TaskRecord* task = tasks_.find(id);
    if (task == nullptr || task->worker != worker) continue;
    task->worker = {};
    task->times.given_to = {};
    task->times.sent_us = 0;
    task->state = TaskRecord::State::kQueued;
    for (ObjectId ref :
         task->spec.refs) {  // the worker never saw them: its views become the task's pins again
      auto& pins = clients_[ClientId{worker.value}].pins;
      auto pin = pins.find(ref);
      if (pin == pins.end()) continue;
      task->pinned.push_back(ref);
      if (--pin->second == 0) pins.erase(pin);
    }
    auto& known = clients_[ClientId{worker.value}].functions;
    known.erase(task->spec.function);  // its definition may have come with what was taken back
    StreamRecord* stream = tasks_.find_stream(id);
    if (task->cancelled || (stream != nullptr && stream->dropped))
      fail(id, PayloadKind::kCancelled, task->spec.name + " was cancelled before it ran");
  }
  kill_if_cancelled(worker);
  settle(now_us, out);
}

void NodeCore::on_spilled(ObjectId id, std::optional<DiskPlace> place, const std::string& error,
                          uint64_t now_us, NodeEffects& out) {
  store_.on_spilled(id, place, error, effects_);
  settle(now_us, out);
}

void NodeCore::on_restored(ObjectId id, bool ok, const std::string& error, uint64_t now_us,
                           NodeEffects& out) {
  store_.on_restored(id, ok, error, effects_);
  settle(now_us, out);
}

void NodeCore::on_worker_lost(WorkerId worker, const std::vector<TaskId>& unstarted, const std::string& cause,
                              uint64_t now_us, NodeEffects& out) {
  out_ = &out;
  now_us_ = now_us;
  ClientId client{worker.value};
  auto found = clients_.find(client);
  ActorId actor = found == clients_.end() ? ActorId{} : found->second.actor;
  std::vector<TaskId> inflight = sched_.on_worker_lost(worker, now_us);
  worker_log_.on_ended(worker, now_us, found != clients_.end() && found->second.leaving, cause);
  auto has_begun = [&](TaskId id) {
    return std::find(unstarted.begin(), unstarted.end(), id) == unstarted.end();
  };
  ActorRecord* record = actors_.find(actor);
  if (record != nullptr && record->worker == worker) {  // before anything else: nothing is sent to it now
    TaskRecord* creation = tasks_.find(TaskId{actor.value});
    if (creation != nullptr && creation->worker == worker && !has_begun(creation->spec.id)) {
      record->worker = {};
      requeue(*creation);
      end_if_idle(actor);
    } else {
      on_actor_lost(actor, cause, true);
    }
  }
  drop_client(client);
  for (TaskId id : inflight) {
    TaskRecord* task = tasks_.find(id);
    if (task == nullptr || task->worker != worker) continue;
    if (has_begun(id))
      retry_or_fail(id, PayloadKind::kWorkerCrashed,
                    "the worker that ran " + task->spec.name + " died: " + cause);
    else
      requeue(*task);
  }
  if (sched_.failed_starts() >= kFailedStartsMax) {
    for (TaskId id : sched_.queued_tasks()) {
      fail(id, PayloadKind::kWorkerCrashed, "no worker could be started to run it: " + cause);
    }
  }
  settle(now_us, out);
}

void NodeCore::on_tick(uint64_t now_us, NodeEffects& out) {
  out_ = &out;
  now_us_ = now_us;
  SchedEffects sched;
  sched_.on_tick(now_us, sched);
  append(out.take_back, sched.take_back);
  for (WorkerId worker : sched.dismissed) dismiss(worker);
  lend_due();
  if (!store_.is_waiting_for_room() || store_.moves() != stalled_moves_) {
    stalled_moves_ = store_.moves();
    stalled_since_us_ = now_us;
  } else if (now_us - stalled_since_us_ > kStallUs) {
    store_.on_stalled(effects_);
    stalled_since_us_ = now_us;
  }
  settle(now_us, out);
}

uint64_t NodeCore::tick_after_us() const {
  if (lends_due_ > 0) return kQuickTickUs;
  for (const auto& [id, worker] : sched_.workers()) {
    if (worker.phase == WorkerState::Phase::kLeased && worker.inflight.size() > 1) return kQuickTickUs;
  }
  if (actors_.backlogged() > 0) return kQuickTickUs;
  return store_.is_waiting_for_room() || sched_.wants_tick() ? kSlowTickUs : 0;
}

void NodeCore::settle_store(NodeEffects& out) {
  append(out.writes, effects_.writes);
  append(out.reads, effects_.reads);
  append(out.forgotten, effects_.forgotten);
  for (auto& grant : std::exchange(effects_.grants, {})) {
    reply(grant.ticket.client, {.request = grant.ticket.request,
                                .code = grant.code,
                                .text = std::move(grant.message),
                                .number = grant.offset,
                                .positions = {},
                                .values = {}});
  }
  for (ObjectId id : std::exchange(effects_.unreferenced, {})) {
    ActorId actor{id.task.value};
    if (ActorRecord* record = actors_.find(actor)) {
      record->unreferenced = true;
      end_if_idle(actor);
    }
  }
  for (auto& [waiter, id, no_room] : std::exchange(effects_.woken, {})) {
    if (waiter.kind == Waiter::Kind::kRequest) {
      on_request_woken(waiter.id, id, std::move(no_room));
      continue;
    }
    TaskRecord* task = tasks_.find(TaskId{waiter.id});
    if (task == nullptr || task->missing == 0) continue;
    if (!no_room.empty()) {
      fail(task->spec.id, PayloadKind::kStoreFull, std::move(no_room));
      continue;
    }
    if (waiter.kind == Waiter::Kind::kStage && store_.pin(id)) task->pinned.push_back(id);
    if (--task->missing > 0) continue;
    if (waiter.kind == Waiter::Kind::kTask)
      begin(*task);
    else
      stage(*task);
  }
}

void NodeCore::settle(uint64_t now_us, NodeEffects& out) {
  out_ = &out;
  now_us_ = now_us;
  for (;;) {
    while (!effects_.woken.empty() || !effects_.grants.empty() || !effects_.unreferenced.empty())
      settle_store(out);
    store_.release_restored(effects_);
    while (!staging_.empty()) {  // in order: a large task is not overtaken for ever
      TaskRecord* task = tasks_.find(staging_.front());
      if (task != nullptr && task->state == TaskRecord::State::kStaging && !admit(*task)) break;
      staging_.pop_front();
    }
    SchedEffects sched;
    sched_.dispatch(now_us, sched);
    for (GroupId group : sched.placed) on_group_placed(group);
    for (const auto& [worker, task] : sched.assigned) run(worker, task);
    for (WorkerId worker : sched.spawned) worker_log_.at(worker).spawned_us = now_us;
    append(out.spawned, sched.spawned);
    append(out.take_back, sched.take_back);
    for (WorkerId worker : sched.dismissed) dismiss(worker);
    if (sched_.is_exhausted()) fail_queued();
    if (store_.is_stuck()) make_room();
    if (effects_.woken.empty() && effects_.grants.empty() && effects_.unreferenced.empty()) break;
  }
  settle_store(out);
}

/// Every process that there may be is an actor's or waits for a task that finds none.
void NodeCore::fail_queued() {
  for (TaskId id : sched_.queued_tasks()) {
    fail(id, PayloadKind::kUnschedulable,
         "there are " + std::to_string(sched_.workers().size()) +
             " worker processes, the most that a node has, and all are actors or wait for tasks; nest less "
             "deep, "
             "or keep fewer actors");
  }
}

void NodeCore::drop_client(ClientId id) {
  auto found = clients_.find(id);
  if (found == clients_.end()) return;
  Client client = std::move(found->second);
  clients_.erase(found);
  for (auto at = requests_.begin(); at != requests_.end();) {
    Request& request = at->second;
    if (request.client != id) {
      ++at;
      continue;
    }
    for (ObjectId object : request.ids)
      store_.remove_waiter(object, {Waiter::Kind::kRequest, at->first}, effects_);
    for (ObjectId object : request.pinned) store_.unpin(object, effects_);
    return_cpu(request.lending);
    at = requests_.erase(at);
  }
  for (TaskId stream : tasks_.streams_of(id)) release_stream(stream, *tasks_.find_stream(stream));
  for (const auto& [object, count] : client.pins) {
    for (uint32_t i = 0; i < count; ++i) store_.unpin(object, effects_);
  }
  for (const auto& [object, count] : client.holds) {
    for (uint32_t i = 0; i < count; ++i) store_.release(object, effects_);
  }
  store_.on_client_lost(id, effects_);
}

}  // namespace mobula
