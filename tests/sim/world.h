// A simulated machine: a NodeCore, its disk and arena, worker processes that come and go, and what everybody
// may expect of them. After each fact the node checks itself; what it does is compared with what was asked.
// One thread, one seed.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "node/node_core.h"
#include "sim/sim.h"

namespace mobula::sim {

class Client;
class Worker;

constexpr uint64_t kPage = 4096;
constexpr uint32_t kSession = 7;

/// What a seed's world is like.
struct Shape {
  uint64_t seed = 0;
  int64_t cpus = 2;
  uint64_t arena_pages = 32;
  bool tight = false;  // values are large for the arena: what is in use at once may not fit
  size_t workers_max = 200, idle_workers_max = 2;
  uint64_t delay_us_max = 500, disk_us_max = 5'000;
  int threads = 2, actions = 12, tasks_max = 80;
  double crash = 0, kill = 0, disk_fault = 0, failed_start = 0, raise = 0.1, cancel = 0, timeout = 0.1,
         big = 0.3, groups = 0;
};
Shape shape_of(uint64_t seed);

/// What a task does, and what has happened to it. All that is known is known to the simulation, not to the
/// node.
struct TaskFacts {
  uint64_t seed = 0;
  int depth = 0;
  std::vector<ObjectId> refs, nested;
  std::vector<ActorId> actors;  // handles inside its arguments
  int32_t max_retries = 0, returns = 1;
  ActorId actor;
  GroupId group;  // that it asks for by itself
  bool creates_actor = false;
  ClientId caller;
  uint64_t order = 0;  // among the caller's calls to the actor
  uint32_t items = 0;  // of a stream
  uint32_t crashes = 0;
  bool raised = false, dropped = false, may_wait = true;
};

struct ActorFacts {
  bool ordered = true, ended = false, crashed = false;
  int32_t concurrency = 1;
  std::map<ClientId, uint64_t> calls;  // numbers given to calls, by caller
};

/// What a value says of itself.
struct Content {
  ObjectId id;
  std::vector<ObjectId> contained;
};

class World {
 public:
  explicit World(Shape shape);
  ~World();
  /// The whole life of a program. Does not return when something is wrong: see fail().
  void run();

  const Shape& shape() const { return shape_; }
  Random& random() { return random_; }
  Timeline& timeline() { return timeline_; }
  uint64_t delay() { return random_.below(shape_.delay_us_max + 1); }
  ObjectId object(TaskId task, uint32_t index = 0) const { return {task, index, kSession}; }
  Client& driver() { return *driver_; }

  /// A message arrives at the node.
  void on_message(ClientId from, UpMessage message);
  void on_worker_end(WorkerId worker, const std::string& cause);
  /// Ends a worker at once, as SIGKILL does.
  void kill(WorkerId worker, const std::string& cause);

  // Values, and the pages of the arena
  uint64_t add_content(ObjectId id, std::vector<ObjectId> contained);
  const Content& content(uint64_t tag);
  void write_pages(uint64_t offset, uint64_t bytes, uint64_t tag);
  uint64_t read_pages(uint64_t offset, uint64_t bytes);

  // Expectations
  void expect(bool holds, const std::string& what) {
    if (!holds) fail(what);
  }
  [[noreturn]] void fail(const std::string& what);
  void trace(const std::string& line);
  void dump() const;
  void dump_node();
  /// Whether an error may stand where a value of `id` was asked for.
  bool is_explained(ObjectId id, PayloadKind kind) const;

  std::map<TaskId, TaskFacts> tasks;
  std::map<ActorId, ActorFacts> actors;
  bool any_group = false, any_cancelled = false, any_start_failed = false, any_disk_fault = false;
  int tasks_made = 0;
  std::map<std::string, uint64_t> counts;  // of what has happened, so that one sees what the seeds reach
  bool verbose = false;

 private:
  void perform();
  void start_worker(WorkerId id);
  void deliver(ClientId client, DownMessage message);
  void write(const StoreEffects::Write& write);
  void read(const StoreEffects::Read& read);
  void take_back(WorkerId id);
  void plan_tick();
  void plan_kill();
  void settle();
  void expect_empty();
  bool is_explained(ObjectId id, PayloadKind kind, std::set<TaskId>& seen) const;

  Shape shape_;
  Random random_;
  Timeline timeline_;
  NodeCore core_;
  NodeEffects effects_;
  std::unique_ptr<Client> driver_;
  std::map<WorkerId, std::unique_ptr<Worker>> workers_;
  std::map<ClientId, Channel> down_;
  std::vector<uint64_t> pages_;        // of the arena: the tag of what was written there
  std::vector<Content> contents_;      // by tag - 1
  std::map<uint64_t, uint64_t> disk_;  // place → tag
  uint64_t next_place_ = 0, tick_at_ = 0;
  bool performing_ = false, closing_ = false;
  std::vector<std::string> lines_;  // of the trace: the last ones
};

/// The world that runs, for those who report a broken CHECK.
extern const World* running_world;

}  // namespace mobula::sim
