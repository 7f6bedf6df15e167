// The actors of a node: their life, their names, and the calls on their way. A call waits in its caller's
// queue until it is ready and the actor lives; then it is sent. Pure. Owned by the node's loop. Tests:
// actor_test.cc, tests/sim.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/id.h"
#include "engine/engine.h"

namespace mobula {

struct ActorRecord {
  enum class State : uint8_t { kStarting, kAlive, kRestarting, kDead };
  ActorSpec spec;
  State state = State::kStarting;
  WorkerId worker;            // while kAlive, or while its constructor runs
  WorkerId last_worker;       // the last one that it had
  int32_t restarts_left = 0;  // -1: no end
  uint32_t restarts = 0;
  std::string death_cause;
  PayloadKind death_kind = PayloadKind::kActorDied;  // what calls of a dead one are told
  std::map<ClientId, std::deque<TaskId>> queues;     // calls not sent yet, by caller
  std::set<TaskId> sent;                             // calls in the worker's ring or begun
  bool unreferenced = false;                         // no handle is left: it ends when its calls have

  size_t pending() const;
};

class ActorTable {
 public:
  /// `exists` when the name is taken in its space.
  Status add(ActorId id, ActorSpec spec);
  ActorRecord* find(ActorId id);
  ActorId find_named(const std::string& name, const std::string& space) const;
  /// Dead: its name is free again. Returns the calls that were sent and those that were queued, in order.
  std::vector<TaskId> bury(ActorId id, std::string cause);
  /// Crashed, but may live again: takes one restart if there is one. The sent calls come back in order.
  bool take_restart(ActorId id, std::vector<TaskId>* sent);

  void queue_call(ActorId id, ClientId caller, TaskId call);
  /// Calls to be sent now: for ordered actors the ready heads, else every ready one.
  template <typename IsReady>
  std::vector<TaskId> take_sendable(ActorId id, IsReady is_ready);
  void remove_call(ActorId id, ClientId caller, TaskId call);
  /// A sent call was answered.
  void on_answered(ActorId id, TaskId call);
  /// Puts calls of one caller back in front, in order.
  void requeue(ActorId id, ClientId caller, const std::vector<TaskId>& calls);

  const std::unordered_map<ActorId, ActorRecord>& all() const { return actors_; }
  const std::map<std::pair<std::string, std::string>, ActorId>& names() const { return names_; }
  size_t living() const;
  /// Actors that have been sent more than one call: the answer to the first may come late.
  size_t backlogged() const { return backlogged_; }
  void check() const;

 private:
  void count_backlog(size_t before, size_t after) { backlogged_ += (after > 1) - (before > 1); }

  std::unordered_map<ActorId, ActorRecord> actors_;
  std::map<std::pair<std::string, std::string>, ActorId> names_;  // (space, name)
  std::deque<ActorId> dead_;  // oldest first; at most kDeadMax are remembered
  size_t backlogged_ = 0;
};

template <typename IsReady>
std::vector<TaskId> ActorTable::take_sendable(ActorId id, IsReady is_ready) {
  ActorRecord& actor = actors_.at(id);
  std::vector<TaskId> calls;
  if (actor.state != ActorRecord::State::kAlive) return calls;
  for (auto at = actor.queues.begin(); at != actor.queues.end();) {
    std::deque<TaskId>& queue = at->second;
    if (actor.spec.ordered) {
      for (; !queue.empty() && is_ready(queue.front()); queue.pop_front()) calls.push_back(queue.front());
    } else {
      std::erase_if(queue, [&](TaskId call) { return is_ready(call) && (calls.push_back(call), true); });
    }
    at = queue.empty() ? actor.queues.erase(at) : std::next(at);
  }
  size_t before = actor.sent.size();
  actor.sent.insert(calls.begin(), calls.end());
  count_backlog(before, actor.sent.size());
  return calls;
}

}  // namespace mobula
