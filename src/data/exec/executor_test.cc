// Executor: whole runs in a world where everything happens in an order drawn from a seed, and single
// decisions.
#include "data/exec/executor.h"

#include <algorithm>
#include <random>
#include <set>

#include "gtest/gtest.h"

namespace mobula::data {
namespace {

constexpr int64_t kMb = 1 << 20;
constexpr int64_t kRowsPerBlock = 10;

struct Behaviour {
  int32_t blocks_per_bundle = 1;
  int64_t block_bytes = kMb;
  double fails = 0;  // share of bundles that end in an error of the user's
  double loses = 0;  // share of answers in whose place the worker dies
};

/// Engine, workers and consumer in one: performs effects, and feeds facts back in a seeded order.
class World {
 public:
  World(Plan plan, ExecutorOptions options, std::map<OpIndex, std::vector<BlockRef>> inputs, uint64_t seed)
      : plan_(std::move(plan)),
        executor_(plan_, options, std::move(inputs)),
        options_(options),
        random_(seed) {
    behaviours_.resize(plan_.operators.size());
  }

  Behaviour& behaviour(OpIndex op) { return behaviours_[op]; }
  Executor& executor() { return executor_; }

  void run(int64_t takes_max = -1) {
    Effects effects;
    executor_.start(now_, effects);
    perform(effects);
    for (int step = 0; step < 200000 && (!executor_.ended() || (finished_ && !untaken_.empty())); ++step) {
      Effects next;
      ASSERT_TRUE(step_once(next)) << "nothing is under way and the run has not ended";
      perform(next);
      if (takes_max >= 0 && static_cast<int64_t>(taken_.size()) >= takes_max) break;
    }
    Effects last;
    executor_.stop(last);
    perform(last);
    executor_.check();
  }

  /// Runs until nothing is under way.
  void run_until_still() {
    Effects effects;
    executor_.start(now_, effects);
    perform(effects);
    while (true) {
      Effects next;
      if (!step_once(next)) return;
      perform(next);
    }
  }

  /// Everything that was made is gone but for what the consumer took.
  void expect_nothing_left() {
    for (const BlockRef& block : untaken_) alive_.erase(block.object);
    for (const BlockRef& block : taken_) alive_.erase(block.object);
    for (const auto& [number, stream] : streams_) {
      for (ObjectId object : stream.unread) alive_.erase(object);
    }
    EXPECT_TRUE(alive_.empty()) << alive_.size() << " blocks were never released";
    EXPECT_TRUE(actors_.empty());
    for (const auto& [number, stream] : streams_) EXPECT_TRUE(stream.dropped) << "task " << number;
  }

  int64_t rows_taken() const {
    int64_t rows = 0;
    for (const BlockRef& block : taken_) rows += block.wanted_rows();
    return rows;
  }

  std::vector<BlockRef> taken_;
  int64_t peak_bytes_ = 0;
  size_t actors_peak_ = 0;
  bool finished_ = false;
  std::optional<Failure> failed_;
  std::set<OpIndex> ran_;
  bool consumer_sleeps_ = false;

 private:
  struct Stream {
    TaskStart start;
    size_t bundle = 0;
    int32_t given = 0;  // of the bundle
    int32_t asked = 0;
    bool dropped = false;
    std::vector<ObjectId> unread;
  };

