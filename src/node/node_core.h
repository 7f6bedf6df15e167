// A node without threads, clocks and files: where the four state machines (store, task, sched, actor) meet.
// Facts come in (messages of clients, ends of workers, finished disk transfers, ticks); what must be done
// leaves in NodeEffects, which node.cc performs and the simulator inspects. Owned by whoever holds the node's
// token. Tests: tasks_test.cc, objects_test.cc, actors_test.cc, tests/sim.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "actor/actor.h"
#include "sched/sched.h"
#include "sched/worker_log.h"
#include "store/store.h"
#include "task/history.h"
#include "task/sites.h"
#include "task/task.h"
#include "wire/message.h"

namespace mobula {

constexpr ClientId kDriver{1};

struct NodeCoreOptions {
  ResourceMap resources;
  uint64_t arena_bytes = 0;
  uint32_t session = 0;
  std::string node_id;
  std::map<std::string, std::string> labels;
  size_t workers_max = 96;     // that run tasks, but for those that only wait for others
  size_t processes_max = 480;  // in all
  size_t idle_workers_max = 4;
};

class JsonRows;

struct NodeEffects {
  struct Kill {
    WorkerId worker;
    std::string reason;
  };
  struct OutputAsked {  // what a worker has printed, to be answered by whoever keeps it
    ClientId client;
    RequestId request = 0;
    WorkerId worker;
  };
  std::vector<std::pair<WorkerId, RunMessage>> runs;  // into the ring of assignments, in order
  std::vector<std::pair<ClientId, DownMessage>>
      replies;  // into the ring of replies, or to the driver's waiters
  std::vector<WorkerId> spawned;
  std::vector<WorkerId> take_back;  // answer with on_taken_back
  std::vector<Kill> kills;          // SIGKILL; on_worker_lost follows
  std::vector<OutputAsked> output_asked;
  std::vector<StoreEffects::Write> writes;
  std::vector<StoreEffects::Read> reads;
  std::vector<std::pair<DiskPlace, uint64_t>> forgotten;

  bool empty() const {
    return runs.empty() && replies.empty() && spawned.empty() && take_back.empty() && kills.empty() &&
           writes.empty() && reads.empty() && forgotten.empty() && output_asked.empty();
  }
};

class NodeCore {
 public:
  explicit NodeCore(NodeCoreOptions options);

  void on_message(ClientId from, UpMessage message, uint64_t now_us, NodeEffects& out);
  void on_worker_started(WorkerId worker, uint64_t now_us, NodeEffects& out);
  /// Which process a client is: for the state API alone.
  void on_process(ClientId client, int pid, uint64_t now_us);
  /// `unstarted`: the tasks that it had been given and not begun. `cause` is what the user reads.
  void on_worker_lost(WorkerId worker, const std::vector<TaskId>& unstarted, const std::string& cause,
                      uint64_t now_us, NodeEffects& out);
  void on_taken_back(WorkerId worker, const std::vector<TaskId>& tasks, uint64_t now_us, NodeEffects& out);
  void on_spilled(ObjectId id, std::optional<DiskPlace> place, const std::string& error, uint64_t now_us,
                  NodeEffects& out);
  void on_restored(ObjectId id, bool ok, const std::string& error, uint64_t now_us, NodeEffects& out);
  void on_tick(uint64_t now_us, NodeEffects& out);
  /// Micro-seconds until on_tick wants to be called; 0: not at all.
  uint64_t tick_after_us() const;

  const ObjectTable& store() const { return store_; }
  const Scheduler& sched() const { return sched_; }
  const ActorTable& actors() const { return actors_; }
  TaskTable& tasks() { return tasks_; }
  size_t requests() const { return requests_.size(); }
  bool is_client(ClientId client) const { return clients_.contains(client); }
  EngineStats stats() const;
  /// Every invariant; looks at everything there is (audit.cc).
  void check() const;

