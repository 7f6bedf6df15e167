// Doorbells between threads, shared memory and descriptors, against the real system.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "sys/doorbell.h"
#include "sys/environment.h"
#include "sys/shm.h"

namespace mobula {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
constexpr nanoseconds kForever(-1);

TEST(DoorbellTest, WhatIsRungBeforeTheSleepIsNotMissed) {
  Doorbell bell;
  std::atomic<bool> work = false;
  std::thread ringer([&] {
    work.store(true);
    bell.ring();
  });
  while (!work.load()) bell.wait(Sleeper::kForeground, 0, kForever, [&] { return work.load(); });
  ringer.join();
}

TEST(DoorbellTest, TwoThreadsPlayPingPongWithoutLosingARing) {
  Doorbell to, fro;
  std::atomic<int> sent = 0, answered = 0;
  constexpr int kRounds = 20'000;
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (sent.load() < i)
        to.wait(Sleeper::kBackground, i % 3, kForever, [&] { return sent.load() >= i; });
      answered.store(i);
      fro.ring();
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    sent.store(i);
    to.ring();
    while (answered.load() < i) {
      fro.wait(Sleeper::kForeground, i % 5, kForever, [&] { return answered.load() >= i; });
    }
  }
  other.join();
}

TEST(DoorbellTest, TheForegroundIsWokenBeforeTheBackground) {
  Doorbell bell;
  std::atomic<int> tokens = 0, foreground = 0, background = 0;
  std::atomic<bool> stop = false;
  auto sleeper = [&](Sleeper who, std::atomic<int>& taken) {
    while (!stop.load()) {
      bell.wait(who, 0, kForever, [&] { return stop.load() || (who == Sleeper::kForeground && tokens > 0); });
      if (who == Sleeper::kForeground && tokens.exchange(0) > 0) ++taken;
      if (who == Sleeper::kBackground && tokens > 0) ++taken;
    }
  };
  std::thread first([&] { sleeper(Sleeper::kForeground, foreground); });
  std::thread second([&] { sleeper(Sleeper::kBackground, background); });
  tokens.store(1);
  bell.ring();
  while (foreground.load() == 0) std::this_thread::yield();
  stop.store(true);
  bell.ring(Sleeper::kForeground);
  bell.ring(Sleeper::kBackground);
  first.join();
  second.join();
  EXPECT_EQ(foreground.load(), 1);
}

TEST(DoorbellTest, AWaitEndsAtItsTimeout) {
  Doorbell bell;
  auto before = std::chrono::steady_clock::now();
  bell.wait(Sleeper::kForeground, 10, milliseconds(3), [] { return false; });
  EXPECT_GE(std::chrono::steady_clock::now() - before, milliseconds(2));
}

TEST(SharedMemory, TwoMappingsShowTheSameBytesAndAClosedOneIsGone) {
  auto fd = create_shared_memory("mobula-test", 1 << 20);
  ASSERT_TRUE(fd.is_ok());
  auto writable = Mapping::open(fd->get(), 1 << 20, true);
  auto readable = Mapping::open(fd->get(), 1 << 20, false);
  ASSERT_TRUE(writable.is_ok() && readable.is_ok());
  std::memset(writable->data(), 7, 1 << 20);
  EXPECT_EQ(readable->data()[12345], 7);
  release_pages(fd->get(), 0, 1 << 20);
  EXPECT_EQ(readable->data()[12345], 0);
  Mapping moved = *std::move(writable);
  moved = *std::move(readable);
  EXPECT_EQ(moved.data()[0], 0);
}

TEST(SharedMemory, WhatCannotBeMappedSaysSo) {
  auto mapping = Mapping::open(-1, 4096, true);
  ASSERT_FALSE(mapping.is_ok());
  EXPECT_EQ(mapping.status().code(), Code::kFull);
}

TEST(Descriptors, ADescriptorClosesItselfOnceOnly) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  {
    Descriptor first(ends[0]), second(ends[1]);
    Descriptor third = std::move(first);
    EXPECT_FALSE(first.is_open());
    second = std::move(third);
    EXPECT_EQ(fcntl(ends[1], F_GETFD), -1);
    EXPECT_NE(fcntl(ends[0], F_GETFD), -1);
  }
  EXPECT_EQ(fcntl(ends[0], F_GETFD), -1);
}

TEST(Machine, ThereIsMemoryAndACpu) {
  EXPECT_GT(usable_memory_bytes(), uint64_t{64} << 20);
  EXPECT_GT(spare_memory_bytes(), 0u);
  EXPECT_LT(spare_memory_bytes(), usable_memory_bytes());
  EXPECT_GE(usable_cpus(), 1);
  EXPECT_FALSE(temporary_folder().empty());
}

}  // namespace
}  // namespace mobula