  void perform(const Effects& effects) {
    for (const TaskDrop& drop : effects.drops) streams_.at(drop.task).dropped = true;
    for (ActorNumber actor : effects.actor_stops)
      EXPECT_EQ(actors_.erase(actor) + starting_.erase(actor), 1u);
    for (const ActorStart& start : effects.actor_starts) starting_.insert(start.actor);
    for (const TaskStart& start : effects.starts) {
      EXPECT_FALSE(start.bundles.empty());
      EXPECT_TRUE(start.actor == kNoActor || actors_.contains(start.actor));
      ran_.insert(start.op);
      streams_.emplace(start.task, Stream{start, 0, 0, 0, false, {}});
    }
    for (const Pull& pull : effects.pulls) {
      EXPECT_EQ(streams_.at(pull.task).asked, 0);
      EXPECT_GT(pull.items, 0);
      streams_.at(pull.task).asked = pull.items;
    }
    for (const BlockRef& block : effects.outputs) untaken_.push_back(block);
    for (ObjectId object : effects.releases) {
      EXPECT_TRUE(object.index >= 1000000 || alive_.erase(object) == 1) << "released twice";
    }
    finished_ = finished_ || effects.finished;
    if (effects.failed) failed_ = effects.failed;
    peak_bytes_ = std::max(peak_bytes_, executor_.memory_bytes());
    actors_peak_ = std::max(actors_peak_, actors_.size() + starting_.size());
    executor_.check();
  }

  bool step_once(Effects& out) {
    now_ += 1;
    std::vector<TaskNumber> ready;
    for (const auto& [number, stream] : streams_) {
      if (stream.asked > 0 && !stream.dropped) ready.push_back(number);
    }
    bool can_take = !untaken_.empty() && !consumer_sleeps_;
    size_t choices = ready.size() + starting_.size() + (can_take ? 1 : 0);
    if (choices == 0) return false;
    size_t choice = random_() % choices;
    if (choice < ready.size()) {
      answer(ready[choice], out);
    } else if (choice < ready.size() + starting_.size()) {
      ActorNumber actor = *std::next(starting_.begin(), static_cast<long>(choice - ready.size()));
      starting_.erase(actor);
      actors_.insert(actor);
      executor_.on_actor_standing(actor, now_, out);
    } else {
      BlockRef block = untaken_.front();
      untaken_.erase(untaken_.begin());
      taken_.push_back(block);
      executor_.on_taken(block, now_, out);
    }
    return true;
  }

  bool chance(double share) { return std::uniform_real_distribution<>(0, 1)(random_) < share; }

  void answer(TaskNumber number, Effects& out) {
    Stream& stream = streams_.at(number);
    OpIndex op = stream.start.op;
    const Behaviour& behaviour = behaviours_[op];
    --stream.asked;
    if (chance(behaviour.loses)) {
      stream.dropped = true;
      return executor_.on_task_lost(number, 7, true, now_, out);
    }
    const Bundle& bundle = stream.start.bundles[stream.bundle];
    Item item;
    item.bundle = static_cast<uint32_t>(stream.bundle);
    item.busy_ms = 1;
    if (chance(behaviour.fails)) {
      item.kind = ItemKind::kFailure;
      item.last = true;
      item.detail = 9;
    } else {
      int64_t skipped =
          bundle.rows_delivered / kRowsPerBlock;  // a new attempt goes on where the last one ended
      item.object = ObjectId{TaskId{next_object_++}, 0, 0};
      item.rows = kRowsPerBlock;
      item.bytes = behaviour.block_bytes;
      item.last = stream.given + skipped + 1 >= behaviour.blocks_per_bundle;
      alive_.insert(item.object);
    }
    ++stream.given;
    if (item.last) {
      ++stream.bundle;
      stream.given = 0;
    }
    executor_.on_item(number, item, now_, out);
  }

