// Random actions over a pool of references.
#include "program.h"

#include <algorithm>

#include "pool.h"

namespace mobula::sim {
namespace {

constexpr int kDepthMax = 3;
constexpr char kSpace[] = "simulation";

uint64_t pages_for(Pool& pool) {
  const Shape& shape = pool.world().shape();
  if (!pool.random().chance(shape.big)) return 0;
  return pool.random().between(1, std::max<uint64_t>(shape.arena_pages / (shape.tight ? 3 : 40), 1));
}

FunctionId function_for(Pool& pool) {
  FunctionId function{1, 1 + pool.random().below(3)};
  pool.client.define(function);
  return function;
}

/// A view that stays for a while.
Fiber<> drop_later(Client& client, std::vector<Seen> values, uint64_t delay_us) {
  co_await client.sleep(delay_us);
  for (const Seen& seen : values) client.unpin(seen);
}

}  // namespace

void drop_views(Pool& pool, const Got& got) {
  std::vector<Seen> values = got.values;
  if (got.error) values.push_back(*got.error);
  uint64_t delay_us = pool.random().chance(0.5) ? 0 : pool.random().below(20'000);
  pool.client.start(drop_later(pool.client, std::move(values), delay_us));
}

namespace {

/// References inside a value that was read become the reader's own.
void adopt(Pool& pool, const Got& got) {
  for (const Seen& seen : got.values) {
    for (ObjectId inner : pool.world().content(seen.tag).contained) {
      if (pool.random().chance(0.5)) pool.add(inner);
    }
  }
}

// ---- actions ----------------------------------------------------------------------------------------

Fiber<> put(Pool& pool) {
  ObjectId id = pool.world().object(pool.client.next_task());
  std::vector<ObjectId> inside = pool.some(2);
  Located value = co_await pool.client.make_value(id, inside, pages_for(pool));
  pool.client.count_fresh(id);
  pool.client.send(PutMessage{id, std::move(value)});
  pool.objects.push_back(id);
}

/// A thread of a worker, which asks while its task goes on, and may outlive it.
Fiber<> get_beside(Client& client, std::vector<ObjectId> ids) {
  Got got = co_await client.get(ids);
  if (got.error) got.values.push_back(*got.error);
  for (const Seen& seen : got.values) client.unpin(seen);
  for (ObjectId id : ids) client.release(id);
}

Fiber<> get(Pool& pool) {
  std::vector<ObjectId> ids = pool.some(4);
  if (ids.empty()) co_return;
  for (ObjectId id : ids) pool.client.hold(id);  // another thread's release does not take them from under us
  if (pool.random().chance(0.15)) {
    pool.client.start(get_beside(pool.client, std::move(ids)));
    co_return;
  }
  uint64_t timeout =
      pool.random().chance(pool.world().shape().timeout) ? pool.random().between(1, 30'000) : 0;
  Got got = co_await pool.client.get(ids, timeout);
  adopt(pool, got);
  drop_views(pool, got);
  for (ObjectId id : ids) pool.client.release(id);
}

Fiber<> wait(Pool& pool) {
  std::vector<ObjectId> ids = pool.some(5);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  if (ids.empty()) co_return;
  auto count = static_cast<uint32_t>(pool.random().between(1, ids.size()));
  bool limited = pool.random().chance(0.5);
  if (!limited && pool.depth == 0 && pool.random().chance(0.5)) {  // a worker would not lend its CPU
    co_await pool.client.ready(ids);
    co_return;
  }
  co_await pool.client.wait(ids, count, limited ? pool.random().between(1, 20'000) : 0);
}

}  // namespace

TaskFacts facts_for(Pool& pool) {
  TaskFacts facts;
  facts.seed = pool.random().next();
  facts.depth = pool.depth + 1;
  facts.refs = pool.some(3);
  facts.nested = pool.some(2);
  for (ActorId actor : pool.actors) {
    if (pool.random().chance(0.3)) facts.actors.push_back(actor);
  }
  facts.caller = pool.client.id();
  ++pool.world().tasks_made;
  return facts;
}

TaskSpec spec_for(Pool& pool, TaskId id, TaskFacts& facts) {
  TaskSpec spec;
  spec.id = id;
  spec.name = "task " + std::to_string(id.value);
  spec.function = function_for(pool);
  spec.language = Language::kCpp;
  spec.refs = facts.refs;
  spec.nested = facts.nested;
  for (ActorId actor : facts.actors) spec.nested.push_back(pool.life_of(actor));
  spec.returns = facts.returns;
  spec.max_retries = facts.max_retries;
  return spec;
}

namespace {

void submit(Pool& pool) {
  TaskId id = pool.client.next_task();
  TaskFacts facts = facts_for(pool);
  facts.returns = static_cast<int32_t>(pool.random().below(4));
  facts.max_retries = static_cast<int32_t>(pool.random().below(4)) - 1;
  TaskSpec spec = spec_for(pool, id, facts);
  int64_t cpus = pool.world().shape().cpus;
  spec.resources["CPU"] = pool.random().chance(0.2)
                              ? 0
                              : kResourceUnit * static_cast<int64_t>(pool.random().between(1, cpus)) /
                                    (pool.random().chance(0.2) ? 2 : 1);
  facts.may_wait = !pool.random().chance(0.1);
  if (!facts.may_wait) spec.resources["special"] = kResourceUnit;
  if (pool.random().chance(0.1)) spec.runtime_env = "environment";
  for (int32_t i = 0; i < facts.returns; ++i) {
    ObjectId result = pool.world().object(id, static_cast<uint32_t>(i));
    pool.client.count_fresh(result);
    pool.objects.push_back(result);
  }
  pool.world().tasks[id] = std::move(facts);
  pool.client.send(SubmitMessage{{std::move(spec)}});
}

}  // namespace

void call(Pool& pool) {
  if (pool.actors.empty()) return;
  ActorId actor = pool.random().pick(pool.actors);
  TaskId id = pool.client.next_task();
  TaskFacts facts = facts_for(pool);
  facts.actor = actor;
  facts.max_retries = static_cast<int32_t>(pool.random().below(3)) - 1;
  facts.may_wait = false;
  facts.order = ++pool.world().actors.at(actor).calls[pool.client.id()];
  TaskSpec spec = spec_for(pool, id, facts);
  spec.actor = actor;
  ObjectId result = pool.world().object(id);
  pool.client.count_fresh(result);
  pool.objects.push_back(result);
  pool.world().tasks[id] = std::move(facts);
  pool.client.send(SubmitMessage{{std::move(spec)}});
}

namespace {

Fiber<> create_actor(Pool& pool) {
  TaskId id = pool.client.next_task();
  TaskFacts facts = facts_for(pool);
  facts.actors.clear();
  facts.actor = ActorId{id.value};
  facts.creates_actor = true;
  facts.may_wait = false;
  ActorFacts actor;
  ActorSpec spec;
  spec.creation = spec_for(pool, id, facts);
  spec.class_name = "Actor";
  spec.space = kSpace;
  if (pool.random().chance(0.3)) spec.name = "name " + std::to_string(pool.random().below(3));
  spec.get_if_exists = !spec.name.empty() && pool.random().chance(0.7);
  spec.detached = !spec.name.empty() && pool.random().chance(0.3);
  spec.max_restarts = static_cast<int32_t>(pool.random().below(4)) - 1;
  actor.concurrency = spec.max_concurrency = static_cast<int32_t>(pool.random().between(1, 3));
  actor.ordered = spec.ordered = actor.concurrency == 1;
  spec.creation.placement_resources["CPU"] = kResourceUnit;
  pool.world().tasks[id] = std::move(facts);
  pool.world().actors[ActorId{id.value}] = std::move(actor);
  bool named = !spec.name.empty(), may_exist = spec.get_if_exists;
  RequestId request = pool.client.next_request();
  UpMessage message = CreateActorMessage{request, std::move(spec)};
  ReplyMessage reply = co_await pool.client.ask(std::move(message), request, 0);
  if (reply.code == Code::kExists) {
    pool.world().expect(named && !may_exist, "a name is taken where it may not be");
    co_return;
  }
  pool.world().expect(reply.code == Code::kOk, "an actor is not made: " + reply.text);
  ActorId made{reply.number};
  pool.world().expect(made.value == id.value || may_exist, "somebody else's actor");
  pool.client.count_fresh(pool.life_of(made));
  pool.actors.push_back(made);
}

Fiber<> find_actor(Pool& pool) {
  RequestId request = pool.client.next_request();
  UpMessage message = FindActorMessage{request, "name " + std::to_string(pool.random().below(3)), kSpace};
  ReplyMessage reply = co_await pool.client.ask(std::move(message), request, 0);
  if (reply.code == Code::kNotFound) co_return;
  pool.world().expect(reply.code == Code::kOk, "a search for an actor fails: " + reply.text);
  pool.client.count_fresh(pool.life_of(ActorId{reply.number}));
  pool.actors.push_back(ActorId{reply.number});
}

void kill_actor(Pool& pool) {
  if (pool.actors.empty()) return;
  ActorId actor = pool.random().pick(pool.actors);
  bool no_restart = pool.random().chance(0.5);
  pool.world().actors.at(actor).ended = pool.world().actors.at(actor).crashed = true;
  pool.client.send(KillMessage{actor, no_restart});
}

void cancel(Pool& pool) {
  if (pool.objects.empty()) return;
  pool.world().any_cancelled = true;
  pool.client.send(
      CancelMessage{pool.random().pick(pool.objects), pool.random().chance(0.4), pool.random().chance(0.7)});
}

/// Reads a stream item by item, up to `ahead` before the one that it looks at.
Fiber<> read_stream(Pool& pool, TaskId id) {
  uint32_t ahead = static_cast<uint32_t>(pool.random().below(3)), asked = 0, next = 0;
  bool patient = pool.random().chance(0.7);
  auto item = [&](uint32_t index) { return pool.world().object(id, index); };
  for (bool more = true; more; ++next) {
    if (!patient && pool.random().chance(0.3)) break;
    for (; asked <= next + ahead; ++asked) {
      pool.client.send(TakeItemMessage{item(asked)});
      pool.client.count_fresh(item(asked));
    }
    std::vector<ObjectId> ids{item(next)};
    RequestId request = pool.client.next_request();
    UpMessage message = GetMessage{request, Interest::kValues, ids};
    ReplyMessage reply = co_await pool.client.ask(std::move(message), request, 0);
    pool.world().expect(reply.values.size() == 1, "an item is one value");
    if (reply.values[0].kind == PayloadKind::kStreamEnd) {
      pool.world().expect(next == pool.world().tasks.at(id).items, "a stream ends after its last item");
      more = false;
      continue;
    }
    Seen seen = pool.client.look_at(ids[0], reply.values[0]);
    pool.client.unpin(seen);
    more = seen.kind == PayloadKind::kValue;
  }
  for (uint32_t i = 0; i < asked; ++i) pool.client.release(item(i));
  if (!patient) pool.world().tasks.at(id).dropped = true;
  pool.client.send(DropStreamMessage{id});
}

Fiber<> stream(Pool& pool) {
  TaskId id = pool.client.next_task();
  TaskFacts facts = facts_for(pool);
  facts.returns = kStreaming;
  facts.max_retries = static_cast<int32_t>(pool.random().below(4)) - 1;
  facts.items = static_cast<uint32_t>(pool.random().below(6));
  TaskSpec spec = spec_for(pool, id, facts);
  spec.resources["CPU"] = kResourceUnit;
  spec.backpressure_items = static_cast<int32_t>(pool.random().below(4)) - 1;
  pool.world().tasks[id] = std::move(facts);
  pool.client.send(SubmitMessage{{std::move(spec)}});
  co_await read_stream(pool, id);
}

Fiber<> act(Pool& pool) {
  World& world = pool.world();
  if (pool.depth == 0 && pool.random().chance(world.shape().groups)) {
    co_await use_group(pool);
    co_return;
  }
  bool may_submit = pool.depth < kDepthMax && world.tasks_made < world.shape().tasks_max;
  switch (pool.random().below(may_submit ? 20 : 9)) {
    case 0:
    case 1:
      co_await put(pool);
      break;
    case 2:
    case 3:
      if (pool.may_wait) co_await get(pool);
      break;
    case 4:
      if (pool.may_wait) co_await wait(pool);
      break;
    case 5:
      pool.release_one();
      break;
    case 6:
      co_await pool.client.sleep(pool.random().below(10'000));
      break;
    case 7:
      if (pool.random().chance(world.shape().cancel)) cancel(pool);
      break;
    case 8:
      if (pool.random().chance(world.shape().cancel)) kill_actor(pool);
      break;
    case 9:
      co_await create_actor(pool);
      break;
    case 10:
      co_await find_actor(pool);
      break;
    case 11:
    case 12:
      if (pool.may_wait) co_await stream(pool);
      break;
    case 13:
    case 14:
    case 15:
      call(pool);
      break;
    default:
      submit(pool);
  }
}

}  // namespace

// ---- threads ----------------------------------------------------------------------------------------

Fiber<> driver_thread(Client& driver, int) {
  Pool pool{driver, 0, true, {}, {}};
  for (int i = 0; i < driver.world().shape().actions; ++i) co_await act(pool);
  co_await get(pool);
  pool.release_all();
}

Fiber<> last_thread(Client& driver) {
  Pool pool{driver, 0, true, {}, {}};
  for (int i = 0; i < 3; ++i) {
    RequestId request = driver.next_request();
    UpMessage message = FindActorMessage{request, "name " + std::to_string(i), kSpace};
    ReplyMessage reply = co_await driver.ask(std::move(message), request, 0);
    if (reply.code != Code::kOk) continue;
    ActorId actor{reply.number};
    driver.count_fresh(pool.life_of(actor));
    pool.actors.push_back(actor);
    driver.world().actors.at(actor).ended = true;
    driver.send(KillMessage{actor, true});
  }
  pool.release_all();
}

// ---- tasks ------------------------------------------------------------------------------------------

namespace {

Located error_value(PayloadKind kind, const char* text) { return located_bytes(kind, text); }

/// The items of a stream, or the results: after them nothing of the task is held here any more.
Fiber<> answer(Worker& worker, std::shared_ptr<Execution> execution, Pool& pool, const TaskFacts& facts) {
  World& world = worker.world();
  std::vector<Located> values;
  TaskId id = execution->task();
  if (facts.returns == kStreaming) {
    for (uint32_t i = 0; i < facts.items; ++i) {
      Located value = co_await worker.make_value(world.object(id, i), pool.some(1), pages_for(pool));
      bool wanted = co_await worker.stream_item(execution, i, std::move(value));
      if (!wanted || execution->cancelled) break;
      if (pool.random().chance(world.shape().crash)) co_await worker.crash();
    }
    if (execution->cancelled) values.push_back(error_value(PayloadKind::kCancelled, "cancelled"));
  } else {
    for (int32_t i = 0; i < facts.returns; ++i) {
      ObjectId result = world.object(id, static_cast<uint32_t>(i));
      values.push_back(co_await worker.make_value(result, pool.some(2), pages_for(pool)));
    }
  }
  bool exit_after = facts.actor.is_nil() && pool.random().chance(0.05);
  worker.finish(*execution, std::move(values), false, exit_after);
  if (!facts.actor.is_nil() && !pool.objects.empty()) {
    worker.kept.push_back(pool.objects.back());  // the actor's state, for as long as it lives
    pool.objects.pop_back();
  }
  pool.release_all();
}

}  // namespace

Fiber<> task_body(Worker& worker, std::shared_ptr<Execution> execution) {
  World& world = worker.world();
  const TaskFacts& facts = world.tasks.at(execution->task());
  std::vector<Seen> arguments;
  for (size_t i = 0; i < facts.refs.size(); ++i) {
    arguments.push_back(worker.look_at(facts.refs[i], execution->run.values.at(i)));
    world.expect(arguments.back().kind == PayloadKind::kValue,
                 "a task does not begin with an error as argument");
  }
  Pool pool{worker, facts.depth, facts.may_wait, {}, {}};
  for (ObjectId inner : facts.nested) pool.add(inner);
  for (ActorId actor : facts.actors) {
    worker.hold(pool.life_of(actor));
    pool.actors.push_back(actor);
  }
  if (worker.random().chance(0.7)) co_await worker.sleep(worker.random().below(5'000));
  bool cancelled = execution->cancelled;
  for (uint64_t steps = worker.random().below(4); steps > 0 && !cancelled; --steps) {
    if (worker.random().chance(world.shape().crash)) co_await worker.crash();
    co_await act(pool);
    cancelled = execution->cancelled;
  }
  for (const Seen& seen : arguments) worker.unpin(seen);
  if (cancelled || worker.random().chance(world.shape().raise)) {
    TaskFacts& mine = world.tasks.at(execution->task());
    bool raised = !cancelled;
    mine.raised |= raised;
    if (mine.creates_actor) world.actors.at(mine.actor).ended = true;
    std::vector<Located> error{
        error_value(raised ? PayloadKind::kTaskError : PayloadKind::kCancelled, "it ended badly")};
    bool retriable = raised && worker.random().chance(0.5);
    mine.crashes += retriable;  // it takes one try as well
    worker.finish(*execution, std::move(error), retriable, false);
    pool.release_all();
    co_return;
  }
  co_await answer(worker, execution, pool, facts);
}

}  // namespace mobula::sim
