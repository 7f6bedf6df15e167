// A group whose ranks are threads over one segment: results, arrays of many chunks, calls that do not match,
// members that end.
#include "collective/group.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <numeric>
#include <thread>

namespace mobula::collective {
namespace {

using Floats = std::vector<double>;
Interrupted never() { return {}; }

std::span<uint8_t> bytes(Floats& values) {
  return {reinterpret_cast<uint8_t*>(values.data()), values.size() * sizeof(double)};
}

/// Ranks that share memory; `ended` says who is dead.
class World {
 public:
  explicit World(uint32_t ranks, int timeout_ms = 20'000) : ended_(ranks) {
    memory_ = std::move(*create_shared_memory("group-test", GroupMemory::bytes(ranks)));
    for (uint32_t rank = 0; rank < ranks; ++rank) {
      Mapping mapping = std::move(*Mapping::open(memory_.get(), GroupMemory::bytes(ranks), true));
      if (rank == 0) Group::lay_out(mapping.data(), ranks);
      GroupOptions options{"test", ranks, rank, std::chrono::milliseconds(timeout_ms)};
      groups_.push_back(std::make_unique<Group>(options, std::move(mapping),
                                                [this](uint32_t other) { return ended_[other].load(); }));
    }
  }
  Group& group(uint32_t rank) { return *groups_[rank]; }
  void end(uint32_t rank) { ended_[rank] = true; }

  /// Runs `body` for the ranks from `first` on, each on a thread, and gives their answers.
  std::vector<Status> run(const std::function<Status(Group&, uint32_t)>& body, uint32_t first = 0) {
    std::vector<Status> answers(groups_.size());
    std::vector<std::thread> threads;
    for (uint32_t rank = first; rank < groups_.size(); ++rank)
      threads.emplace_back([&, rank] { answers[rank] = body(*groups_[rank], rank); });
    for (std::thread& thread : threads) thread.join();
    return answers;
  }

