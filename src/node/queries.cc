// Read-only views of a node: the cluster, statistics, and the tables of the state API as JSON.
#include <cstdio>

#include "node/node_core.h"
#include "wire/views.h"

namespace mobula {
namespace {

/// Builds one JSON array of objects, a field at a time.
class JsonRows {
 public:
  void begin() { out_ += first_ ? "{" : ",{", first_ = false, first_field_ = true; }
  void end() { out_ += "}"; }
  void field(const char* name, std::string_view value) {
    key(name);
    out_ += '"';
    for (char c : value) escape(c);
    out_ += '"';
  }
  void field(const char* name, uint64_t value) { key(name), out_ += std::to_string(value); }
  std::string finish() { return out_ + "]"; }

 private:
  void key(const char* name) {
    out_ += first_field_ ? "\"" : ",\"";
    first_field_ = false;
    out_ += name;
    out_ += "\":";
  }
  void escape(char c) {
    if (c == '"' || c == '\\')
      out_ += '\\', out_ += c;
    else if (static_cast<unsigned char>(c) >= 0x20)
      out_ += c;
    else {
      char text[8];
      std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(c));
      out_ += text;
    }
  }

  std::string out_ = "[";
  bool first_ = true, first_field_ = true;
};

const char* word(ActorRecord::State state) {
  constexpr const char* kWords[] = {"PENDING_CREATION", "ALIVE", "RESTARTING", "DEAD"};
  return kWords[static_cast<int>(state)];
}

const char* word(TaskRecord::State state) {
  constexpr const char* kWords[] = {"PENDING_ARGS_AVAIL", "PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY",
                                    "PENDING_OBJ_STORE_MEM_AVAIL", "PENDING_NODE_ASSIGNMENT", "RUNNING"};
  return kWords[static_cast<int>(state)];
}

const char* word(const ObjectEntry& entry) {
  if (entry.place == ObjectEntry::Place::kDisk) return "SPILLED";
  if (!entry.is_ready()) return "PENDING";
  return entry.value.in_arena ? "ARENA" : "INLINE";
}

}  // namespace

EngineStats NodeCore::stats() const {
  EngineStats stats;
  stats.arena_bytes = store_.arena().bytes();
  stats.arena_used_bytes = store_.arena().used_bytes();
  stats.arena_peak_bytes = store_.arena().peak_bytes();
  stats.spilled_bytes = store_.spilled_bytes();
  stats.restored_bytes = store_.restored_bytes();
  stats.objects = store_.size();
  stats.objects_pinned = store_.pinned_objects();
  stats.tasks = tasks_.size();
  stats.actors = actors_.living();
  stats.workers = sched_.workers().size();
  stats.workers_started = sched_.workers_started();
  return stats;
}

void NodeCore::on(ClientId from, QueryMessage& message) {
  ReplyMessage answer{
      .request = message.request, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  if (message.what == "cluster") {
    NodeView node{options_.node_id, true, sched_.ledger().total(), sched_.ledger().available(),
                  options_.labels};
    answer.text = encode_cluster({{std::move(node)}, 1});
  } else if (message.what == "stats") {
    answer.text = encode_stats(stats());
  } else {
    answer.text = snapshot(message.what);
    if (answer.text.empty()) {
      answer.code = Code::kInvalid;
      answer.text = "no table is called '" + message.what +
                    "'; there are actors, named_actors, tasks, objects, workers";
    }
  }
  reply(from, std::move(answer));
}

std::string NodeCore::snapshot(const std::string& table) const {
  JsonRows rows;
  if (table == "actors") {
    for (const auto& [id, actor] : actors_.all()) {
      rows.begin();
      rows.field("actor_id", to_hex(id.value));
      rows.field("class_name", actor.spec.class_name);
      rows.field("name", actor.spec.name);
      rows.field("namespace", actor.spec.space);
      rows.field("state", word(actor.state));
      rows.field("worker_id", to_hex(actor.worker.value));
      rows.field("restarts", actor.restarts);
      rows.field("pending_calls", actor.pending());
      rows.field("death_cause", actor.death_cause);
      rows.end();
    }
  } else if (table == "named_actors") {
    for (const auto& [name, id] : actors_.names()) {
      rows.begin();
      rows.field("namespace", name.first);
      rows.field("name", name.second);
      rows.end();
    }
  } else if (table == "tasks") {
    for (const auto& [id, task] : tasks_.all()) {
      rows.begin();
      rows.field("task_id", to_hex(id.value));
      rows.field("name", task.spec.name);
      rows.field("state", word(task.state));
      rows.field("attempt", task.attempt);
      rows.field("worker_id", to_hex(task.worker.value));
      rows.end();
    }
  } else if (table == "objects") {
    for (const auto& [id, entry] : store_.entries()) {
      rows.begin();
      rows.field("object_id", to_hex(id));
      rows.field("state", word(entry));
      rows.field("bytes", entry.value.size);
      rows.field("references", entry.holds);
      rows.field("views", entry.pins);
      rows.end();
    }
  } else if (table == "workers") {
    for (const auto& [id, worker] : sched_.workers()) {
      rows.begin();
      rows.field("worker_id", to_hex(id.value));
      rows.field("phase", uint64_t{static_cast<uint8_t>(worker.phase)});
      rows.field("in_flight", worker.inflight.size());
      rows.field("blocked", worker.blocked);
      rows.end();
    }
  } else {
    return {};
  }
  return rows.finish();
}

}  // namespace mobula
