// The scheduler: queues of ready tasks by scheduling class, workers, and the leases that tie them together. A
// worker with a lease gets tasks of its class one after the other (several ahead when they are short),
// without a decision for each. Pure: facts in, SchedEffects out. Owned by the node's loop. Tests:
// sched_test.cc, tests/sim.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/id.h"
#include "sched/groups.h"
#include "sched/resources.h"
#include "sched/task_queue.h"

namespace mobula {

/// What tasks must have in common to share a lease. `dedicated`: the worker is an actor's from then on.
struct ClassKey {
  ResourceMap need;
  std::string runtime_env;
  bool dedicated = false;
  GroupId group{};      // the placement group that they run in; nil: none
  int32_t bundle = -1;  // of the group; -1: any
  auto operator<=>(const ClassKey&) const = default;
};

struct SchedOptions {
  ResourceMap resources;
  size_t workers_max = 96;      // beside those of actors; more only while all of them wait for tasks
  size_t processes_max = 480;   // in all
  size_t idle_workers_max = 4;  // more of them end after kIdleMs
  std::string node_id{};
};

struct SchedEffects {
  std::vector<std::pair<WorkerId, TaskId>> assigned;  // in order for each worker
  std::vector<WorkerId> spawned;                      // start these
  std::vector<WorkerId> take_back;  // fetch what they have not begun: answered by on_taken_back
  std::vector<GroupId> placed;      // placement groups that have got their bundles
  std::vector<WorkerId> dismissed;  // idle for too long, or of an environment nobody wants
};

struct WorkerState {
  enum class Phase : uint8_t { kStarting, kIdle, kLeased, kActor };
  Phase phase = Phase::kStarting;
  ClassId lease;                // while kLeased
  std::deque<TaskId> inflight;  // given to it and not finished, oldest first
  ResourceMap held;
  std::vector<GpuShare> gpus;
  GroupId group;        // whose bundle `held` and `gpus` are of; nil: the node's
  int32_t bundle = -1;  // never -1 in a group
  std::string runtime_env;
  bool used = false;          // has run a task: its environment is settled
  uint64_t lease_number = 0;  // of the lease it has or had: never the same twice
  uint32_t blocked = 0;       // requests of this lease that wait: its CPU is lent out meanwhile
  bool expects_take_back = false;
  bool doomed = false;         // it is being killed: nothing more is given to it
  uint64_t since_us = 0;       // of the lease, or of being idle
  uint64_t head_since_us = 0;  // when the oldest in flight was last seen to be the oldest
  /// What it lets others use while it waits: its CPUs, and nothing else.
  ResourceMap lent() const;
};

class Scheduler {
 public:
  explicit Scheduler(SchedOptions options);

  ClassId class_of(ClassKey key);
  /// `depth`: how many tasks deep it is nested.
  void enqueue(TaskId task, ClassId cls, uint32_t depth = 0);
  /// Takes a queued task out; false when it is not queued.
  bool remove(TaskId task, ClassId cls);

  /// Gives tasks to workers as far as resources allow. Call after every fact.
  void dispatch(uint64_t now_us, SchedEffects& out);

  /// Its bundles are reserved by dispatch(), which says so. `invalid`: GroupTable::add.
  Status add_group(GroupId id, GroupSpec spec) { return groups_.add(id, std::move(spec), ledger_); }
  /// Nothing runs in it from now on; its tasks were taken out before. The workers that have a lease in it,
  /// which have to end.
  std::vector<WorkerId> remove_group(GroupId id);

