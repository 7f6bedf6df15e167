// A worker's ring of assignments from the node's end: what is taken back, in whichever state it is, and a
// worker that reads meanwhile.
#include "node/assignments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <thread>

namespace mobula {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr uint64_t kBytes = 1024;  // pieces of 256

struct Ends {
  RingHead head{};
  std::vector<uint8_t> data = std::vector<uint8_t>(kBytes);
  Ring node{&head, data.data(), kBytes}, worker{&head, data.data(), kBytes};
  Assignments assignments{node};

  static std::string message(uint64_t number, size_t bytes) {
    std::string text = std::to_string(number) + " ";
    for (size_t i = 0; text.size() < bytes; ++i)
      text.push_back(static_cast<char>('a' + (number + i / 7) % 26));
    return text;
  }
  void add(uint64_t number, size_t bytes) {
    assignments.add(TaskId{number}, message(number, bytes));
    assignments.push();
  }
};

constexpr TaskId task(uint64_t number) { return {number}; }

TEST(AssignmentsTest, WhatHasNotBegunComesBackInOrder) {
  Ends ends;
  for (uint64_t i = 1; i <= 4; ++i) ends.add(i, 50);
  EXPECT_EQ(ends.worker.pop(), Ends::message(1, 50));
  EXPECT_THAT(ends.assignments.unstarted(), ElementsAre(task(2), task(3), task(4)));
  EXPECT_THAT(ends.assignments.take_back(), ElementsAre(task(2), task(3), task(4)));
  EXPECT_THAT(ends.assignments.take_back(), IsEmpty());
  EXPECT_FALSE(ends.worker.pop().has_value());
}

TEST(AssignmentsTest, WhatFoundNoRoomComesBackToo) {
  Ends ends;
  for (uint64_t i = 1; i <= 6; ++i) ends.add(i, 250);
  EXPECT_TRUE(ends.assignments.is_waiting());
  EXPECT_EQ(ends.head.starved.load(), 1u);
  EXPECT_TRUE(ends.worker.pop().has_value());
  EXPECT_THAT(ends.assignments.take_back(), ElementsAre(task(2), task(3), task(4), task(5), task(6)));
  EXPECT_FALSE(ends.assignments.is_waiting());
}

TEST(AssignmentsTest, ALongMessageOfWhichNothingWasReadComesBackWhole) {
  for (size_t bytes : {700, 5000}) {
    Ends ends;
    ends.add(1, 20);
    ends.add(2, bytes);
    ends.add(3, 20);
    EXPECT_TRUE(ends.worker.pop().has_value());
    EXPECT_THAT(ends.assignments.unstarted(), ElementsAre(task(2), task(3)));
    EXPECT_THAT(ends.assignments.take_back(), ElementsAre(task(2), task(3)));
    ends.add(4, 20);
    EXPECT_EQ(ends.worker.pop(), Ends::message(4, 20));
  }
}

TEST(AssignmentsTest, ALongMessageOfWhichPiecesWereReadGoesOnAndOnlyThoseBehindItComeBack) {
  for (size_t bytes : {1500, 5000}) {
    Ends ends;
    ends.add(1, bytes);
    ends.add(2, 20);
    EXPECT_FALSE(ends.worker.pop().has_value()) << "it reads what there is";
    ends.assignments.push();
    EXPECT_THAT(ends.assignments.unstarted(), ElementsAre(task(1), task(2)));
    EXPECT_THAT(ends.assignments.take_back(), ElementsAre(task(2)));
    std::optional<std::string> got;
    for (int i = 0; i < 100 && !got; ++i) {
      ends.assignments.push();
      got = ends.worker.pop();
    }
    EXPECT_TRUE(got == Ends::message(1, bytes)) << bytes;
    ends.add(3, 10);
    EXPECT_EQ(ends.worker.pop(), Ends::message(3, 10));
    EXPECT_THAT(ends.assignments.take_back(), IsEmpty());
  }
}

/// Adds, and takes back now and then, until the worker has read everything.
void race(uint64_t seed) {
  Ends ends;
  constexpr uint64_t kTasks = 1500;
  auto bytes_of = [](uint64_t number) -> size_t {
    return number % 11 == 0 ? 3000 : number % 5 == 0 ? 400 : number % 90;
  };
  std::atomic<bool> ended = false;
  std::vector<uint64_t> read;
  std::thread worker([&] {
    std::mt19937_64 random(seed + 1);
    while (true) {
      bool last = ended.load();
      std::optional<std::string> message = ends.worker.pop();
      if (message) {
        uint64_t number = std::stoull(*message);
        EXPECT_TRUE(*message == Ends::message(number, bytes_of(number))) << number << " is damaged";
        read.push_back(number);
      } else if (last) {
        return;
      }
      if (random() % 8 == 0) std::this_thread::yield();
    }
  });
  std::mt19937_64 random(seed);
  std::deque<uint64_t> left;
  for (uint64_t i = 1; i <= kTasks; ++i) left.push_back(i);
  while (!left.empty() || ends.assignments.is_waiting()) {
    if (!left.empty()) {
      ends.add(left.front(), bytes_of(left.front()));
      left.pop_front();
    }
    ends.assignments.push();
    if (random() % 6 != 0) continue;
    auto taken = ends.assignments.take_back();
    for (size_t i = taken.size(); i-- > 0;) left.push_front(taken[i].value);
    ends.assignments.push();
  }
  ended.store(true);
  worker.join();
  ASSERT_EQ(read.size(), kTasks);
  for (uint64_t i = 0; i < kTasks; ++i) EXPECT_EQ(read[i], i + 1);
}

TEST(AssignmentsTest, AWorkerThatReadsMeanwhileGetsEachOnceAndWhole) {
  for (uint64_t seed = 1; seed <= 5; ++seed) race(seed);
}

}  // namespace
}  // namespace mobula