  Plan plan_;
  Executor executor_;
  ExecutorOptions options_;
  std::mt19937_64 random_;
  std::vector<Behaviour> behaviours_;
  std::map<TaskNumber, Stream> streams_;
  std::set<ActorNumber> starting_, actors_;
  std::set<ObjectId> alive_;
  std::vector<BlockRef> untaken_;
  uint64_t next_object_ = 1;
  double now_ = 0;
};

Operator op_of(OpKind kind, std::vector<OpIndex> upstream) {
  Operator op;
  op.name = "op";
  op.kind = kind;
  op.upstream = std::move(upstream);
  return op;
}

Operator input() { return op_of(OpKind::kInput, {}); }

Operator map_op(OpIndex from, double cpus = 1) {
  Operator op = op_of(OpKind::kMap, {from});
  op.resources = {{"CPU", static_cast<int64_t>(cpus * kResourceUnit)}};
  return op;
}

Operator pool_op(OpIndex from, int32_t min, int32_t max, double cpus = 1) {
  Operator op = map_op(from, cpus);
  op.pool = ActorPool{min, max, min, 2};
  return op;
}

Operator limit_op(OpIndex from, int64_t rows) {
  Operator op = op_of(OpKind::kLimit, {from});
  op.rows_limit = rows;
  return op;
}

std::vector<BlockRef> literals(uint32_t count) {
  std::vector<BlockRef> blocks(count);
  for (uint32_t i = 0; i < count; ++i) blocks[i].literal = i;
  return blocks;
}

ExecutorOptions options(double cpus, int64_t memory = 64 * kMb) {
  ExecutorOptions options;
  options.memory_bytes_max = memory;
  options.resources = {{"CPU", static_cast<int64_t>(cpus * kResourceUnit)}};
  return options;
}

Plan plan_of(std::vector<Operator> operators) {
  Plan plan{std::move(operators)};
  EXPECT_TRUE(plan.check().is_ok()) << plan.check().message();
  return plan;
}

TEST(Executor, runs_every_input_through_every_operator_and_leaves_nothing) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    World world(plan_of({input(), map_op(0), pool_op(1, 1, 2), map_op(2, 0.5)}), options(3),
                {{0, literals(40)}}, seed);
    world.behaviour(1).blocks_per_bundle = 3;
    world.run();
    EXPECT_TRUE(world.finished_);
    EXPECT_EQ(world.taken_.size(), 120u);
    world.expect_nothing_left();
  }
}

TEST(Executor, keeps_the_order_of_the_input_when_asked) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    ExecutorOptions ordered = options(4);
    ordered.preserve_order = true;
    World world(plan_of({input(), map_op(0), pool_op(1, 2, 2)}), ordered, {{0, literals(30)}}, seed);
    world.behaviour(1).blocks_per_bundle = 2;
    world.behaviour(1).loses = 0.02;
    world.run();
    ASSERT_EQ(world.taken_.size(), 60u);
    EXPECT_TRUE(std::is_sorted(world.taken_.begin(), world.taken_.end(),
                               [](const BlockRef& a, const BlockRef& b) { return a.order < b.order; }));
    world.expect_nothing_left();
  }
}

TEST(Executor, order_keys_restore_the_order_of_an_unordered_run) {
  World world(plan_of({input(), map_op(0)}), options(4), {{0, literals(20)}}, 3);
  world.run();
  std::set<OrderKey> keys;
  for (const BlockRef& block : world.taken_) keys.insert(block.order);
  EXPECT_EQ(keys.size(), 20u);
  EXPECT_EQ(*keys.begin(), (OrderKey{0, 0}));
  EXPECT_EQ(*keys.rbegin(), (OrderKey{19, 0}));
}

TEST(Executor, stays_within_its_memory_while_a_slow_operator_holds_the_others_up) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    World world(plan_of({input(), map_op(0), pool_op(1, 1, 1)}), options(3, 40 * kMb), {{0, literals(50)}},
                seed);
    world.behaviour(1).block_bytes = 8 * kMb;
    world.behaviour(2).block_bytes = 8 * kMb;
    world.run();
    EXPECT_EQ(world.taken_.size(), 50u);
    EXPECT_LE(world.peak_bytes_, 56 * kMb);
  }
}

TEST(Executor, waits_for_a_consumer_who_takes_nothing) {
  World world(plan_of({input(), map_op(0)}), options(2, 16 * kMb), {{0, literals(1000)}}, 1);
  world.behaviour(1).block_bytes = 4 * kMb;
  world.consumer_sleeps_ = true;
  world.run_until_still();
  EXPECT_FALSE(world.executor().ended());
  EXPECT_LE(world.peak_bytes_, 24 * kMb);
}