  void on_worker_started(WorkerId worker, uint64_t now_us);
  /// A task has ended. `run_us`: how long it ran, which decides how many are sent ahead.
  void on_done(WorkerId worker, TaskId task, uint64_t run_us, uint64_t now_us);
  /// The actor's constructor has run: what it holds for life replaces what placing it took.
  void on_actor_alive(WorkerId worker, const ResourceMap& for_life);
  /// The worker is gone. Returns what it had in flight, oldest first.
  std::vector<TaskId> on_worker_lost(WorkerId worker, uint64_t now_us);
  /// The task that a worker runs waits for objects: its CPU is lent out. Returns the number of its lease, for
  /// on_unblocked; 0 when it has none.
  uint64_t on_blocked(WorkerId worker, SchedEffects& out);
  void on_unblocked(WorkerId worker, uint64_t lease_number);
  void on_taken_back(WorkerId worker, const std::vector<TaskId>& tasks);
  /// A task whose worker turned out to be unable to take it: back to the front of its queue.
  void on_tick(uint64_t now_us, SchedEffects& out);
  /// Whether on_tick has something to watch soon.
  bool wants_tick() const;

  /// Workers that ended, one after the other, before they were ready. More are started only after a pause.
  uint32_t failed_starts() const { return failed_starts_; }
  /// Everything that waits for a worker.
  std::vector<TaskId> queued_tasks() const;
  /// Tasks wait for a worker, all workers wait for tasks, and there may be no more of them.
  bool is_exhausted() const { return exhausted_; }

  const WorkerState* find(WorkerId worker) const;
  /// nullptr: there is no such class.
  const ClassKey* key_of(ClassId cls) const;
  const std::map<WorkerId, WorkerState>& workers() const { return workers_; }
  const ResourceLedger& ledger() const { return ledger_; }
  const GroupTable& groups() const { return groups_; }
  size_t queued() const;
  uint64_t workers_started() const { return next_worker_ - kFirstWorker; }
  /// Could ever be met by what the node has in all.
  bool is_feasible(const ResourceMap& need) const { return ledger_.is_feasible(need); }
  void check() const;

 private:
  static constexpr uint64_t kNotStarved = UINT64_MAX;
  struct Class {
    ClassKey key;
    TaskQueue queue;
    double mean_us = -1;                      // of recent runs; below zero: unknown
    uint64_t starved_since_us = kNotStarved;  // since when it waits for resources that others hold
    bool starved() const { return starved_since_us != kNotStarved; }
  };
  static constexpr uint64_t kFirstWorker = 2;  // client 1 is the driver

  size_t depth(const Class& cls, const WorkerState& worker, uint64_t now_us) const;
  void give(WorkerId id, WorkerState& worker, Class& cls, uint64_t now_us, SchedEffects& out);
  bool open_lease(ClassId id, Class& cls, uint64_t now_us, SchedEffects& out);
  void close_lease(WorkerState& worker, uint64_t now_us);
  void fill_leases(ClassId id, Class& cls, uint64_t now_us, SchedEffects& out);
  void serve(ClassId id, uint64_t now_us, size_t& starting, SchedEffects& out);
  bool close_drained_leases(uint64_t now_us);
  void request_workers(const Class& cls, size_t& starting, uint64_t now_us, SchedEffects& out);
  WorkerId choose_idle(const std::string& runtime_env) const;
  bool may_start(SchedEffects& out);
  void count_workers();
  // room.cc: in the node's ledger, or in a group's bundles
  bool is_feasible(const ClassKey& key) const;
  bool is_available(const ClassKey& key) const;
  size_t copies_available(const ClassKey& key, size_t limit) const;
  std::optional<BundleShare> acquire(const ClassKey& key);
  ResourceLedger& ledger_of(const WorkerState& worker);
  void forget_classes(GroupId group);

  SchedOptions options_;
  ResourceLedger ledger_;
  GroupTable groups_;
  std::map<ClassKey, ClassId> class_ids_;
  uint64_t last_class_ = 0;
  std::map<ClassId, Class> classes_;
  std::map<WorkerId, WorkerState> workers_;
  uint64_t next_worker_ = kFirstWorker;
  int starved_classes_ = 0;
  std::unordered_map<TaskId, uint32_t> depths_;  // of nested tasks that are queued or in flight
  size_t actor_workers_ = 0, blocked_workers_ = 0, starting_workers_ = 0;  // as dispatch() found them
  bool exhausted_ = false;
  uint64_t leases_ = 0;
  uint32_t failed_starts_ = 0;
  uint64_t next_start_us_ = 0;
};

}  // namespace mobula
