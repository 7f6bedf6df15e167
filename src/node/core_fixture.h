// What the tests of NodeCore share: a node whose messages, workers and disk are the test itself. After each
// fact the node checks itself and what it wants done is sorted into the members below.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "node/node_core.h"

namespace mobula {

class CoreFixture : public testing::Test {
 protected:
  static constexpr uint64_t kPage = 4096;
  explicit CoreFixture(double cpus = 2, uint64_t pages = 16) : core(options(cpus, pages)) {}

  static NodeCoreOptions options(double cpus, uint64_t pages) {
    NodeCoreOptions made;
    made.resources = {{"CPU", static_cast<int64_t>(cpus * kResourceUnit)}};
    made.arena_bytes = pages * kPage;
    made.session = 7;
    made.node_id = "here";
    return made;
  }

  // Facts
  void send(ClientId from, UpMessage message) {
    core.on_message(from, std::move(message), ++now, effects);
    sort();
  }
  void send(UpMessage message) { send(kDriver, std::move(message)); }
  void lose(WorkerId worker, const std::string& cause = "signal 9") {
    std::vector<TaskId> unstarted;
    for (const RunMessage& run : rings[worker]) unstarted.push_back(run.spec.id);
    rings.erase(worker);
    core.on_worker_lost(worker, unstarted, cause, ++now, effects);
    sort();
  }
  void tick(uint64_t after_us) {
    now += after_us;
    core.on_tick(now, effects);
    sort();
  }
  void start(WorkerId worker) {
    core.on_worker_started(worker, ++now, effects);
    sort();
  }
  void spilled(ObjectId id, const std::string& error = "") {
    core.on_spilled(id, error.empty() ? std::optional(DiskPlace{1, ++places}) : std::nullopt, error, ++now,
                    effects);
    sort();
  }
  void restored(ObjectId id, const std::string& error = "") {
    core.on_restored(id, error.empty(), error, ++now, effects);
    sort();
  }

  // Programs
  ObjectId object(TaskId task, uint32_t index = 0) const { return {task, index, 7}; }
  TaskId next(ClientId client = kDriver) { return make_task_id(client, ++ids); }
  TaskSpec spec(std::vector<ObjectId> refs = {}, ClientId from = kDriver) {
    TaskSpec made;
    made.id = next(from);
    made.name = "task";
    made.refs = std::move(refs);
    made.resources["CPU"] = kResourceUnit;
    return made;
  }
  /// Its first result, held by `from`.
  ObjectId submit(TaskSpec made, ClientId from = kDriver) {
    TaskId id = made.id;
    send(from, SubmitMessage{{std::move(made)}});
    return object(id);
  }
  ActorSpec actor_spec(int32_t restarts = 0, std::string name = "") {
    ActorSpec made;
    made.creation = spec();
    made.creation.resources.clear();
    made.creation.placement_resources["CPU"] = kResourceUnit;
    made.class_name = "Counter";
    made.name = std::move(name);
    made.space = "here";
    made.max_restarts = restarts;
    return made;
  }
  ActorId create(ActorSpec made, ClientId from = kDriver) {
    send(from, CreateActorMessage{++requests, std::move(made)});
    return ActorId{reply_to(requests, from).number};
  }
  /// An actor whose constructor has run, and its worker.
  std::pair<ActorId, WorkerId> living_actor(int32_t restarts = 0, std::string name = "") {
    ActorId actor = create(actor_spec(restarts, std::move(name)));
    WorkerId worker = where(object(TaskId{actor.value}));
    finish(worker);
    return {actor, worker};
  }
  ObjectId call(ActorId actor, std::vector<ObjectId> refs = {}, int32_t retries = 0,
                ClientId from = kDriver) {
    TaskSpec made = spec(std::move(refs), from);
    made.resources.clear();
    made.actor = actor;
    made.max_retries = retries;
    return submit(std::move(made), from);
  }
  ObjectId put(std::string text = "value") {
    ObjectId id = object(next());
    send(PutMessage{id, located_bytes(PayloadKind::kValue, std::move(text))});
    return id;
  }
  Located large(uint64_t pages, ClientId client = kDriver) {
    send(client, AllocateMessage{++requests, pages * kPage});
    ReplyMessage reply = reply_to(requests, client);
    EXPECT_EQ(reply.code, Code::kOk) << reply.text;
    Located value;
    value.in_arena = true;
    value.offset = reply.number;
    value.size = pages * kPage;
    return value;
  }
  ObjectId put_large(uint64_t pages) {
    ObjectId id = object(next());
    send(PutMessage{id, large(pages)});
    return id;
  }
  void release(std::vector<ObjectId> held, ClientId from = kDriver) {
    send(from, ReleaseMessage{std::move(held)});
  }
  void release_actor(ActorId actor, ClientId from = kDriver) { release({object(TaskId{actor.value})}, from); }
  RequestId ask(std::vector<ObjectId> wanted, ClientId from = kDriver,
                Interest interest = Interest::kValues) {
    send(from, GetMessage{++requests, interest, std::move(wanted)});
    return requests;
  }
  bool is_answered(RequestId request, ClientId from = kDriver) { return replies[from].contains(request); }
  ReplyMessage reply_to(RequestId request, ClientId from = kDriver) {
    EXPECT_TRUE(is_answered(request, from)) << "request " << request;
    ReplyMessage reply = replies[from][request];
    replies[from].erase(request);
    return reply;
  }
  /// What a get of one object gives at once; its view is dropped.
  Located get(ObjectId id) {
    ReplyMessage reply = reply_to(ask({id}));
    EXPECT_EQ(reply.values.size(), 1u);
    if (reply.values.empty()) return {};
    if (reply.values[0].in_arena) send(UnpinMessage{{id}});
    return reply.values[0];
  }
  PayloadKind kind_of(ObjectId id) { return get(id).kind; }

