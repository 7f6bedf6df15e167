// What every invariant of the whole node comes to: the books of the four machines, and that each reference,
// view and share of the arena that is counted anywhere has somebody who answers for it. For tests and the
// simulator: it looks at everything.
#include <algorithm>

#include "base/check.h"
#include "node/node_core.h"

namespace mobula {
namespace {

void add_all(std::unordered_map<ObjectId, uint64_t>& counts, const std::vector<ObjectId>& ids) {
  for (ObjectId id : ids) ++counts[id];
}

}  // namespace

void NodeCore::check() const {
  store_.check();
  tasks_.check();
  sched_.check();
  actors_.check();
  check_holds();
  check_pins();
  check_admitted();
  check_lendings();
}

void NodeCore::check_holds() const {
  std::unordered_map<ObjectId, uint64_t> holds;
  for (const auto& [id, client] : clients_) {
    for (const auto& [object, count] : client.holds) holds[object] += count;
  }
  for (const auto& [id, task] : tasks_.all()) {
    add_all(holds, task.spec.refs);
    add_all(holds, task.spec.nested);
    if (!task.spec.actor.is_nil() && !task.creates_actor) ++holds[life_of(task.spec.actor)];
  }
  for (const auto& [id, actor] : actors_.all()) {
    if (actor.state == ActorRecord::State::kDead) continue;
    if (actor.spec.detached) ++holds[life_of(id)];
    if (actor.spec.max_restarts == 0) continue;
    add_all(holds, actor.spec.creation.refs);
    add_all(holds, actor.spec.creation.nested);
  }
  for (const auto& [id, stream] : tasks_.all_streams()) {
    for (uint32_t i = stream.taken; i < stream.produced && !stream.dropped; ++i) ++holds[object_of(id, i)];
  }
  for (const auto& [id, entry] : store_.entries()) {
    if (entry.is_ready()) add_all(holds, entry.value.contained);
  }
  for (const auto& [id, count] : holds) CHECK(store_.find(id) != nullptr);
  for (const auto& [id, entry] : store_.entries()) {
    auto found = holds.find(id);
    CHECK(entry.holds == (found == holds.end() ? 0 : found->second));
  }
}

void NodeCore::check_pins() const {
  std::unordered_map<ObjectId, uint64_t> pins;
  for (const auto& [id, client] : clients_) {
    for (const auto& [object, count] : client.pins) pins[object] += count;
  }
  for (const auto& [id, task] : tasks_.all()) add_all(pins, task.pinned);
  for (const auto& [key, request] : requests_) add_all(pins, request.pinned);
  for (const auto& [id, entry] : store_.entries()) {
    auto found = pins.find(id);
    CHECK(entry.pins == (found == pins.end() ? 0 : found->second));
  }
}

void NodeCore::check_admitted() const {
  std::unordered_map<ObjectId, uint32_t> tasks;
  for (const auto& [id, task] : tasks_.all()) {
    if (task.admitted_bytes == 0) continue;
    std::vector<ObjectId> refs = task.spec.refs;
    std::sort(refs.begin(), refs.end());
    refs.erase(std::unique(refs.begin(), refs.end()), refs.end());
    for (ObjectId ref : refs) tasks[ref] += admitted_.contains(ref);
  }
  uint64_t bytes = 0;
  for (const auto& [id, admitted] : admitted_) {
    CHECK(tasks[id] == admitted.tasks);
    bytes += admitted.bytes;
  }
  CHECK(bytes == admitted_bytes_);
}

void NodeCore::check_lendings() const {
  size_t due = 0;
  for (const auto& [key, request] : requests_) due += request.lending.due_us != 0;
  for (const auto& [id, stream] : tasks_.all_streams()) due += stream.lending.due_us != 0;
  CHECK(due == lends_due_);
}

}  // namespace mobula
