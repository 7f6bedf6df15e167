// Where a lease's resources come from, the node's ledger or a bundle of a placement group, and whether all
// the books agree.
#include <algorithm>

#include "base/check.h"
#include "sched/sched.h"

namespace mobula {
namespace {

using Phase = WorkerState::Phase;

/// What is taken of a ledger, as the scheduler's books have it.
struct Use {
  ResourceMap held;
  int64_t gpus = 0;
  uint32_t workers = 0;
  void add(const ResourceMap& amounts, const std::vector<GpuShare>& shares, int64_t sign = 1) {
    for (const auto& [name, amount] : amounts) held[name] += sign * amount;
    for (const GpuShare& share : shares) gpus += share.amount;
  }
  void check(const ResourceLedger& ledger) const {
    for (const auto& [name, amount] : ledger.total()) {
      auto available = ledger.available().find(name);
      auto mine = held.find(name);
      CHECK(available != ledger.available().end());
      CHECK(available->second + (mine == held.end() ? 0 : mine->second) == amount);
      CHECK(available->second >= 0 || name == "CPU");  // which alone is lent, and may be wanted back
    }
    int64_t free = 0;
    for (const GpuShare& share : ledger.free_gpus()) free += share.amount;
    auto total = ledger.total().find("GPU");
    int64_t whole = total == ledger.total().end() ? 0 : total->second;
    CHECK(whole >= kResourceUnit ? free + gpus == whole - whole % kResourceUnit : free + gpus <= whole);
  }
};

}  // namespace

ResourceMap WorkerState::lent() const {
  auto cpus = held.find("CPU");
  return cpus == held.end() ? ResourceMap{} : ResourceMap{*cpus};
}

bool Scheduler::is_feasible(const ClassKey& key) const {
  if (key.group.is_nil()) return ledger_.is_feasible(key.need);
  const GroupRecord* group = groups_.find(key.group);
  bool reserved = group != nullptr && group->state == GroupState::kCreated;
  return reserved && groups_.fits(key.group, key.bundle, key.need);
}

bool Scheduler::is_available(const ClassKey& key) const {
  if (key.group.is_nil()) return ledger_.is_available(key.need);
  return groups_.is_available(key.group, key.bundle, key.need);
}

size_t Scheduler::copies_available(const ClassKey& key, size_t limit) const {
  if (key.group.is_nil()) return ledger_.copies_available(key.need, limit);
  return groups_.copies_available(key.group, key.bundle, key.need, limit);
}

std::optional<BundleShare> Scheduler::acquire(const ClassKey& key) {
  if (!key.group.is_nil()) return groups_.acquire(key.group, key.bundle, key.need);
  auto gpus = ledger_.acquire(key.need);
  return gpus ? std::optional(BundleShare{-1, std::move(*gpus)}) : std::nullopt;
}

ResourceLedger& Scheduler::ledger_of(const WorkerState& worker) {
  return worker.group.is_nil() ? ledger_ : groups_.ledger_of(worker.group, worker.bundle);
}

std::vector<WorkerId> Scheduler::remove_group(GroupId id) {
  std::vector<WorkerId> inside;
  for (auto& [worker, state] : workers_) {
    bool at_work = state.phase == Phase::kActor || !state.inflight.empty();
    if (state.group != id || !at_work) continue;
    for (TaskId task : std::exchange(state.inflight, {})) depths_.erase(task);
    state.doomed = true;
    inside.push_back(worker);
  }
  if (groups_.remove(id, ledger_)) forget_classes(id);
  return inside;
}

/// Nobody can be queued or run under them any more.
void Scheduler::forget_classes(GroupId group) {
  for (auto at = classes_.begin(); at != classes_.end();) {
    Class& cls = at->second;
    if (cls.key.group != group) {
      ++at;
      continue;
    }
    CHECK(cls.queue.empty());
    starved_classes_ -= cls.starved();
    class_ids_.erase(cls.key);
    at = classes_.erase(at);
  }
}

void Scheduler::check() const {
  groups_.check();
  std::map<std::pair<GroupId, int32_t>, Use> uses;  // by group and bundle; the node's own under nil
  for (const auto& [id, worker] : workers_) {
    bool has_lease = worker.phase == Phase::kLeased || worker.phase == Phase::kActor;
    CHECK(has_lease || (worker.held.empty() && worker.inflight.empty() && worker.gpus.empty()));
    CHECK(has_lease || (worker.blocked == 0 && worker.group.is_nil()));
    Use& use = uses[{worker.group, worker.bundle}];
    use.add(worker.held, worker.gpus);
    ++use.workers;
    if (worker.blocked > 0) use.add(worker.lent(), {}, -1);
  }
  for (const auto& [id, group] : groups_.all()) {
    for (size_t i = 0; i < group.bundles.size(); ++i) {
      const Bundle& bundle = group.bundles[i];
      const Use& use = uses[{id, static_cast<int32_t>(i)}];
      CHECK(use.workers == bundle.workers);
      use.check(bundle.ledger);
      uses[{{}, -1}].add(bundle.reserved, bundle.gpus);
    }
  }
  uses[{{}, -1}].check(ledger_);
}

}  // namespace mobula