  // Workers
  /// The worker that was given the task of `id`.
  WorkerId where(ObjectId id) {
    for (auto& [worker, ring] : rings) {
      for (const RunMessage& run : ring) {
        if (run.spec.id == id.task) return worker;
      }
    }
    ADD_FAILURE() << "task " << to_hex(id.task.value) << " was given to nobody";
    return {};
  }
  bool is_given(ObjectId id) {
    for (auto& [worker, ring] : rings) {
      for (const RunMessage& run : ring) {
        if (run.spec.id == id.task) return true;
      }
    }
    return false;
  }
  RunMessage begin(WorkerId worker) {
    EXPECT_FALSE(rings[worker].empty());
    RunMessage run = rings[worker].front();
    rings[worker].pop_front();
    return run;
  }
  void done(WorkerId worker, const RunMessage& run, std::vector<Located> values, bool retriable = false,
            bool exit_after = false) {
    ClientId client{worker.value};
    std::vector<ObjectId> views;
    for (size_t i = 0; i < run.values.size(); ++i) {
      if (run.values[i].in_arena) views.push_back(run.value_ids[i]);
    }
    send(client,
         DoneMessage{run.spec.id, run.attempt, std::move(values), retriable, exit_after, "", 30'000'000});
    if (!views.empty()) send(client, UnpinMessage{views});
  }
  /// The next task of a worker runs and gives a small value for each result.
  RunMessage finish(WorkerId worker) {
    RunMessage run = begin(worker);
    std::vector<Located> values;
    for (int32_t i = 0; i < run.spec.returns; ++i) {
      values.push_back(located_bytes(PayloadKind::kValue, run.spec.name + " " + std::to_string(i)));
    }
    done(worker, run, std::move(values));
    return run;
  }
  void raise(WorkerId worker, bool retriable = false) {
    RunMessage run = begin(worker);
    done(worker, run, {located_bytes(PayloadKind::kTaskError, "ValueError")}, retriable);
  }
  void finish_all() {
    for (bool moved = true; moved;) {
      moved = false;
      std::vector<WorkerId> busy;
      for (auto& [worker, ring] : rings) {
        if (!ring.empty()) busy.push_back(worker);
      }
      for (WorkerId worker : busy) {
        if (!rings[worker].empty()) finish(worker), moved = true;
      }
    }
  }
  void expect_empty() {
    EXPECT_EQ(core.tasks().size(), 0u);
    EXPECT_EQ(core.tasks().streams(), 0u);
    EXPECT_EQ(core.requests(), 0u);
    EXPECT_EQ(core.store().size(), 0u);
    EXPECT_EQ(core.store().arena().used_bytes(), 0u);
    EXPECT_EQ(core.sched().queued(), 0u);
  }

  template <typename T>
  std::vector<T> told(WorkerId worker) {
    std::vector<T> found;
    for (auto& [to, message] : others) {
      if (to.value == worker.value && std::holds_alternative<T>(message))
        found.push_back(std::get<T>(message));
    }
    return found;
  }

  NodeCore core;
  NodeEffects effects;
  bool starts_workers = true, takes_back = true;
  std::map<WorkerId, std::deque<RunMessage>> rings;  // given and not begun
  std::map<ClientId, std::map<RequestId, ReplyMessage>> replies;
  std::vector<std::pair<ClientId, DownMessage>> others;
  std::vector<NodeEffects::Kill> kills;
  std::vector<StoreEffects::Write> writes;
  std::vector<StoreEffects::Read> reads;
  std::vector<std::pair<DiskPlace, uint64_t>> forgotten;
  std::vector<WorkerId> spawned;
  uint64_t now = 1'000'000, ids = 0, places = 0;
  RequestId requests = 0;

 private:
  template <typename T>
  static void move_to(std::vector<T>& to, std::vector<T>& from) {
    for (T& one : from) to.push_back(std::move(one));
  }
  void sort() {
    core.check();
    while (!effects.empty()) {
      NodeEffects taken = std::exchange(effects, {});
      for (auto& [worker, run] : taken.runs) rings[worker].push_back(std::move(run));
      for (auto& [client, message] : taken.replies) {
        if (auto* reply = std::get_if<ReplyMessage>(&message)) {
          EXPECT_FALSE(replies[client].contains(reply->request)) << "answered twice";
          replies[client][reply->request] = *reply;
        } else {
          others.emplace_back(client, std::move(message));
        }
      }
      move_to(kills, taken.kills);
      move_to(writes, taken.writes);
      move_to(reads, taken.reads);
      move_to(forgotten, taken.forgotten);
      for (WorkerId worker : taken.take_back) give_back(worker);
      for (WorkerId worker : taken.spawned) {
        spawned.push_back(worker);
        if (starts_workers) core.on_worker_started(worker, now, effects);
      }
      core.check();
    }
  }
  void give_back(WorkerId worker) {
    std::vector<TaskId> tasks;
    for (const RunMessage& run : rings[worker]) {
      if (takes_back) tasks.push_back(run.spec.id);
    }
    if (takes_back) rings[worker].clear();
    core.on_taken_back(worker, tasks, now, effects);
  }
};

}  // namespace mobula