TEST(Executor, makes_progress_on_one_cpu_that_an_upstream_task_holds) {
  World world(plan_of({input(), map_op(0), map_op(1)}), options(1, 8 * kMb), {{0, literals(3)}}, 5);
  world.behaviour(1).blocks_per_bundle = 20;
  world.behaviour(1).block_bytes = 4 * kMb;
  world.run();
  EXPECT_EQ(world.taken_.size(), 60u);
  world.expect_nothing_left();
}

TEST(Executor, runs_two_pools_in_a_row_on_one_cpu_after_each_other) {
  World world(plan_of({input(), map_op(0), pool_op(1, 1, 1), pool_op(2, 1, 1)}), options(1),
              {{0, literals(5)}}, 5);
  world.run();
  EXPECT_EQ(world.taken_.size(), 5u);
  world.expect_nothing_left();
}

TEST(Executor, leaves_a_cpu_for_the_readers_of_a_pool_that_would_take_all) {
  World world(plan_of({input(), map_op(0), pool_op(1, 2, 2)}), options(2), {{0, literals(8)}}, 5);
  world.run();
  EXPECT_EQ(world.taken_.size(), 8u);
  EXPECT_LE(world.actors_peak_, 2u);
  world.expect_nothing_left();
}

TEST(Executor, grows_a_pool_under_load_and_not_beyond_its_maximum) {
  Operator pool = pool_op(0, 1, 3);
  World world(plan_of({input(), pool}), options(8), {{0, literals(200)}}, 2);
  world.run();
  EXPECT_EQ(world.actors_peak_, 3u);
  EXPECT_EQ(world.taken_.size(), 200u);
}

TEST(Executor, a_limit_cuts_its_last_block_and_ends_what_feeds_it) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    World world(plan_of({input(), map_op(0), limit_op(1, 25), map_op(2)}), options(3), {{0, literals(500)}},
                seed);
    world.run();
    EXPECT_TRUE(world.finished_);
    EXPECT_EQ(world.executor().state(2).counters.rows, 25);
    EXPECT_LT(world.executor().state(1).counters.bundles, 50);
    world.expect_nothing_left();
  }
}

TEST(Executor, a_limit_of_nothing_runs_nothing) {
  World world(plan_of({input(), map_op(0), limit_op(1, 0)}), options(3), {{0, literals(5)}}, 1);
  world.run();
  EXPECT_TRUE(world.finished_);
  EXPECT_TRUE(world.ran_.empty());
}

TEST(Executor, a_union_gives_the_blocks_of_all_branches_in_order_when_asked) {
  Operator united = op_of(OpKind::kUnion, {1, 3});
  for (bool ordered : {false, true}) {
    ExecutorOptions settings = options(3);
    settings.preserve_order = ordered;
    World world(plan_of({input(), map_op(0), input(), map_op(2), united}), settings,
                {{0, literals(7)}, {2, literals(9)}}, 4);
    world.run();
    EXPECT_EQ(world.taken_.size(), 16u);
    if (ordered) {
      EXPECT_TRUE(std::is_sorted(world.taken_.begin(), world.taken_.end(),
                                 [](const BlockRef& a, const BlockRef& b) { return a.order < b.order; }));
    }
    world.expect_nothing_left();
  }
}

TEST(Executor, the_first_failure_of_the_users_ends_the_run) {
  World world(plan_of({input(), map_op(0), pool_op(1, 1, 1)}), options(3), {{0, literals(50)}}, 8);
  world.behaviour(2).fails = 0.2;
  world.run();
  ASSERT_TRUE(world.failed_.has_value());
  EXPECT_EQ(world.failed_->op, 2u);
  EXPECT_EQ(world.failed_->detail, 9u);
  world.expect_nothing_left();
}

TEST(Executor, tolerates_as_many_failures_as_allowed) {
  ExecutorOptions lenient = options(3);
  lenient.failures_max = -1;
  World world(plan_of({input(), map_op(0)}), lenient, {{0, literals(200)}}, 8);
  world.behaviour(1).fails = 0.1;
  world.run();
  EXPECT_TRUE(world.finished_);
  EXPECT_GT(world.executor().failures(), 5);
  EXPECT_EQ(static_cast<int64_t>(world.taken_.size()), 200 - world.executor().failures());
  world.expect_nothing_left();
}

