// The waist: all that libraries, bindings and the C++ API may know of a runtime. Every call may be made from
// any thread; calls that wait take a deadline and end with `timeout`. What an engine cannot do it refuses
// with `unsupported`, never silently. Implementations: engine/embedded (node in this process),
// engine/attached (rings to a node elsewhere: workers and drivers of `mobula start`), engine/ray (a Ray
// cluster).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/status.h"

namespace mobula {

/// When a wait ends. `never()` waits without limit.
struct Deadline {
  std::chrono::steady_clock::time_point at = std::chrono::steady_clock::time_point::max();
  static Deadline never() { return {}; }
  static Deadline after(std::chrono::nanoseconds wait) { return {std::chrono::steady_clock::now() + wait}; }
};

/// What an object holds. Anything but kValue is an error that `get` of the language raises.
enum class PayloadKind : uint8_t {
  kValue = 0,
  kTaskError = 1,      // user code raised: bytes are the error as the worker's language encoded it
  kWorkerCrashed = 2,  // the others are the engine's: bytes are the message as plain UTF-8
  kActorDied = 3,
  kActorUnavailable = 4,
  kCancelled = 5,
  kObjectLost = 6,
  kStoreFull = 7,
  kOutOfMemory = 8,
  kOutOfDisk = 9,
  kSystemError = 10,
  kStreamEnd = 11,  // there is no such item: the stream has ended before it
  kPendingCallsLimit = 12,
  kUnschedulable = 13,
  kGroupRemoved = 14,  // of a task: its placement group is gone
  kActorGroupRemoved = 15,
  kActorUnschedulable = 16,
};

/// Values up to this many encoded bytes travel in messages; larger ones are written to the arena.
constexpr size_t kInlineBytesMax = 100 * 1024;

/// An encoded value as it is read: one contiguous, read-only run of bytes, kept alive (and pinned) by
/// `owner`.
struct Payload {
  PayloadKind kind = PayloadKind::kValue;
  std::span<const uint8_t> data;
  std::shared_ptr<const void> owner;
};

/// Part of the arena that its holder writes before it becomes an object. Given back when dropped unused.
class ArenaBuffer {
 public:
  ArenaBuffer() = default;
  ArenaBuffer(std::span<uint8_t> data, uint64_t offset, std::function<void()> abandon)
      : data_(data), offset_(offset), abandon_(std::move(abandon)) {}
  ArenaBuffer(ArenaBuffer&& other) noexcept { *this = std::move(other); }
  ArenaBuffer& operator=(ArenaBuffer&& other) noexcept {
    if (this != &other) {
      drop();
      data_ = std::exchange(other.data_, {});
      offset_ = other.offset_;
      abandon_ = std::exchange(other.abandon_, nullptr);
    }
    return *this;
  }
  ~ArenaBuffer() { drop(); }

  bool empty() const { return data_.empty(); }
  std::span<uint8_t> data() const { return data_; }  // 64-byte aligned, writable by this process alone
  uint64_t offset() const { return offset_; }
  /// The engine has taken the buffer over.
  void sealed() { data_ = {}, abandon_ = nullptr; }

 private:
  void drop() {
    if (abandon_) abandon_();
    abandon_ = nullptr;
  }

