// The tables of the state API as JSON, of at most kRowsMax rows each; "totals" tells how many there are.
// Times are those of the steady clock.
#include <algorithm>

#include "node/json_rows.h"
#include "node/node_core.h"

namespace mobula {
namespace {

constexpr size_t kRowsMax = 10'000;

const char* word(ActorRecord::State state) {
  constexpr const char* kWords[] = {"PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD"};
  return kWords[static_cast<int>(state)];
}

const char* word(TaskRecord::State state) {
  constexpr const char* kWords[] = {"PENDING_ARGS_AVAIL", "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY",
                                    "PENDING_OBJ_STORE_MEM_AVAIL", "PENDING_NODE_ASSIGNMENT", "RUNNING"};
  return kWords[static_cast<int>(state)];
}

const char* word(PastAttempt::Kind kind) {
  constexpr const char* kWords[] = {"NORMAL_TASK", "ACTOR_CREATION_TASK", "ACTOR_TASK"};
  return kWords[static_cast<int>(kind)];
}

const char* word(Language language) { return language == Language::kCpp ? "CPP" : "PYTHON"; }

const char* word(const ObjectEntry& entry) {
  if (entry.place == ObjectEntry::Place::kDisk) return "SPILLED";
  if (!entry.is_ready()) return "PENDING";
  return entry.value.in_arena ? "ARENA" : "INLINE";
}

const char* error_word(PayloadKind kind) {
  switch (kind) {
    case PayloadKind::kValue:
      return "";
    case PayloadKind::kTaskError:
      return "TASK_EXECUTION_EXCEPTION";
    case PayloadKind::kWorkerCrashed:
      return "WORKER_DIED";
    case PayloadKind::kActorDied:
      return "ACTOR_DIED";
    case PayloadKind::kActorUnavailable:
      return "ACTOR_UNAVAILABLE";
    case PayloadKind::kCancelled:
      return "TASK_CANCELLED";
    case PayloadKind::kObjectLost:
      return "OBJECT_LOST";
    case PayloadKind::kStoreFull:
      return "OBJECT_STORE_FULL";
    case PayloadKind::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case PayloadKind::kOutOfDisk:
      return "OUT_OF_DISK_ERROR";
    case PayloadKind::kPendingCallsLimit:
      return "PENDING_CALLS_LIMIT_EXCEEDED";
    case PayloadKind::kUnschedulable:
      return "TASK_UNSCHEDULABLE_ERROR";
    case PayloadKind::kGroupRemoved:
      return "TASK_PLACEMENT_GROUP_REMOVED";
    case PayloadKind::kActorGroupRemoved:
      return "ACTOR_PLACEMENT_GROUP_REMOVED";
    case PayloadKind::kActorUnschedulable:
      return "ACTOR_UNSCHEDULABLE_ERROR";
    default:
      return "SYSTEM_ERROR";
  }
}

std::string hex_or_none(uint64_t id) { return id == 0 ? std::string() : to_hex(id); }

void add_times(const TaskTimes& times, JsonRows& rows) {
  rows.field("submitted_us", times.submitted_us);
  rows.field("queued_us", times.queued_us);
  rows.field("sent_us", times.sent_us);
}

}  // namespace

/// As the user sees it: of what a worker was given, the first runs, and may itself wait for objects.
const char* NodeCore::state_of(const TaskRecord& task) const {
  if (task.state != TaskRecord::State::kRunning) return word(task.state);
  TaskId runs = running_on(ClientId{task.worker.value});
  auto actor = actors_.all().find(task.spec.actor);
  bool concurrent = actor != actors_.all().end() && actor->second.spec.max_concurrency > 1;
  if (runs != task.spec.id && !concurrent) return "SUBMITTED_TO_WORKER";
  if (concurrent) return "RUNNING";
  for (const auto& [key, request] : requests_) {
    if (request.client.value != task.worker.value) continue;
    if (request.kind == Request::Kind::kValues) return "RUNNING_IN_RAY_GET";
    if (request.kind == Request::Kind::kWait) return "RUNNING_IN_RAY_WAIT";
  }
  return "RUNNING";
}

void NodeCore::add_class(ClassId cls, JsonRows& rows) const {
  const ClassKey* key = cls.is_nil() ? nullptr : sched_.key_of(cls);
  rows.field("resources", key == nullptr ? ResourceMap{} : key->need);
  rows.field("runtime_env", key == nullptr ? std::string_view() : key->runtime_env);
}

void NodeCore::list_tasks(JsonRows& rows) const {
  for (bool running : {true, false}) {
    for (const auto& [id, task] : tasks_.all()) {
      if ((task.state == TaskRecord::State::kRunning) != running) continue;
      if (rows.rows() == kRowsMax) return;
      rows.begin();
      rows.field("task_id", to_hex(id.value));
      rows.field("name", task.spec.name);
      rows.field("state", state_of(task));
      rows.field("type", word(kind_of(task)));
      rows.field("attempt", task.attempt);
      rows.field("actor_id", hex_or_none(task.spec.actor.value));
      rows.field("parent_task_id", hex_or_none(task.parent.value));
      rows.field("worker_id", hex_or_none(task.worker.value));
      rows.field("placement_group_id", hex_or_none(task.spec.placement_group.value));
      rows.field("language", word(task.spec.language));
      rows.field("call_site", sites_.find(id));
      add_class(task.cls, rows);
      add_times(task.times, rows);
      rows.end();
    }
  }
}

void NodeCore::list_past_tasks(JsonRows& rows) const {
  for (size_t back = 0; back < history_.size(); ++back) {
    const PastAttempt& past = history_.newest(back);
    rows.begin();
    rows.field("task_id", to_hex(past.task.value));
    rows.field("name", past.name);
    rows.field("state", past.outcome == PayloadKind::kValue ? "FINISHED" : "FAILED");
    rows.field("type", word(past.kind));
    rows.field("attempt", past.attempt);
    rows.field("actor_id", hex_or_none(past.actor.value));
    rows.field("parent_task_id", hex_or_none(past.parent.value));
    rows.field("worker_id", hex_or_none(past.worker.value));
    rows.field("placement_group_id", hex_or_none(past.group.value));
    rows.field("language", word(past.language));
    rows.field("call_site", sites_.find(past.task));
    rows.field("error_type", error_word(past.outcome));
    rows.field("error_message", history_.text_of(past));
    add_class(past.cls, rows);
    add_times(past.times, rows);
    rows.field("begun_ns", past.begun_ns);
    rows.field("ended_ns", past.ended_ns);
    rows.end();
  }
}

void NodeCore::list_actors(JsonRows& rows) const {
  for (const auto& [id, actor] : actors_.all()) {
    if (rows.rows() == kRowsMax) return;
    auto creation = tasks_.all().find(TaskId{id.value});
    bool awaits = creation != tasks_.all().end() && actor.state == ActorRecord::State::kStarting &&
                  creation->second.state == TaskRecord::State::kWaiting;
    rows.begin();
    rows.field("actor_id", to_hex(id.value));
    rows.field("class_name", actor.spec.class_name);
    rows.field("name", actor.spec.name);
    rows.field("namespace", actor.spec.space);
    rows.field("state", awaits ? "DEPENDENCIES_UNREADY" : word(actor.state));
    rows.field("worker_id", hex_or_none(actor.last_worker.value));
    rows.field("restarts", actor.restarts);
    rows.field("pending_calls", actor.pending());
    rows.field("death_cause", actor.death_cause);
    rows.field("detached", actor.spec.detached);
    rows.field("call_site", sites_.find(TaskId{id.value}));
    rows.field("placement_group_id", hex_or_none(actor.spec.creation.placement_group.value));
    rows.field("resources", actor.spec.creation.resources);
    rows.field("runtime_env", actor.spec.creation.runtime_env);
    rows.end();
  }
}

void NodeCore::list_objects(JsonRows& rows) const {
  std::unordered_map<ObjectId, ClientId> holders, users;
  std::unordered_set<ObjectId> contained;
  for (const auto& [client, record] : clients_) {
    for (const auto& [object, count] : record.holds) holders.try_emplace(object, client);
  }
  for (const auto& [id, task] : tasks_.all()) {
    for (ObjectId object : task.spec.refs) users.try_emplace(object, task.submitter);
    for (ObjectId object : task.spec.nested) users.try_emplace(object, task.submitter);
  }
  std::vector<const std::pair<const ObjectId, ObjectEntry>*> entries;
  for (const auto& entry : store_.entries()) {
    entries.push_back(&entry);
    contained.insert(entry.second.value.contained.begin(), entry.second.value.contained.end());
  }
  auto bytes_of = [](const ObjectEntry& entry) {
    return entry.value.bytes ? entry.value.bytes->size() : entry.value.size;
  };
  auto is_larger = [&](const auto* one, const auto* other) {
    return std::pair(bytes_of(other->second), one->first) < std::pair(bytes_of(one->second), other->first);
  };
  size_t shown = std::min(entries.size(), kRowsMax);
  std::partial_sort(entries.begin(), entries.begin() + static_cast<ptrdiff_t>(shown), entries.end(),
                    is_larger);
  entries.resize(shown);
  for (const auto* found : entries) {
    const auto& [id, entry] = *found;
    auto holder = holders.find(id), user = users.find(id);
    auto task = tasks_.all().find(id.task);
    const char* kind = "UNKNOWN_STATUS";
    if (holder != holders.end())
      kind = entry.watched ? "ACTOR_HANDLE" : entry.pins > 0 ? "PINNED_IN_MEMORY" : "LOCAL_REFERENCE";
    else if (user != users.end())
      kind = "USED_BY_PENDING_TASK";
    else if (contained.contains(id))
      kind = "CAPTURED_IN_OBJECT";
    ClientId client = holder != holders.end() ? holder->second : user != users.end() ? user->second : kDriver;
    rows.begin();
    rows.field("object_id", to_hex(id));
    rows.field("state", word(entry));
    rows.field("bytes", bytes_of(entry));
    rows.field("call_site", sites_.find(id.task));
    rows.field("references", entry.holds);
    rows.field("views", entry.pins);
    rows.field("reference_type", kind);
    rows.field("worker_id", to_hex(client.value));
    rows.field("task_status", task != tasks_.all().end() ? state_of(task->second)
                              : entry.is_error()         ? "FAILED"
                                                         : "FINISHED");
    rows.field("attempt", task != tasks_.all().end() ? task->second.attempt : 0);
    rows.end();
  }
}

void NodeCore::list_workers(JsonRows& rows) const {
  for (const auto& [id, log] : worker_log_.all()) {
    const WorkerState* worker = sched_.find(id);
    bool alive = log.ended_us == 0;
    rows.begin();
    rows.field("worker_id", to_hex(id.value));
    rows.field("type", id.value == kDriver.value ? "DRIVER" : "WORKER");
    rows.field("alive", alive);
    rows.field("pid", static_cast<uint64_t>(log.pid));
    rows.field("actor_id", hex_or_none(log.actor.value));
    rows.field("phase", worker == nullptr ? 0 : static_cast<uint64_t>(worker->phase));
    rows.field("in_flight", worker == nullptr ? 0 : worker->inflight.size());
    rows.field("blocked", worker == nullptr ? 0 : worker->blocked);
    rows.field("runtime_env", worker == nullptr ? std::string_view() : worker->runtime_env);
    rows.field("intended", log.intended);
    rows.field("cause", log.cause);
    rows.field("spawned_us", log.spawned_us);
    rows.field("started_us", log.started_us);
    rows.field("ended_us", log.ended_us);
    rows.end();
  }
}

/// How many there are of each, whether a table shows them all or not.
void NodeCore::list_totals(JsonRows& rows) const {
  rows.begin();
  rows.field("tasks", tasks_.size());
  rows.field("past_tasks", history_.total());
  rows.field("past_tasks_forgotten", history_.forgotten());
  rows.field("actors", actors_.all().size());
  rows.field("objects", store_.size());
  rows.field("workers", worker_log_.all().size());
  rows.field("workers_forgotten", worker_log_.forgotten());
  rows.end();
}

std::string NodeCore::snapshot(const std::string& table) const {
  JsonRows rows;
  if (table == "actors")
    list_actors(rows);
  else if (table == "tasks")
    list_tasks(rows);
  else if (table == "past_tasks")
    list_past_tasks(rows);
  else if (table == "objects")
    list_objects(rows);
  else if (table == "workers")
    list_workers(rows);
  else if (table == "totals")
    list_totals(rows);
  else if (table == "named_actors") {
    for (const auto& [name, id] : actors_.names()) {
      rows.begin();
      rows.field("namespace", name.first);
      rows.field("name", name.second);
      rows.end();
    }
  } else {
    return {};
  }
  return rows.finish();
}

}  // namespace mobula