 private:
  Descriptor memory_;
  std::vector<std::atomic<bool>> ended_;
  std::vector<std::unique_ptr<Group>> groups_;
};

void expect_ok(const std::vector<Status>& answers) {
  for (const Status& answer : answers) EXPECT_TRUE(answer.is_ok()) << answer.to_string();
}

/// Sizes around the bounds of chunks: nothing, one, whole and shared combining, several rounds.
class GroupSizeTest : public testing::TestWithParam<std::tuple<uint32_t, size_t>> {
 protected:
  uint32_t ranks() { return std::get<0>(GetParam()); }
  size_t count() { return std::get<1>(GetParam()); }
  Floats values(uint32_t rank) {
    Floats out(count());
    std::iota(out.begin(), out.end(), rank * 1000.0);
    return out;
  }
  Floats sum() {
    Floats out(count());
    for (uint32_t rank = 0; rank < ranks(); ++rank) {
      for (size_t i = 0; i < out.size(); ++i) out[i] += rank * 1000.0 + static_cast<double>(i);
    }
    return out;
  }
};

TEST_P(GroupSizeTest, AllReduceGivesEverybodyTheSum) {
  World world(ranks());
  Floats expected = count() ? sum() : Floats();
  std::vector<Floats> data(ranks());
  expect_ok(world.run([&](Group& group, uint32_t rank) -> Status {
    for (int again = 0; again < 3; ++again) {
      data[rank] = values(rank);
      TRY(group.all_reduce(bytes(data[rank]), ElementType::kFloat64, ReduceOp::kSum, never()));
    }
    return Status::ok();
  }));
  for (const Floats& got : data) EXPECT_EQ(got, expected);
}

TEST_P(GroupSizeTest, ReduceChangesTheRootAlone) {
  World world(ranks());
  uint32_t root = ranks() - 1;
  Floats expected = count() ? sum() : Floats();
  std::vector<Floats> data(ranks());
  expect_ok(world.run([&](Group& group, uint32_t rank) {
    data[rank] = values(rank);
    return group.reduce(bytes(data[rank]), ElementType::kFloat64, ReduceOp::kSum, root, never());
  }));
  for (uint32_t rank = 0; rank < ranks(); ++rank)
    EXPECT_EQ(data[rank], rank == root ? expected : values(rank));
}

TEST_P(GroupSizeTest, BroadcastAllGatherAndReduceScatterAgree) {
  World world(ranks());
  std::vector<Floats> heard(ranks()), kept(ranks());
  std::vector<std::vector<Floats>> gathered(ranks(), std::vector<Floats>(ranks(), Floats(count())));
  expect_ok(world.run([&](Group& group, uint32_t rank) -> Status {
    heard[rank] = values(rank);
    TRY(group.broadcast(bytes(heard[rank]), ElementType::kFloat64, 0, never()));
    Floats mine = values(rank);
    std::vector<std::span<uint8_t>> outs;
    for (Floats& out : gathered[rank]) outs.push_back(bytes(out));
    TRY(group.all_gather(bytes(mine), outs, ElementType::kFloat64, never()));
    std::vector<std::span<const uint8_t>> inputs(ranks(), bytes(mine));
    kept[rank].resize(count());
    return group.reduce_scatter(inputs, bytes(kept[rank]), ElementType::kFloat64, ReduceOp::kSum, never());
  }));
  for (uint32_t rank = 0; rank < ranks(); ++rank) {
    EXPECT_EQ(heard[rank], values(0));
    EXPECT_EQ(kept[rank], count() ? sum() : Floats());
    for (uint32_t other = 0; other < ranks(); ++other) EXPECT_EQ(gathered[rank][other], values(other));
  }
}

TEST_P(GroupSizeTest, MessagesArriveInOrder) {
  World world(ranks());
  std::vector<Floats> got(ranks(), Floats(count()));
  expect_ok(world.run([&](Group& group, uint32_t rank) -> Status {
    if (rank == 0) {
      for (uint32_t other = 1; other < ranks(); ++other) {
        Floats mine = values(other);
        TRY(group.send(bytes(mine), ElementType::kFloat64, other, never()));
        TRY(group.send(bytes(mine), ElementType::kFloat64, other, never()));
      }
      return Status::ok();
    }
    TRY(group.receive(bytes(got[rank]), ElementType::kFloat64, 0, never()));
    return group.receive(bytes(got[rank]), ElementType::kFloat64, 0, never());
  }));
  for (uint32_t rank = 1; rank < ranks(); ++rank) EXPECT_EQ(got[rank], values(rank));
}

INSTANTIATE_TEST_SUITE_P(Sizes, GroupSizeTest,
                         testing::Combine(testing::Values(1u, 2u, 3u, 5u),
                                          testing::Values(0u, 1u, 1024u, 1025u, 32'768u, 200'003u)));

TEST(GroupTest, ABarrierLetsNobodyThroughBeforeAllHaveCome) {
  World world(4);
  std::atomic<int> come = 0;
  expect_ok(world.run([&](Group& group, uint32_t) -> Status {
    for (int round = 1; round <= 500; ++round) {
      ++come;
      TRY(group.barrier(never()));
      if (come.load() < 4 * round) return {Code::kInternal, "somebody was let through"};
    }
    return Status::ok();
  }));
}

TEST(GroupTest, CallsThatDoNotMatchFailEverywhere) {
  World world(2);
  Floats a(8), b(9);
  auto answers = world.run([&](Group& group, uint32_t rank) {
    return group.all_reduce(bytes(rank == 0 ? a : b), ElementType::kFloat64, ReduceOp::kSum, never());
  });
  for (const Status& answer : answers) {
    EXPECT_EQ(answer.code(), Code::kInvalid);
    EXPECT_NE(answer.message().find("72 bytes"), std::string::npos) << answer.message();
  }
  EXPECT_EQ(world.group(0).barrier(never()).code(), Code::kInvalid) << "a broken group stays broken";
}

TEST(GroupTest, TwoRootsAreNoticed) {
  World world(2);
  std::vector<Floats> data(2, Floats(4));
  auto answers = world.run([&](Group& group, uint32_t rank) {
    return group.broadcast(bytes(data[rank]), ElementType::kFloat64, 1 - rank, never());
  });
  EXPECT_EQ(answers[0].code(), Code::kInvalid);
  EXPECT_EQ(answers[1].code(), Code::kInvalid);
}

TEST(GroupTest, AMemberThatEndsIsNamedToAll) {
  World world(3);
  world.end(0);
  Floats data(4);
  auto answers = world.run(
      [&](Group& group, uint32_t) {
        Floats own(4);
        return group.all_reduce(bytes(own), ElementType::kFloat64, ReduceOp::kSum, never());
      },
      1);
  for (uint32_t rank : {1, 2}) {
    EXPECT_EQ(answers[rank].code(), Code::kLost);
    EXPECT_NE(answers[rank].message().find("rank 0"), std::string::npos) << answers[rank].message();
  }
}

TEST(GroupTest, WhoEndsAfterItsPartFailsNobody) {
  World world(3);
  Floats data{7};
  ASSERT_TRUE(world.group(0).send(bytes(data), ElementType::kFloat64, 1, never()).is_ok());
  ASSERT_TRUE(world.group(0).broadcast(bytes(data), ElementType::kFloat64, 0, never()).is_ok());
  world.end(0);
  Floats got(1);
  EXPECT_TRUE(world.group(1).receive(bytes(got), ElementType::kFloat64, 0, never()).is_ok());
  EXPECT_EQ(got, data);
  expect_ok(world.run(
      [&](Group& group, uint32_t) {
        Floats own(1);
        return group.broadcast(bytes(own), ElementType::kFloat64, 0, never());
      },
      1));
  EXPECT_EQ(world.group(1).receive(bytes(got), ElementType::kFloat64, 0, never()).code(), Code::kLost);
}

TEST(GroupTest, WhoHasLeftIsNamed) {
  World world(2);
  world.group(1).leave();
  Status answer = world.group(0).barrier(never());
  EXPECT_EQ(answer.code(), Code::kLost);
  EXPECT_NE(answer.message().find("has left"), std::string::npos) << answer.message();
}

TEST(GroupTest, AWaitEndsAfterTheTimeoutOrAnInterruption) {
  World world(2, 50);
  EXPECT_EQ(world.group(0).barrier(never()).code(), Code::kTimeout);
  World other(2);
  EXPECT_EQ(other.group(0).barrier([] { return true; }).code(), Code::kCancelled);
  EXPECT_EQ(other.group(1).barrier(never()).code(), Code::kCancelled);
}

}  // namespace
}  // namespace mobula::collective