  std::span<uint8_t> data_;
  uint64_t offset_ = 0;
  std::function<void()> abandon_;
};

/// A value on its way into the engine: inline bytes, or a written ArenaBuffer.
struct Value {
  PayloadKind kind = PayloadKind::kValue;
  std::string bytes;  // used when `buffer` is empty
  ArenaBuffer buffer;
  std::vector<ObjectId> contained;  // references inside: kept alive as long as the object
};

enum class Language : uint8_t { kPython, kCpp };

/// Amounts of resources by name ("CPU", "GPU", "memory", custom names), in units of 1/10,000.
using ResourceMap = std::map<std::string, int64_t>;
constexpr int64_t kResourceUnit = 10'000;

/// kDefault: in the placement group of the task that submits it, if that captures its children; else
/// anywhere. kNoGroup: anywhere, outside of all groups.
enum class Placement : uint8_t { kDefault, kSpread, kNodeAffinity, kGroup, kNoGroup };

constexpr int32_t kStreaming = -1;  // TaskSpec::returns of a generator

/// One task, method call or actor creation. The engine never looks into `args`.
struct TaskSpec {
  TaskId id;            // nil: the engine gives the next one
  FunctionId function;  // defined before by define_function; for calls, of the actor's class
  std::string name;     // what users see: "module.function", "Class.method"
  std::string method;   // of actor calls
  Language language = Language::kPython;
  std::string args;                 // encoded arguments; the k-th placeholder in it stands for refs[k]
  std::vector<ObjectId> refs;       // resolved to their values before the task runs
  std::vector<ObjectId> nested;     // references inside by-value arguments: kept alive until the task ends
  int32_t returns = 1;              // results {id, 0} … {id, returns-1}; kStreaming for generators
  ResourceMap resources;            // for actors: held for life
  ResourceMap placement_resources;  // for actors: needed to be placed, given back once alive (Ray's 1 CPU)
  int32_t max_retries = 0;  // after crashes of the worker (and errors, if retry_exceptions); -1: no end
  bool retry_exceptions = false;
  std::string retry_on;             // encoded exception types; the worker's language decides
  int32_t backpressure_items = -1;  // streams: items produced ahead of the consumer; -1: no limit
  int32_t max_calls = 0;            // the worker ends after so many tasks of this function; 0: no limit
  std::string runtime_env;          // encoded; tasks of different environments never share a worker
  std::string group;                // concurrency group of an actor call
  Placement placement = Placement::kDefault;
  std::string placement_node;  // hex id, for kNodeAffinity
  bool placement_soft = false;
  GroupId placement_group;
  int32_t bundle_index = -1;  // in its placement group; -1: whichever has room
  int8_t captures = -1;       // children run in its group: 1 yes, 0 no, -1 as its parent does
  ActorId actor;              // calls: whom; creations: the new id (= the id of the creating task)
};

struct ActorSpec {
  TaskSpec creation;  // the constructor's call
  std::string name;   // empty: unnamed
  std::string space;  // namespace
  std::string class_name;
  std::string handle;  // encoded handle that find_actor gives to others
  bool detached = false;
  bool get_if_exists = false;
  bool ordered = true;       // calls of one caller start in the order of submission
  int32_t max_restarts = 0;  // -1: no end
  int32_t max_task_retries = 0;
  int32_t max_concurrency = 1;
  int32_t max_pending_calls = -1;
};

struct FoundActor {
  ActorId id;
  std::string handle;
};

/// How the bundles of a placement group lie on the nodes: on as few as possible, on as many as possible, all
/// on one, each on another.
enum class GroupStrategy : uint8_t { kPack, kSpread, kStrictPack, kStrictSpread };

/// Resources to be reserved together, all or none.
struct GroupSpec {
  std::vector<ResourceMap> bundles;
  std::vector<std::string> bundle_nodes;  // for each bundle the only node that it may be on; empty: any
  GroupStrategy strategy = GroupStrategy::kPack;
  std::string name, space;  // the name is unique in its namespace while the group lives; empty: none
  bool detached = false;    // it outlives the detached actor that made it
};

struct CreatedGroup {
  GroupId id;
  bool feasible = true;  // could be reserved if nothing else were there; if not, it waits for ever
};

enum class GroupState : uint8_t { kPending, kCreated, kRemoved };

struct GroupView {
  GroupId id;
  GroupSpec spec;
  GroupState state = GroupState::kPending;
  bool feasible = true;
  std::vector<std::string> nodes;  // of the bundles, once they are reserved
};

struct CancelOptions {
  bool force = false;
  bool recursive = true;
};

struct NodeView {
  std::string id;  // 56 hex digits
  bool alive = true;
  ResourceMap total, available;
  std::map<std::string, std::string> labels;
};

struct ClusterView {
  std::vector<NodeView> nodes;
  uint64_t epoch = 0;  // changes whenever a node comes or goes
};

/// Figures of the store and of the engine's tables; tests assert on them.
struct EngineStats {
  uint64_t arena_bytes = 0, arena_used_bytes = 0, arena_peak_bytes = 0;
  uint64_t spilled_bytes = 0, restored_bytes = 0;  // since the start
  uint64_t objects = 0, objects_pinned = 0, tasks = 0, actors = 0, workers = 0, workers_started = 0;
};

using ReadyCallback = std::function<void()>;

class Engine {
 public:
  virtual ~Engine() = default;

