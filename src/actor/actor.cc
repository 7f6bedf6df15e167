// Records, names and queues of actors.
#include "actor/actor.h"

#include <algorithm>

#include "base/check.h"

namespace mobula {
namespace {

using State = ActorRecord::State;
constexpr size_t kDeadMax = 10'000;

}  // namespace

size_t ActorRecord::pending() const {
  size_t count = sent.size();
  for (const auto& [caller, queue] : queues) count += queue.size();
  return count;
}

Status ActorTable::add(ActorId id, ActorSpec spec) {
  if (!spec.name.empty()) {
    auto [at, fresh] = names_.try_emplace({spec.space, spec.name}, id);
    if (!fresh) {
      return {Code::kExists, "an actor called '" + spec.name + "' exists in namespace '" + spec.space +
                                 "'; take another name, or get_if_exists=True to use the living one"};
    }
  }
  ActorRecord& actor = actors_[id];
  actor.restarts_left = spec.max_restarts;
  actor.spec = std::move(spec);
  return Status::ok();
}

ActorRecord* ActorTable::find(ActorId id) {
  auto found = actors_.find(id);
  return found == actors_.end() ? nullptr : &found->second;
}

ActorId ActorTable::find_named(const std::string& name, const std::string& space) const {
  auto found = names_.find({space, name});
  return found == names_.end() ? ActorId{} : found->second;
}

std::vector<TaskId> ActorTable::bury(ActorId id, std::string cause) {
  ActorRecord& actor = actors_.at(id);
  std::vector<TaskId> calls(actor.sent.begin(), actor.sent.end());
  for (const auto& [caller, queue] : actor.queues) calls.insert(calls.end(), queue.begin(), queue.end());
  auto name = names_.find({actor.spec.space, actor.spec.name});
  if (name != names_.end() && name->second == id) names_.erase(name);
  if (actor.state != State::kDead) dead_.push_back(id);
  actor.state = State::kDead;
  actor.death_cause = std::move(cause);
  actor.worker = {};
  count_backlog(actor.sent.size(), 0);
  actor.sent.clear();
  actor.queues.clear();
  actor.spec.creation.args.clear();
  if (dead_.size() > kDeadMax) {
    actors_.erase(dead_.front());
    dead_.pop_front();
  }
  return calls;
}

bool ActorTable::take_restart(ActorId id, std::vector<TaskId>* sent) {
  ActorRecord& actor = actors_.at(id);
  if (actor.restarts_left == 0 || actor.unreferenced || actor.state == State::kDead) return false;
  if (actor.restarts_left > 0) --actor.restarts_left;
  ++actor.restarts;
  actor.state = State::kRestarting;
  actor.worker = {};
  sent->assign(actor.sent.begin(), actor.sent.end());
  count_backlog(actor.sent.size(), 0);
  actor.sent.clear();
  return true;
}

void ActorTable::queue_call(ActorId id, ClientId caller, TaskId call) {
  actors_.at(id).queues[caller].push_back(call);
}

void ActorTable::on_answered(ActorId id, TaskId call) {
  ActorRecord* actor = find(id);
  if (actor == nullptr) return;
  size_t before = actor->sent.size();
  actor->sent.erase(call);
  count_backlog(before, actor->sent.size());
}

void ActorTable::remove_call(ActorId id, ClientId caller, TaskId call) {
  on_answered(id, call);
  ActorRecord* actor = find(id);
  if (actor == nullptr) return;
  auto queue = actor->queues.find(caller);
  if (queue == actor->queues.end()) return;
  std::erase(queue->second, call);
  if (queue->second.empty()) actor->queues.erase(queue);
}

void ActorTable::requeue(ActorId id, ClientId caller, const std::vector<TaskId>& calls) {
  std::deque<TaskId>& queue = actors_.at(id).queues[caller];
  queue.insert(queue.begin(), calls.begin(), calls.end());
}

size_t ActorTable::living() const { return actors_.size() - dead_.size(); }

void ActorTable::check() const {
  size_t backlogged = 0;
  for (const auto& [id, actor] : actors_) {
    backlogged += actor.sent.size() > 1;
    CHECK(actor.state != State::kDead || actor.pending() == 0);
    CHECK(actor.state == State::kAlive || actor.sent.empty());
    for (const auto& [caller, queue] : actor.queues) CHECK(!queue.empty());
  }
  CHECK(backlogged == backlogged_);
  for (const auto& [name, id] : names_) CHECK(actors_.at(id).state != State::kDead);
}

}  // namespace mobula
