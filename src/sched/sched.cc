// Leases: opened when resources and an idle worker are there, kept while their class has tasks, closed when
// drained.
#include "sched/sched.h"

#include <algorithm>

#include "base/check.h"

namespace mobula {
namespace {

using Phase = WorkerState::Phase;

constexpr double kAheadUs = 2000;  // so much work may wait in a worker's ring
constexpr size_t kAheadTasks = 128;
constexpr uint64_t kLeaseTurnUs = 20'000;  // after this, a lease whose resources others want is left to drain
constexpr uint64_t kStuckUs = 4'000;       // a head running longer than this gives up those behind it
constexpr uint64_t kIdleUs = 1'000'000;
constexpr size_t kStartingMax = 16;
constexpr size_t kBlockedMany = 16;  // so many workers wait for tasks of their own: those come first then
constexpr uint64_t kStartPauseUs = 200'000;  // after a worker that ended before it was ready

}  // namespace

Scheduler::Scheduler(SchedOptions options)
    : options_(std::move(options)), ledger_(options_.resources), groups_(options_.node_id) {}

ClassId Scheduler::class_of(ClassKey key) {
  auto [at, fresh] = class_ids_.try_emplace(key, ClassId{last_class_ + 1});
  if (fresh) ++last_class_;
  if (!key.group.is_nil()) groups_.mark_used(key.group);
  if (fresh) classes_[at->second].key = std::move(key);
  return at->second;
}

void Scheduler::enqueue(TaskId task, ClassId cls, uint32_t depth) {
  classes_.at(cls).queue.push_back(task, depth);
  if (depth > 0) depths_[task] = depth;
}

bool Scheduler::remove(TaskId task, ClassId cls) {
  depths_.erase(task);
  return classes_.at(cls).queue.remove(task);
}

const ClassKey* Scheduler::key_of(ClassId cls) const {
  auto found = classes_.find(cls);
  return found == classes_.end() ? nullptr : &found->second.key;
}

const WorkerState* Scheduler::find(WorkerId worker) const {
  auto found = workers_.find(worker);
  return found == workers_.end() ? nullptr : &found->second;
}

std::vector<TaskId> Scheduler::queued_tasks() const {
  std::vector<TaskId> tasks;
  for (const auto& [id, cls] : classes_) cls.queue.append_to(tasks);
  return tasks;
}

size_t Scheduler::queued() const {
  size_t count = 0;
  for (const auto& [id, cls] : classes_) count += cls.queue.size();
  return count;
}

size_t Scheduler::depth(const Class& cls, const WorkerState& worker, uint64_t now_us) const {
  if (worker.blocked > 0 || worker.expects_take_back || worker.doomed) return 0;
  bool others_starve =
      starved_classes_ > (cls.starved() ? 1 : 0) || (cls.key.group.is_nil() && groups_.is_waiting());
  if (others_starve && now_us - worker.since_us > kLeaseTurnUs) return 0;
  if (cls.key.dedicated || cls.mean_us < 0) return 1;
  return std::clamp<size_t>(static_cast<size_t>(kAheadUs / std::max(cls.mean_us, 1.0)), 1, kAheadTasks);
}

void Scheduler::give(WorkerId id, WorkerState& worker, Class& cls, uint64_t now_us, SchedEffects& out) {
  TaskId task = cls.queue.pop(blocked_workers_ > kBlockedMany);
  if (worker.inflight.empty()) worker.head_since_us = now_us;
  worker.inflight.push_back(task);
  worker.used = true;
  out.assigned.emplace_back(id, task);
}

WorkerId Scheduler::choose_idle(const std::string& runtime_env) const {
  WorkerId fresh;
  for (const auto& [id, worker] : workers_) {
    if (worker.phase != Phase::kIdle) continue;
    if (worker.used && worker.runtime_env == runtime_env) return id;
    if (!worker.used && fresh.is_nil()) fresh = id;
  }
  return fresh;
}

bool Scheduler::open_lease(ClassId id, Class& cls, uint64_t now_us, SchedEffects& out) {
  WorkerId chosen = choose_idle(cls.key.runtime_env);
  if (chosen.is_nil()) return false;
  std::optional<BundleShare> share = acquire(cls.key);
  if (!share) return false;
  WorkerState& worker = workers_.at(chosen);
  worker.phase = cls.key.dedicated ? Phase::kActor : Phase::kLeased;
  worker.lease = id;
  worker.held = cls.key.need;
  worker.gpus = std::move(share->gpus);
  worker.group = cls.key.group;
  worker.bundle = share->bundle;
  worker.runtime_env = cls.key.runtime_env;
  worker.since_us = now_us;
  worker.lease_number = ++leases_;
  give(chosen, worker, cls, now_us, out);
  return true;
}

void Scheduler::close_lease(WorkerState& worker, uint64_t now_us) {
  ResourceLedger& ledger = ledger_of(worker);
  if (worker.blocked > 0) ledger.reacquire(worker.lent());
  ledger.release(worker.held);
  ledger.release_gpus(worker.gpus);
  GroupId group = std::exchange(worker.group, {});
  int32_t bundle = std::exchange(worker.bundle, -1);
  if (!group.is_nil() && groups_.leave(group, bundle, ledger_)) forget_classes(group);
  worker.held.clear();
  worker.gpus.clear();
  worker.blocked = 0;
  worker.lease = {};
  worker.phase = Phase::kIdle;
  worker.since_us = now_us;
}

void Scheduler::fill_leases(ClassId id, Class& cls, uint64_t now_us, SchedEffects& out) {
  if (cls.key.dedicated || cls.queue.empty()) return;
  std::vector<std::pair<WorkerId, WorkerState*>> leased;
  for (auto& [worker_id, worker] : workers_) {
    if (worker.phase == Phase::kLeased && worker.lease == id) leased.emplace_back(worker_id, &worker);
  }
  // Evenly: the shortest ring first, so that no worker holds a queue while another of the lease runs dry.
  while (!cls.queue.empty()) {
    std::pair<WorkerId, WorkerState*> best{{}, nullptr};
    for (auto& candidate : leased) {
      size_t have = candidate.second->inflight.size();
      if (have >= depth(cls, *candidate.second, now_us)) continue;
      if (best.second == nullptr || have < best.second->inflight.size()) best = candidate;
    }
    if (best.second == nullptr) return;
    give(best.first, *best.second, cls, now_us, out);
  }
}

void Scheduler::request_workers(const Class& cls, size_t& starting, uint64_t now_us, SchedEffects& out) {
  if (failed_starts_ > 0 && now_us < next_start_us_) return;
  size_t wanted = copies_available(cls.key, cls.queue.size());
  if (wanted <= starting) {
    starting -= wanted;
    return;
  }
  wanted -= std::exchange(starting, 0);
  for (; wanted > 0 && starting_workers_ < kStartingMax && may_start(out); --wanted, ++starting_workers_) {
    WorkerId id{next_worker_++};
    workers_[id];
    out.spawned.push_back(id);
  }
}

/// Whether there may be one more worker. At the cap an idle one, of another environment, makes place for it.
bool Scheduler::may_start(SchedEffects& out) {
  size_t plain = workers_.size() - actor_workers_;
  if (plain < options_.workers_max && workers_.size() < options_.processes_max) return true;
  auto idle = std::find_if(workers_.begin(), workers_.end(),
                           [](const auto& item) { return item.second.phase == Phase::kIdle; });
  if (idle != workers_.end()) {
    out.dismissed.push_back(idle->first);
    workers_.erase(idle);
    return true;
  }
  if (starting_workers_ > 0 || blocked_workers_ < plain)
    return false;  // some work: they will take what waits
  exhausted_ = workers_.size() >= options_.processes_max;
  return !exhausted_;
}

void Scheduler::count_workers() {
  actor_workers_ = blocked_workers_ = starting_workers_ = 0;
  for (const auto& [id, worker] : workers_) {
    bool constructs = worker.phase == Phase::kActor && !worker.inflight.empty();
    actor_workers_ += worker.phase == Phase::kActor && !constructs;
    blocked_workers_ += worker.blocked > 0;
    starting_workers_ += worker.phase == Phase::kStarting;
  }
}

void Scheduler::dispatch(uint64_t now_us, SchedEffects& out) {
  do {
    std::vector<GroupId> placed = groups_.place_pending(ledger_);
    out.placed.insert(out.placed.end(), placed.begin(), placed.end());
    std::vector<std::pair<uint64_t, ClassId>> order;  // those that waited longest for resources come first
    for (const auto& [id, cls] : classes_) {
      if (!cls.queue.empty() || cls.starved()) order.emplace_back(cls.starved_since_us, id);
    }
    std::sort(order.begin(), order.end());
    count_workers();
    exhausted_ = false;
    size_t starting = starting_workers_;
    for (const auto& [since, id] : order) serve(id, now_us, starting, out);
  } while (close_drained_leases(now_us));
}

void Scheduler::serve(ClassId id, uint64_t now_us, size_t& starting, SchedEffects& out) {
  Class& cls = classes_.at(id);
  while (!cls.queue.empty() && open_lease(id, cls, now_us, out)) {
    if (cls.starved()) cls.starved_since_us = now_us;  // the others' turn is next
  }
  fill_leases(id, cls, now_us, out);
  bool waits = !cls.queue.empty() && is_feasible(cls.key);
  bool starved = waits && !is_available(cls.key);
  if (starved != cls.starved()) {
    cls.starved_since_us = starved ? now_us : kNotStarved;
    starved_classes_ += starved ? 1 : -1;
  }
  if (waits && !starved) request_workers(cls, starting, now_us, out);
}

bool Scheduler::close_drained_leases(uint64_t now_us) {
  bool closed = false;
  for (auto& [id, worker] : workers_) {
    if (worker.phase != Phase::kLeased || !worker.inflight.empty() || worker.expects_take_back ||
        worker.doomed)
      continue;
    close_lease(worker, now_us);
    closed = true;
  }
  return closed && (queued() > 0 || groups_.is_waiting());
}

void Scheduler::on_worker_started(WorkerId worker, uint64_t now_us) {
  auto found = workers_.find(worker);
  if (found == workers_.end() || found->second.phase != Phase::kStarting) return;
  found->second.phase = Phase::kIdle;
  found->second.since_us = now_us;
  failed_starts_ = 0;
}

void Scheduler::on_done(WorkerId id, TaskId task, uint64_t run_us, uint64_t now_us) {
  auto found = workers_.find(id);
  if (found == workers_.end()) return;
  WorkerState& worker = found->second;
  auto place = std::find(worker.inflight.begin(), worker.inflight.end(), task);
  if (place != worker.inflight.end()) worker.inflight.erase(place);
  if (!depths_.empty()) depths_.erase(task);
  worker.head_since_us = now_us;
  if (worker.phase != Phase::kLeased) return;
  Class& cls = classes_.at(worker.lease);
  auto run = static_cast<double>(run_us);
  cls.mean_us = cls.mean_us < 0 ? run : cls.mean_us + (run - cls.mean_us) * (run > cls.mean_us ? 0.5 : 0.1);
}

void Scheduler::on_actor_alive(WorkerId id, const ResourceMap& for_life) {
  auto found = workers_.find(id);
  if (found == workers_.end() || found->second.phase != Phase::kActor) return;
  WorkerState& worker = found->second;
  ResourceLedger& ledger = ledger_of(worker);
  if (worker.blocked > 0) ledger.reacquire(worker.lent());
  ledger.release(worker.held);
  ledger.reacquire(for_life);
  worker.held = for_life;
  worker.blocked = 0;
  worker.lease_number = ++leases_;
}

std::vector<TaskId> Scheduler::on_worker_lost(WorkerId id, uint64_t now_us) {
  auto found = workers_.find(id);
  if (found == workers_.end()) return {};
  WorkerState& worker = found->second;
  std::vector<TaskId> inflight(worker.inflight.begin(), worker.inflight.end());
  if (worker.phase == Phase::kLeased || worker.phase == Phase::kActor) close_lease(worker, now_us);
  if (worker.phase == Phase::kStarting) {
    ++failed_starts_;
    next_start_us_ = now_us + kStartPauseUs;
  }
  workers_.erase(found);
  for (TaskId task : inflight) depths_.erase(task);
  return inflight;
}

uint64_t Scheduler::on_blocked(WorkerId id, SchedEffects& out) {
  auto found = workers_.find(id);
  if (found == workers_.end()) return 0;
  WorkerState& worker = found->second;
  bool constructs = worker.phase == Phase::kActor && !worker.inflight.empty();
  if (worker.phase != Phase::kLeased && !constructs) return 0;  // what an actor has for life it keeps
  if (worker.blocked++ > 0) return worker.lease_number;
  ledger_of(worker).release(worker.lent());
  if (worker.inflight.size() > 1 && !worker.expects_take_back) {
    worker.expects_take_back = true;
    out.take_back.push_back(id);
  }
  return worker.lease_number;
}

void Scheduler::on_unblocked(WorkerId id, uint64_t lease_number) {
  auto found = workers_.find(id);
  if (found == workers_.end() || found->second.blocked == 0) return;
  if (found->second.lease_number != lease_number) return;  // the task that waited ended before its request
  if (--found->second.blocked == 0) ledger_of(found->second).reacquire(found->second.lent());
}

void Scheduler::on_taken_back(WorkerId id, const std::vector<TaskId>& tasks) {
  auto found = workers_.find(id);
  if (found == workers_.end()) return;
  WorkerState& worker = found->second;
  worker.expects_take_back = false;
  for (auto task = tasks.rbegin(); task != tasks.rend(); ++task) {
    if (std::erase(worker.inflight, *task) == 0) continue;
    auto depth = depths_.find(*task);
    classes_.at(worker.lease).queue.push_front(*task, depth == depths_.end() ? 0 : depth->second);
  }
}

void Scheduler::on_tick(uint64_t now_us, SchedEffects& out) {
  size_t idle = 0;
  for (auto at = workers_.begin(); at != workers_.end();) {
    auto& [id, worker] = *at;
    if (worker.phase == Phase::kLeased && worker.inflight.size() > 1 && !worker.expects_take_back &&
        now_us - worker.head_since_us > kStuckUs) {
      worker.expects_take_back = true;
      Class& cls = classes_.at(worker.lease);
      cls.mean_us = std::max(cls.mean_us, static_cast<double>(now_us - worker.head_since_us));
      out.take_back.push_back(id);
    }
    bool surplus = worker.phase == Phase::kIdle && ++idle > options_.idle_workers_max &&
                   now_us - worker.since_us > kIdleUs;
    if (surplus) out.dismissed.push_back(id);
    at = surplus ? workers_.erase(at) : std::next(at);
  }
}

bool Scheduler::wants_tick() const {
  if (failed_starts_ > 0 && queued() > 0) return true;
  size_t idle = 0;
  return std::any_of(workers_.begin(), workers_.end(), [&](const auto& item) {
    const WorkerState& worker = item.second;
    idle += worker.phase == Phase::kIdle;
    return (worker.phase == Phase::kLeased && worker.inflight.size() > 1) || idle > options_.idle_workers_max;
  });
}

}  // namespace mobula