  /// Makes a definition known under its digest; cheap when it is known already.
  virtual Status define_function(FunctionId id, Language language, std::string_view definition) = 0;

  /// Submits tasks. The caller then holds one reference to each result {task, i}; streams have none to begin
  /// with.
  virtual Result<std::vector<TaskId>> submit(std::vector<TaskSpec> specs) = 0;
  /// Creates an actor; the caller holds one reference to it (release_actor). Name clashes give `exists`.
  virtual Result<FoundActor> create_actor(ActorSpec spec) = 0;
  /// Method calls; ordered for each caller as the actor's spec says.
  virtual Result<std::vector<TaskId>> call(std::vector<TaskSpec> calls) = 0;
  virtual Result<FoundActor> find_actor(std::string_view name, std::string_view space) = 0;
  virtual Status kill(ActorId actor, bool no_restart) = 0;
  virtual Status cancel(ObjectId id, CancelOptions options) = 0;

  /// Asks for a placement group; its bundles are reserved when there is room for all. `invalid` for bundles
  /// that make no sense and for a name that is taken.
  virtual Result<CreatedGroup> create_group(GroupSpec spec) = 0;
  /// Ends what runs in it, fails what waits for it, and frees its bundles. Nothing where it is gone already.
  virtual Status remove_group(GroupId group) = 0;
  /// An object that becomes `value`, an envelope, once the bundles are reserved, or the error kGroupRemoved.
  /// The caller holds a reference to it.
  virtual Result<ObjectId> watch_group(GroupId group, std::string value) = 0;
  /// All placement groups, the latest of the removed ones included.
  virtual Result<std::vector<GroupView>> groups() = 0;

  /// Room in the arena; waits for others to free or spill. `full` when the arena can never hold it.
  virtual Result<ArenaBuffer> allocate(size_t bytes, Deadline deadline) = 0;
  virtual Result<ObjectId> put(Value value) = 0;
  /// The values, in order. Returns as soon as all are there, or any of them is an error (then only that one
  /// is filled in). `timeout` when the deadline passes first.
  virtual Result<std::vector<Payload>> get(std::span<const ObjectId> ids, Deadline deadline) = 0;
  /// Positions of the ready ones, in order, at most `count`; fewer when the deadline passes.
  virtual Result<std::vector<size_t>> wait(std::span<const ObjectId> ids, size_t count, Deadline deadline,
                                           bool fetch) = 0;
  /// Calls back once, on an engine thread that holds no lock, when each of `ids` is there or any is an error.
  /// The callback must not block.
  virtual void on_ready(std::span<const ObjectId> ids, ReadyCallback callback) = 0;

  /// Item `index` of a stream: {stream, index}, for which the caller then holds a reference. It is ready when
  /// it was produced; past the end its payload is kStreamEnd. Asking for it says that those before are
  /// consumed.
  virtual Result<ObjectId> stream_item(TaskId stream, uint32_t index) = 0;
  /// The consumer is gone: items not asked for are freed, the producer is stopped at its next item.
  virtual void drop_stream(TaskId stream) = 0;

  /// References of this process, one for each living handle. Releasing the last frees or dereferences the
  /// object.
  virtual void add_reference(ObjectId id) = 0;
  virtual void release(ObjectId id) = 0;
  virtual void add_actor_reference(ActorId id) = 0;
  virtual void release_actor(ActorId id) = 0;

  virtual ClusterView cluster() = 0;
  virtual EngineStats stats() = 0;
  /// Tables for the state API, as JSON: "actors", "tasks", "objects", "workers", "named_actors".
  virtual Result<std::string> snapshot(std::string_view table) = 0;

  /// Where in the program a task was submitted, or a value put under this number: for the state API.
  virtual void note_site(TaskId made, std::string site) = 0;

  virtual ClientId client_id() const = 0;
  virtual uint32_t session() const = 0;
};

}  // namespace mobula