 private:
  struct Client {
    std::unordered_map<ObjectId, uint32_t> holds, pins;
    std::unordered_set<FunctionId> functions;  // definitions it has been sent
    ActorId actor;                             // whose process it is
    bool leaving = false;                      // told to end, or ending by itself
  };
  struct Admitted {
    uint32_t tasks = 0;  // that take it as an argument
    uint64_t bytes = 0;
  };
  struct GroupWatch {
    ObjectId id;
    std::string value;  // it becomes
  };
  struct Definition {
    Language language;
    std::string text;
  };
  struct Request {
    enum class Kind : uint8_t { kValues, kReady, kWait } kind;
    ClientId client;
    RequestId number = 0;
    std::vector<ObjectId> ids;
    size_t missing = 0;    // objects (or restores) still to come
    size_t count = 0;      // kWait: how many are wanted
    bool staging = false;  // all are there; spilled ones are coming back
    Lending lending;
    std::vector<ObjectId> pinned;
  };

  // core.cc: the frame of each fact
  void settle(uint64_t now_us, NodeEffects& out);
  void settle_store(NodeEffects& out);
  void fail_queued();
  void drop_client(ClientId id);
  // audit.cc
  void check_holds() const;
  void check_pins() const;
  void check_admitted() const;
  void check_lendings() const;
  // objects.cc: references and requests
  void on(ClientId from, HoldMessage& message);
  void on(ClientId from, ReleaseMessage& message);
  void on(ClientId from, UnpinMessage& message);
  void on(ClientId from, PutMessage& message);
  void on(ClientId from, AllocateMessage& message);
  void on(ClientId from, AbandonMessage& message);
  void on(ClientId from, GetMessage& message);
  void on(ClientId from, WaitMessage& message);
  void on(ClientId from, ForgetMessage& message);
  void hold_for(ClientId client, ObjectId id);
  void stage_request(uint64_t key, Request& request);
  void answer_values(uint64_t key, Request& request);
  void answer_error(uint64_t key, Request& request, size_t position);
  void answer_with(uint64_t key, Request& request, size_t position, Located error);
  void answer_wait(uint64_t key, Request& request);
  void finish_request(uint64_t key, Request& request, ReplyMessage reply);
  void on_request_woken(uint64_t key, ObjectId id, std::string no_room);
  void block_if_waiting(uint64_t key);
  void lend_cpu(Lending& lending);
  void lend_later(WorkerId worker, Lending& lending);
  void lend_due();
  void return_cpu(Lending& lending);
  void withdraw_tasks_of(ClientId client);
  void reply(ClientId client, ReplyMessage message);
  // tasks.cc: submission to result
  void on(ClientId from, DefineMessage& message);
  void on(ClientId from, SubmitMessage& message);
  void on(ClientId from, DoneMessage& message);
  void on(ClientId from, ItemMessage& message);
  void on(ClientId from, TakeItemMessage& message);
  void on(ClientId from, DropStreamMessage& message);
  void on(ClientId from, CancelMessage& message);
  void submit(ClientId from, TaskSpec spec);
  void begin(TaskRecord& task);
  bool takes_room(const TaskRecord& task) const;
  void await_arguments(TaskRecord& task);
  bool fail_on_bad_argument(TaskRecord& task);
  void stage(TaskRecord& task);
  bool admit(TaskRecord& task);
  void make_room();
  void withdraw(TaskRecord& task);
  void queue(TaskRecord& task);
  void run(WorkerId worker, TaskId id);
  void requeue(TaskRecord& task);
  void retry_or_fail(TaskId id, PayloadKind kind, const std::string& message);
  void fail(TaskId id, PayloadKind kind, std::string message);
  void fail_with(TaskId id, Located error);
  void seal_results(TaskRecord& task, std::vector<Located>& values);
  void end_stream(TaskRecord& task, std::vector<Located>& values);
  void release_stream(TaskId id, StreamRecord& stream);
  void lend_if_ahead(const TaskRecord& task, StreamRecord& stream);
  void discard(std::vector<Located>& values);
  void erase_task(TaskRecord& task);
  void cancel(TaskId id, bool force, bool recursive);
  TaskId running_on(ClientId client) const;
  void kill_if_cancelled(WorkerId worker);
  // history.cc
  void remember(const TaskRecord& task, const DoneMessage& message);
  void remember_failure(const TaskRecord& task, uint32_t attempt, PayloadKind kind, std::string_view text);
  // groups.cc: placement groups, and where tasks may be at all
  void on(ClientId from, CreateGroupMessage& message);
  void on(ClientId from, RemoveGroupMessage& message);
  void on(ClientId from, WatchGroupMessage& message);
  void on_group_placed(GroupId id);
  void remove_group(GroupId id);
  void bury_actors_of(GroupId id, const std::string& cause);
  void remove_groups_of(ActorId creator);
  void join_group(ClientId from, TaskId parent, TaskSpec& spec) const;
  bool fail_if_misplaced(TaskRecord& task, const ResourceMap& need);
  ClassKey class_key(const TaskSpec& spec, ResourceMap need, bool dedicated) const;
  // actors.cc
  void on(ClientId from, CreateActorMessage& message);
  void on(ClientId from, FindActorMessage& message);
  void on(ClientId from, KillMessage& message);
  void submit_call(TaskRecord& task);
  void send_calls(ActorId id);
  bool stage_next_calls(ActorRecord& actor);
  void park_calls(ActorRecord& actor);
  void hold_actor(ClientId client, ActorId id);
  void on_actor_created(TaskRecord& task, DoneMessage& message);
  void on_actor_lost(ActorId id, const std::string& cause, bool may_restart);
  void start_actor(ActorId id);
  void bury(ActorId id, const std::string& cause, PayloadKind kind = PayloadKind::kActorDied);
  void end_if_idle(ActorId id);
  void dismiss(WorkerId worker);
  // queries.cc
  void on(ClientId from, MadeAtMessage& message);
  void on(ClientId from, QueryMessage& message);
  // snapshots.cc: the tables of the state API
  std::string snapshot(const std::string& table) const;
  void list_tasks(JsonRows& rows) const;
  void list_past_tasks(JsonRows& rows) const;
  void list_actors(JsonRows& rows) const;
  void list_objects(JsonRows& rows) const;
  void list_workers(JsonRows& rows) const;
  void list_totals(JsonRows& rows) const;
  const char* state_of(const TaskRecord& task) const;
  void add_class(ClassId cls, JsonRows& rows) const;