TEST(Executor, goes_on_where_a_lost_worker_left_off) {
  for (uint64_t seed = 0; seed < 30; ++seed) {
    ExecutorOptions patient = options(3);
    patient.retries_max = 1000;
    World world(plan_of({input(), map_op(0), pool_op(1, 1, 2)}), patient, {{0, literals(20)}}, seed);
    world.behaviour(1).blocks_per_bundle = 5;
    world.behaviour(1).loses = 0.1;
    world.behaviour(2).loses = 0.1;
    world.run();
    EXPECT_EQ(world.rows_taken(), 20 * 5 * kRowsPerBlock);
    world.expect_nothing_left();
  }
}

TEST(Executor, gives_up_on_an_input_that_kills_every_worker) {
  World world(plan_of({input(), map_op(0)}), options(2), {{0, literals(3)}}, 1);
  world.behaviour(1).loses = 1;
  world.run();
  ASSERT_TRUE(world.failed_.has_value());
  EXPECT_EQ(world.failed_->detail, 7u);
  world.expect_nothing_left();
}

TEST(Executor, a_constructor_that_raises_ends_the_run) {
  Plan plan = plan_of({input(), pool_op(0, 1, 1)});
  Executor executor(plan, options(2), {{0, literals(3)}});
  Effects out;
  executor.start(0, out);
  ASSERT_EQ(out.actor_starts.size(), 1u);
  ActorNumber actor = out.actor_starts[0].actor;
  out.clear();
  executor.on_actor_lost(actor, 5, true, 1, out);
  ASSERT_TRUE(out.failed.has_value());
  EXPECT_EQ(out.failed->detail, 5u);
  EXPECT_TRUE(executor.ended());
  executor.check();
}

TEST(Executor, releases_everything_when_the_consumer_leaves_early) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    World world(plan_of({input(), map_op(0), pool_op(1, 1, 2)}), options(3), {{0, literals(100)}}, seed);
    world.behaviour(1).blocks_per_bundle = 4;
    world.run(7);
    EXPECT_FALSE(world.finished_);
    world.expect_nothing_left();
  }
}

TEST(Executor, gathers_blocks_to_the_rows_that_a_bundle_needs) {
  Operator gather = map_op(1);
  gather.rows_per_bundle = 35;
  World world(plan_of({input(), map_op(0), gather}), options(2), {{0, literals(9)}}, 1);
  world.run();
  EXPECT_EQ(world.taken_.size(), 3u);  // 40, 40 and the last 10 rows
}

TEST(Executor, short_bundles_come_to_share_a_task) {
  World world(plan_of({input(), map_op(0)}), options(2), {{0, literals(1000)}}, 1);
  world.behaviour(1).block_bytes = 100;
  world.run();
  EXPECT_EQ(world.taken_.size(), 1000u);
  EXPECT_LT(world.executor().state(1).counters.tasks, 250);
}

TEST(Executor, passes_blocks_that_exist_without_counting_them_as_its_own) {
  std::vector<BlockRef> blocks(4);
  for (uint32_t i = 0; i < 4; ++i) {
    blocks[i].object = ObjectId{TaskId{1}, 1000000 + i, 0};
    blocks[i].rows = 10;
    blocks[i].bytes = kMb;
  }
  World world(plan_of({input(), limit_op(0, 15)}), options(2), {{0, blocks}}, 1);
  world.run();
  EXPECT_EQ(world.rows_taken(), 15);
  EXPECT_EQ(world.peak_bytes_, 0);
}

TEST(Plan, refuses_what_is_no_tree) {
  EXPECT_FALSE((Plan{}).check().is_ok());
  EXPECT_FALSE((Plan{{input(), map_op(0), map_op(0)}}).check().is_ok());
  EXPECT_FALSE((Plan{{map_op(0)}}).check().is_ok());
  EXPECT_FALSE((Plan{{input(), pool_op(0, 3, 2)}}).check().is_ok());
}

}  // namespace
}  // namespace mobula::data
