// Many threads at one engine: waiting, calling back, stopping.
#include <atomic>
#include <random>

#include "engine_world.h"

namespace mobula {
namespace {

class EngineThreads : public EngineWorld {};

TEST_F(EngineThreads, CallbacksComeOnceForEachAndAlsoWhileOthersWait) {
  ObjectId never = task("sleep", "60000");
  std::thread waiting([&] { (void)get(never); });
  std::vector<ObjectId> ids;
  std::vector<std::atomic<int>> called(300);
  for (size_t i = 0; i < called.size(); ++i) {
    ids.push_back(task(i % 3 == 0 ? "raise" : "echo", "x"));
    engine().on_ready({&ids[i], 1}, [&called, i] { ++called[i]; });
  }
  auto all = [&] {
    return std::all_of(called.begin(), called.end(), [](auto& count) { return count.load() == 1; });
  };
  EXPECT_TRUE(eventually(all));
  ASSERT_TRUE(engine().cancel(never, {}).is_ok());
  waiting.join();
  for (ObjectId id : ids) engine().release(id);
  engine().release(never);
  EXPECT_TRUE(all());
}

TEST_F(EngineThreads, ACallbackMaySubmitAndReleaseButNeverMeetsItsCallersLocks) {
  std::atomic<int> left = 50;
  std::atomic<bool> ended = false;
  std::function<void()> next = [&] {
    if (left.fetch_sub(1) <= 0) return ended.store(true);
    ObjectId id = task("echo", "x");
    engine().on_ready({&id, 1}, [this, id, &next] {
      engine().release(id);
      next();
    });
  };
  next();
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
}

/// What one of several threads does for a while.
void work(EngineWorld*, Engine& engine, uint64_t seed, int rounds) {
  std::mt19937_64 random(seed);
  std::vector<ObjectId> held;
  for (int i = 0; i < rounds; ++i) {
    TaskSpec spec;
    spec.name = random() % 4 == 0 ? "nested" : "echo";
    spec.args = std::to_string(i);
    spec.resources["CPU"] = kResourceUnit;
    if (!held.empty() && random() % 3 == 0) spec.refs = {held[random() % held.size()]};
    std::vector<TaskSpec> batch;
    batch.push_back(std::move(spec));
    held.push_back({engine.submit(std::move(batch))->at(0), 0, engine.session()});
    if (random() % 8 == 0) {
      auto buffer = engine.allocate(300'000, Deadline::after(kSoon));
      ASSERT_TRUE(buffer.is_ok());
      Value value;
      value.buffer = *std::move(buffer);
      held.push_back(*engine.put(std::move(value)));
    }
    if (random() % 3 == 0) {
      auto deadline = random() % 2 == 0 ? Deadline::after(std::chrono::microseconds(random() % 300))
                                        : Deadline::after(kSoon);
      auto got = engine.get({&held[random() % held.size()], 1}, deadline);
      ASSERT_TRUE(got.is_ok() || got.status().code() == Code::kTimeout) << got.status().to_string();
    }
    if (random() % 5 == 0) {
      auto ready =
          engine.wait(held, 1 + random() % held.size(), Deadline::after(std::chrono::milliseconds(1)), true);
      ASSERT_TRUE(ready.is_ok());
    }
    while (held.size() > 20) {
      engine.release(held.front());
      held.erase(held.begin());
    }
  }
  for (ObjectId id : held) engine.release(id);
}

TEST_F(EngineThreads, ThreadsDoNotDisturbEachOther) {
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 3; ++i) threads.emplace_back([&, i] { work(this, engine(), i, 300); });
  for (std::thread& thread : threads) thread.join();
}

TEST_F(EngineThreads, TwoThreadsThatReadTheSameStreamOfCallsSeeTheirOwnOrder) {
  ActorId counter = actor();
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      int64_t last = 0;
      for (int round = 0; round < 300; ++round) {
        int64_t now = std::stol(text(call(counter, "add", "1")));
        EXPECT_GT(now, last);
        last = now;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(text(call(counter, "add", "0")), "600");
  engine().release_actor(counter);
}

TEST_F(EngineThreads, StopEndsAllThatWait) {
  ObjectId never = task("sleep", "60000");
  std::atomic<int> called = 0, cancelled = 0;
  engine().on_ready({&never, 1}, [&] { ++called; });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto got = engine().get({&never, 1}, i % 2 == 0 ? Deadline::never() : Deadline::after(kSoon));
      cancelled += got.status().code() == Code::kCancelled;
    });
  }
  std::thread busy([&] {
    for (int i = 0; i < 10'000; ++i) {
      std::vector<TaskSpec> batch;
      batch.push_back(spec("echo", "x"));
      auto ids = engine().submit(std::move(batch));
      if (ids.is_ok()) engine().release(object(ids->at(0)));
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  owner->stop();
  owner->stop();
  for (std::thread& thread : threads) thread.join();
  busy.join();
  EXPECT_EQ(cancelled.load(), 4);
  EXPECT_EQ(called.load(), 1);
  engine().on_ready({&never, 1}, [&] { ++called; });
  EXPECT_EQ(called.load(), 2);
  EXPECT_EQ(get(never).status().code(), Code::kCancelled);
  EXPECT_EQ(engine().allocate(10, Deadline::never()).status().code(), Code::kCancelled);
  stopped = true;
}

TEST_F(EngineThreads, ViewsOutliveTheEngine) {
  ObjectId id = put_large(1 << 20, 3);
  auto payload = get(id);
  ASSERT_TRUE(payload.is_ok());
  owner->stop();
  owner.reset();
  EXPECT_EQ(payload->data[100], 3);
  payload = Status(Code::kCancelled, "dropped after its engine");
  stopped = true;
}

TEST(EngineLife, ManyEnginesOneAfterTheOtherAndTwoAtOnce) {
  for (int i = 0; i < 5; ++i) {
    auto one = open_embedded(world_options()), two = open_embedded(world_options());
    ASSERT_TRUE(one.is_ok() && two.is_ok());
    EXPECT_NE((*one)->session(), (*two)->session());
  }
}

}  // namespace
}  // namespace mobula