  static uint64_t key_of(ClientId client, RequestId request) {
    return client.value << kClientShift | request;
  }
  ObjectId object_of(TaskId task, uint32_t index = 0) const { return {task, index, options_.session}; }
  ObjectId life_of(ActorId actor) const { return object_of(TaskId{actor.value}); }

  NodeCoreOptions options_;
  ObjectTable store_;
  TaskTable tasks_;
  TaskHistory history_;
  SiteTable sites_;
  Scheduler sched_;
  ActorTable actors_;
  WorkerLog worker_log_;
  std::unordered_map<ClientId, Client> clients_;
  std::unordered_map<FunctionId, Definition> definitions_;
  std::unordered_map<uint64_t, Request> requests_;
  std::unordered_map<GroupId, std::vector<GroupWatch>> group_watches_;  // of groups that wait for resources
  std::unordered_map<ActorId, std::vector<GroupId>> groups_of_;         // that end with the detached actor
  std::deque<TaskId> staging_;                       // tasks that wait for room for their arguments
  std::unordered_map<ObjectId, Admitted> admitted_;  // large arguments of tasks that are queued or run
  uint64_t admitted_bytes_ = 0;
  size_t lends_due_ = 0;  // of requests and streams
  bool sending_ = false;  // send_calls() is at work: it sees by itself what becomes ready
  uint64_t stalled_moves_ = 0, stalled_since_us_ = 0, now_us_ = 0;
  StoreEffects effects_;        // of the fact at hand
  NodeEffects* out_ = nullptr;  // of the fact at hand
};

}  // namespace mobula
