// What the contract tests of engine.h share: a small embedded engine whose workers are this test program
// again, running the functions of engine_world.cc; and the promise that nothing is left at the end.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/embedded/embedded.h"

namespace mobula {

constexpr auto kSoon = std::chrono::seconds(30);

/// Polls until `holds()`; false when that takes longer than `limit`.
template <typename Holds>
bool eventually(Holds holds, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  auto until = std::chrono::steady_clock::now() + limit;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// Options of an engine whose workers run engine_world.cc.
EmbeddedOptions world_options();

class EngineWorld : public testing::Test {
 protected:
  virtual EmbeddedOptions options() { return world_options(); }
  void SetUp() override {
    auto opened = open_embedded(options());
    ASSERT_TRUE(opened.is_ok()) << opened.status().to_string();
    owner = *std::move(opened);
  }
  void TearDown() override {
    if (owner == nullptr) return;
    if (!stopped && !HasFailure()) expect_empty();
    owner->stop();
  }
  Engine& engine() { return *owner; }

  /// Everything was released: nothing is held, pinned or in the arena any more.
  void expect_empty() {
    auto is_empty = [&] {
      EngineStats stats = engine().stats();
      return stats.objects + stats.objects_pinned + stats.arena_used_bytes + stats.tasks + stats.actors == 0;
    };
    EXPECT_TRUE(eventually(is_empty)) << *engine().snapshot("objects") << *engine().snapshot("tasks");
  }

  TaskSpec spec(std::string name, std::string args = {}, std::vector<ObjectId> refs = {}) {
    TaskSpec made;
    made.name = std::move(name);
    made.args = std::move(args);
    made.refs = std::move(refs);
    made.language = Language::kCpp;
    made.resources["CPU"] = kResourceUnit;
    return made;
  }
  ObjectId object(TaskId task, uint32_t index = 0) { return {task, index, engine().session()}; }
  ObjectId submit(TaskSpec made) {
    std::vector<TaskSpec> batch;
    batch.push_back(std::move(made));
    auto ids = engine().submit(std::move(batch));
    EXPECT_TRUE(ids.is_ok());
    return object(ids->at(0));
  }
  ObjectId task(std::string name, std::string args = {}, std::vector<ObjectId> refs = {}) {
    return submit(spec(std::move(name), std::move(args), std::move(refs)));
  }
  ActorId actor(std::string args = {}, int32_t restarts = 0, int32_t concurrency = 1) {
    ActorSpec made;
    made.creation = spec("construct", std::move(args));
    made.creation.placement_resources = std::exchange(made.creation.resources, {});
    made.class_name = "Counter";
    made.max_restarts = restarts;
    made.max_concurrency = concurrency;
    made.ordered = concurrency == 1;
    auto found = engine().create_actor(std::move(made));
    EXPECT_TRUE(found.is_ok()) << found.status().to_string();
    return found->id;
  }
  ObjectId call(ActorId actor, std::string method, std::string args = {}, int32_t retries = 0) {
    TaskSpec made = spec(std::move(method), std::move(args));
    made.resources.clear();
    made.actor = actor;
    made.max_retries = retries;
    std::vector<TaskSpec> batch;
    batch.push_back(std::move(made));
    return object(engine().call(std::move(batch))->at(0));
  }
  ObjectId put_large(size_t bytes, uint8_t fill) {
    auto buffer = engine().allocate(bytes, Deadline::after(kSoon));
    EXPECT_TRUE(buffer.is_ok()) << buffer.status().to_string();
    std::fill(buffer->data().begin(), buffer->data().end(), fill);
    Value value;
    value.buffer = *std::move(buffer);
    return *engine().put(std::move(value));
  }
  Result<Payload> get(ObjectId id, std::chrono::nanoseconds limit = kSoon) {
    auto got = engine().get({&id, 1}, Deadline::after(limit));
    if (!got.is_ok()) return got.status();
    return std::move(got->at(0));
  }
  /// The value as text, or what is wrong with it; the reference is given back.
  std::string text(ObjectId id) {
    std::string read = peek(id);
    engine().release(id);
    return read;
  }
  std::string peek(ObjectId id) {
    Result<Payload> payload = get(id);
    if (!payload.is_ok()) return payload.status().to_string();
    std::string bytes(payload->data.begin(), payload->data.end());
    if (payload->kind == PayloadKind::kValue) return bytes;
    return "error " + std::to_string(static_cast<int>(payload->kind)) + ": " + bytes;
  }

  std::unique_ptr<EmbeddedEngine> owner;
  bool stopped = false;
};

}  // namespace mobula
