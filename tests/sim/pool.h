// What a thread of a simulated program works with, and the actions that its files share.
#pragma once

#include <algorithm>
#include <vector>

#include "client.h"

namespace mobula::sim {

/// What one thread of a client holds: one reference to each, as often as it is listed.
struct Pool {
  Client& client;
  int depth = 0;
  bool may_wait = true;  // for others: actors, and who holds what cannot be lent, would wait in circles
  std::vector<ObjectId> objects;
  std::vector<ActorId> actors;

  Random& random() { return client.random(); }
  World& world() { return client.world(); }
  ObjectId life_of(ActorId actor) { return world().object(TaskId{actor.value}); }
  std::vector<ObjectId> some(size_t count_max) {
    std::vector<ObjectId> chosen;
    if (objects.empty()) return chosen;
    for (size_t count = random().below(count_max + 1); count > 0; --count)
      chosen.push_back(random().pick(objects));
    return chosen;
  }
  void add(ObjectId id) {
    client.hold(id);
    objects.push_back(id);
  }
  void release_one() {
    if (objects.empty()) return;
    std::swap(random().pick(objects), objects.back());
    client.release(objects.back());
    objects.pop_back();
  }
  void release_all() {
    while (!objects.empty()) release_one();
    for (ActorId actor : actors) client.release(life_of(actor));
    actors.clear();
  }
};

/// What a new task of this thread will do, and its spec.
TaskFacts facts_for(Pool& pool);
TaskSpec spec_for(Pool& pool, TaskId id, TaskFacts& facts);
/// Calls one of the actors.
void call(Pool& pool);
/// Views are dropped at once, or after a while.
void drop_views(Pool& pool, const Got& got);
/// groups.cc: a placement group, from its creation to its removal.
Fiber<> use_group(Pool& pool);

}  // namespace mobula::sim
