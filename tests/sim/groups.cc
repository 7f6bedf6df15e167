// Placement groups in a random program: tasks and actors in bundles, waits that may be in vain, and removal.
#include "pool.h"

namespace mobula::sim {
namespace {

GroupSpec random_group(Pool& pool) {
  GroupSpec spec;
  int64_t cpus = pool.world().shape().cpus;
  for (uint64_t count = pool.random().between(1, 3); count > 0; --count) {
    int64_t units = kResourceUnit * static_cast<int64_t>(pool.random().between(1, cpus));
    spec.bundles.push_back({{"CPU", pool.random().chance(0.3) ? units / 2 : units}});
    if (pool.random().chance(0.7)) spec.bundles.back()["slot"] = kResourceUnit;
  }
  spec.strategy = static_cast<GroupStrategy>(pool.random().below(4));
  return spec;
}

void place_inside(Pool& pool, GroupId group, const GroupSpec& made, TaskSpec& spec) {
  spec.placement = Placement::kGroup;
  spec.placement_group = group;
  spec.bundle_index = static_cast<int32_t>(pool.random().below(made.bundles.size() + 1)) - 1;
  spec.captures = static_cast<int8_t>(static_cast<int>(pool.random().below(3)) - 1);
  spec.resources["CPU"] = kResourceUnit / static_cast<int64_t>(pool.random().between(1, 2));
  bool has_slot =
      spec.bundle_index >= 0 && made.bundles[static_cast<size_t>(spec.bundle_index)].contains("slot");
  if (has_slot && pool.random().chance(0.7)) {  // which is never lent
    spec.resources["CPU"] = 0;
    spec.resources["slot"] = kResourceUnit / static_cast<int64_t>(pool.random().between(1, 3));
  }
}

void submit_inside(Pool& pool, GroupId group, const GroupSpec& made) {
  TaskId id = pool.client.next_task();
  TaskFacts facts = facts_for(pool);
  facts.group = group;
  facts.may_wait = pool.random().chance(0.5);
  facts.max_retries = static_cast<int32_t>(pool.random().below(4)) - 1;
  TaskSpec spec = spec_for(pool, id, facts);
  place_inside(pool, group, made, spec);
  pool.client.count_fresh(pool.world().object(id));
  pool.objects.push_back(pool.world().object(id));
  pool.world().tasks[id] = std::move(facts);
  pool.client.send(SubmitMessage{{std::move(spec)}});
}

Fiber<> create_actor_inside(Pool& pool, GroupId group, const GroupSpec& made) {
  TaskId id = pool.client.next_task();
  TaskFacts facts = facts_for(pool);
  facts.actors.clear();
  facts.actor = ActorId{id.value};
  facts.group = group;
  facts.creates_actor = true;
  facts.may_wait = false;
  ActorSpec spec;
  spec.creation = spec_for(pool, id, facts);
  place_inside(pool, group, made, spec.creation);
  spec.class_name = "Actor";
  spec.max_restarts = static_cast<int32_t>(pool.random().below(4)) - 1;
  pool.world().tasks[id] = std::move(facts);
  pool.world().actors[ActorId{id.value}] = {};
  RequestId request = pool.client.next_request();
  UpMessage message = CreateActorMessage{request, std::move(spec)};
  ReplyMessage reply = co_await pool.client.ask(std::move(message), request, 0);
  pool.world().expect(reply.code == Code::kOk, "an actor is not made: " + reply.text);
  pool.client.count_fresh(pool.life_of(ActorId{id.value}));
  pool.actors.push_back(ActorId{id.value});
}

}  // namespace

/// A group is made, used and removed, whatever became of it: it keeps others from their CPUs meanwhile, so
/// nothing is waited for without end.
Fiber<> use_group(Pool& pool) {
  World& world = pool.world();
  world.any_group = true;
  GroupId group{pool.client.next_task().value};
  GroupSpec spec = random_group(pool);
  GroupSpec made = spec;
  RequestId request = pool.client.next_request();
  UpMessage message = CreateGroupMessage{request, group, std::move(spec)};
  ReplyMessage reply = co_await pool.client.ask(std::move(message), request, 0);
  world.expect(reply.code == Code::kOk, "a placement group is not made: " + reply.text);
  ObjectId watched = world.object(pool.client.next_task());
  pool.client.count_fresh(watched);
  pool.client.send(WatchGroupMessage{group, watched, std::to_string(world.add_content(watched, {}))});
  if (pool.random().chance(0.8)) {
    std::vector<ObjectId> only{watched};
    Got got = co_await pool.client.get(only, pool.random().between(1, 40'000));
    drop_views(pool, got);
    world.expect(!got.error, "a group that nobody removed is removed");
    ++world.counts[got.late ? "groups that waited" : "groups that were placed"];
  }
  for (uint64_t count = pool.random().below(6); count > 0; --count) submit_inside(pool, group, made);
  if (pool.random().chance(0.4)) co_await create_actor_inside(pool, group, made);
  for (uint64_t count = pool.random().below(3); count > 0; --count) call(pool);
  std::vector<ObjectId> ids = pool.some(3);
  if (!ids.empty()) {
    for (ObjectId id : ids) pool.client.hold(id);
    Got got = co_await pool.client.get(ids, pool.random().between(1, 40'000));
    drop_views(pool, got);
    for (ObjectId id : ids) pool.client.release(id);
  }
  if (pool.random().chance(0.5)) co_await pool.client.sleep(pool.random().below(20'000));
  for (int times = pool.random().chance(0.1) ? 2 : 1; times > 0; --times)
    pool.client.send(RemoveGroupMessage{group});
  if (pool.random().chance(0.3)) submit_inside(pool, group, made);
  pool.client.release(watched);
}

}  // namespace mobula::sim
