// Rings between two ends: pieces, wrapping, take-backs that race with a reading thread, damaged lengths.
#include "wire/ring.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <random>
#include <thread>
#include <vector>

namespace mobula {
namespace {

/// Both ends of a ring of `size` bytes.
struct Ends {
  explicit Ends(uint64_t size)
      : data(size), producer(&head, data.data(), size), consumer(&head, data.data(), size) {}
  /// Pushes all of it, which has to fit.
  void push(std::string_view message) {
    size_t done = 0;
    ASSERT_TRUE(producer.push(message, &done));
  }
  RingHead head{};
  std::vector<uint8_t> data;
  Ring producer, consumer;
};

std::string numbered(uint64_t number, size_t bytes) {
  std::string text = std::to_string(number) + ":";
  text.resize(std::max(text.size(), bytes), static_cast<char>('a' + number % 26));
  return text;
}

TEST(RingTest, MessagesComeOutAsTheyWentInAlsoEmptyOnes) {
  Ends ends(256);
  EXPECT_TRUE(ends.consumer.empty());
  EXPECT_FALSE(ends.consumer.pop().has_value());
  ends.push("one");
  ends.push("");
  ends.push("three");
  EXPECT_FALSE(ends.consumer.empty());
  EXPECT_EQ(ends.consumer.pop(), "one");
  EXPECT_EQ(ends.consumer.pop(), "");
  EXPECT_EQ(ends.consumer.pop(), "three");
  EXPECT_TRUE(ends.consumer.empty());
}

TEST(RingTest, EveryLengthWrapsAroundTheEndUnharmed) {
  Ends ends(256);
  for (uint64_t i = 0; i < 2000; ++i) {
    std::string message = numbered(i, i % 57);
    ends.push(message);
    ASSERT_EQ(ends.consumer.pop(), message);
  }
}

TEST(RingTest, AShortMessageGoesInWholeOrNotAtAll) {
  Ends ends(256);
  size_t done = 0;
  int fitted = 0;
  while (ends.producer.push(std::string(60, 'x'), &done)) done = 0, ++fitted;
  EXPECT_EQ(fitted, 3);
  EXPECT_EQ(done, 0u);
  EXPECT_TRUE(ends.consumer.pop().has_value());
  EXPECT_TRUE(ends.producer.push(std::string(60, 'x'), &done));
}

TEST(RingTest, ALongMessageGoesThroughInPieces) {
  Ends ends(256);
  std::string message;
  for (int i = 0; i < 1000; ++i) message += std::to_string(i);
  size_t done = 0;
  bool all = false;
  std::optional<std::string> got;
  for (int round = 0; !got && round < 1000; ++round) {
    if (!all) all = ends.producer.push(message, &done);
    got = ends.consumer.pop();
    ASSERT_TRUE(!got || all);
  }
  EXPECT_EQ(got, message);
}

TEST(RingTest, WhatIsTakenBackIsNeverRead) {
  Ends ends(256);
  ends.push("first");
  uint64_t second = ends.producer.pushed();
  ends.push("second");
  ends.push("third");
  EXPECT_EQ(ends.consumer.pop(), "first");
  EXPECT_EQ(ends.producer.take_back(), second);
  EXPECT_TRUE(ends.consumer.empty());
  EXPECT_FALSE(ends.consumer.pop().has_value());
  ends.push("fourth");
  EXPECT_EQ(ends.consumer.pop(), "fourth");
  EXPECT_EQ(ends.producer.take_back(), ends.producer.pushed());
}

TEST(RingTest, RoomThatWasTakenBackIsFreeOnceTheReaderHasLooked) {
  Ends ends(256);
  size_t done = 0;
  while (ends.producer.push(std::string(50, 'x'), &done)) done = 0;
  ends.producer.take_back();
  EXPECT_FALSE(ends.producer.push(std::string(50, 'y'), &done));
  EXPECT_FALSE(ends.consumer.pop().has_value());
  EXPECT_TRUE(ends.producer.push(std::string(50, 'y'), &done));
  EXPECT_EQ(ends.consumer.pop(), std::string(50, 'y'));
}

TEST(RingTest, ADamagedLengthEndsTheRing) {
  for (uint64_t length : {uint64_t{1} << 40, uint64_t{500}, UINT64_MAX, (uint64_t{1} << 63) - 1}) {
    Ends ends(256);
    ends.push("sound");
    std::memcpy(ends.data.data(), &length, sizeof length);
    EXPECT_FALSE(ends.consumer.pop().has_value());
    EXPECT_TRUE(ends.consumer.damaged());
    EXPECT_FALSE(ends.consumer.pop().has_value());
  }
}

TEST(RingTest, DamagedCursorsEndTheRing) {
  Ends ends(256);
  ends.head.pushed.store(UINT64_MAX / 2);
  EXPECT_FALSE(ends.consumer.pop().has_value());
  EXPECT_TRUE(ends.consumer.damaged());
  Ends backwards(256);
  backwards.push("sound");
  backwards.head.claimed.store(1000);
  EXPECT_FALSE(backwards.consumer.pop().has_value());
  EXPECT_TRUE(backwards.consumer.damaged());
}

TEST(RingTest, AReaderInAnotherThreadGetsEverythingInOrder) {
  Ends ends(4096);
  constexpr uint64_t kMessages = 30'000;
  std::thread reader([&] {
    for (uint64_t i = 0; i < kMessages;) {
      std::optional<std::string> message = ends.consumer.pop();
      if (!message) {
        std::this_thread::yield();
        continue;
      }
      ASSERT_EQ(*message, numbered(i, i % 3000 == 0 ? 9000 : i % 97));
      ++i;
    }
  });
  for (uint64_t i = 0; i < kMessages; ++i) {
    size_t done = 0;
    while (!ends.producer.push(numbered(i, i % 3000 == 0 ? 9000 : i % 97), &done)) std::this_thread::yield();
  }
  reader.join();
}

TEST(RingTest, ATakeBackThatRacesWithTheReaderLosesAndRepeatsNothing) {
  Ends ends(1024);
  constexpr uint64_t kMessages = 20'000;
  std::atomic<bool> all_sent = false;
  std::vector<uint64_t> read;
  std::thread reader([&] {
    for (;;) {
      bool last = all_sent.load();
      std::optional<std::string> message = ends.consumer.pop();
      if (message)
        read.push_back(std::stoull(*message));
      else if (last)
        return;
      else
        std::this_thread::yield();
    }
  });
  std::deque<std::pair<uint64_t, uint64_t>> sent;  // (cursor, number), newest last
  std::deque<uint64_t> waiting;
  std::vector<uint64_t> taken;
  std::mt19937_64 random(7);
  for (uint64_t i = 0; i < kMessages; ++i) waiting.push_back(i);
  while (!waiting.empty()) {
    size_t done = 0;
    uint64_t cursor = ends.producer.pushed();
    if (ends.producer.push(numbered(waiting.front(), waiting.front() % 40), &done)) {
      sent.emplace_back(cursor, waiting.front());
      waiting.pop_front();
    } else {
      std::this_thread::yield();
    }
    while (sent.size() > 64) sent.pop_front();
    if (random() % 16 != 0) continue;
    uint64_t from = ends.producer.take_back();
    for (; !sent.empty() && sent.back().first >= from; sent.pop_back()) {
      waiting.push_front(sent.back().second);
      taken.push_back(sent.back().second);
    }
  }
  all_sent.store(true);
  reader.join();
  ASSERT_EQ(read.size(), kMessages);
  for (uint64_t i = 0; i < kMessages; ++i) ASSERT_EQ(read[i], i);
  EXPECT_FALSE(taken.empty());
}

}  // namespace
}  // namespace mobula
