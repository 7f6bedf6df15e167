// Doorbells between threads, shared memory and descriptors, against the real system.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "sys/doorbell.h"
#include "sys/environment.h"
#include "sys/local_socket.h"
#include "sys/process.h"
#include "sys/shm.h"
#include "sys/spin.h"

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
  while (!work.load()) bell.wait(Sleeper::kForeground, kForever, [&] { return work.load(); });
  ringer.join();
}

TEST(DoorbellTest, TwoThreadsPlayPingPongWithoutLosingARing) {
  Doorbell to, fro;
  std::atomic<int> sent = 0, answered = 0;
  constexpr int kRounds = 20'000;
  std::thread other([&] {
    for (int i = 1; i <= kRounds; ++i) {
      while (sent.load() < i) to.wait(Sleeper::kBackground, kForever, [&] { return sent.load() >= i; });
      answered.store(i);
      fro.ring();
    }
  });
  for (int i = 1; i <= kRounds; ++i) {
    sent.store(i);
    to.ring();
    while (answered.load() < i) {
      fro.wait(Sleeper::kForeground, kForever, [&] { return answered.load() >= i; });
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
      bell.wait(who, kForever, [&] { return stop.load() || (who == Sleeper::kForeground && tokens > 0); });
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

TEST(DoorbellTest, TheBackgroundIsLeftAloneWhileTheForegroundWatches) {
  Doorbell bell;
  std::atomic<int> wakes = 0;
  std::atomic<bool> asleep = false, stop = false;
  std::thread background([&] {
    while (!stop.load()) {
      bell.wait(Sleeper::kBackground, kForever, [&] {
        asleep.store(true);
        return stop.load();
      });
      ++wakes;
    }
  });
  while (!asleep.load()) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));
  bell.watch();
  for (int i = 0; i < 100; ++i) bell.ring();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_EQ(wakes.load(), 0);
  bell.unwatch();
  while (wakes.load() == 0) bell.ring();
  stop.store(true);
  bell.ring(Sleeper::kBackground);
  background.join();
}

TEST(DoorbellTest, ThePatientRingWakesTheBackgroundOnlyWhenItIsToldTo) {
  Doorbell bell;
  std::atomic<bool> asleep = false;
  std::thread background([&] {
    bell.wait(Sleeper::kBackground, kForever, [&] {
      asleep.store(true);
      return false;
    });
  });
  EXPECT_FALSE(bell.ring_patiently() && !asleep.load()) << "nobody sleeps yet";
  while (!asleep.load()) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(20));
  EXPECT_TRUE(bell.ring_patiently());
  bell.watch();
  EXPECT_FALSE(bell.ring_patiently()) << "the foreground will look";
  bell.unwatch();
  bell.set_impatient(true);
  EXPECT_FALSE(bell.ring_patiently());
  background.join();
  bell.set_impatient(false);
}

TEST(SpinTest, ItFindsWorkAndGivesUpWithout) {
  AdaptiveSpin spin;
  EXPECT_TRUE(spin.run(true, [] { return true; }));
  int looks = 0;
  EXPECT_FALSE(spin.run(false, [&] { return ++looks < 0; }));
  EXPECT_GT(looks, 16);
  std::atomic<bool> work = false;
  std::thread other([&] { work.store(true); });
  while (!spin.run(true, [&] { return work.load(); })) {
  }
  other.join();
}

/// A micro-second passes at each look at it.
struct SlowClock {
  using time_point = std::chrono::steady_clock::time_point;
  static time_point now() { return time_point(std::chrono::microseconds(++passed)); }
  static inline int64_t passed = 0;
};

TEST(SpinTest, ItLooksForLongOnlyWhereThatHelpsAndACpuIsFree) {
  AdaptiveSpinBy<SlowClock> spin;
  auto time_of = [&](bool has_cpu) {
    int64_t begin = SlowClock::passed;
    EXPECT_FALSE(spin.run(has_cpu, [] { return false; }));
    return SlowClock::passed - begin;
  };
  for (int i = 0; i < 8; ++i) EXPECT_LT(time_of(true), 20) << "it did not help before";
  for (int i = 0; i < 16; ++i) spin.run(true, [] { return true; });  // among them a long look, which helps
  EXPECT_GE(time_of(true), 100);
  EXPECT_LT(time_of(false), 20) << "others want the CPU";
  while (time_of(true) >= 100) {
  }
  EXPECT_LT(time_of(true), 20) << "it helped no more";
}

TEST(DoorbellTest, AWaitEndsAtItsTimeout) {
  Doorbell bell;
  auto before = std::chrono::steady_clock::now();
  bell.wait(Sleeper::kForeground, milliseconds(3), [] { return false; });
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

TEST(ProcessTest, AProcessIsKnownByItsMarkAndItsEndIsSeen) {
  uint64_t mark = process_mark(own_pid());
  EXPECT_NE(mark, 0u);
  EXPECT_TRUE(process_runs(mark));
  EXPECT_FALSE(process_runs(mark + 1)) << "the same pid, started at another time";
  EXPECT_FALSE(ProcessWatch(own_pid()).has_ended());
  int pid = fork();
  if (pid == 0) _exit(0);
  ProcessWatch watch(pid);
  while (!watch.has_ended()) std::this_thread::yield();
  EXPECT_EQ(process_mark(pid), 0u) << "one that was not waited for yet has ended all the same";
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(watch.has_ended());
  EXPECT_TRUE(ProcessWatch(pid).has_ended());
}

TEST(LocalSocketTest, MessagesCarryBytesAndDescriptors) {
  std::string name = "mobula-sys-test-" + std::to_string(own_pid());
  EXPECT_EQ(connect_local(name).status().code(), Code::kNotFound);
  Descriptor listener = std::move(*listen_local(name));
  EXPECT_EQ(listen_local(name).status().code(), Code::kExists);
  EXPECT_EQ(accept_local(listener).status().code(), Code::kBusy);
  Descriptor one = std::move(*connect_local(name));
  Descriptor other = std::move(*accept_local(listener));
  EXPECT_EQ(peer_pid(one), own_pid());
  EXPECT_EQ(receive_local(other, 16).status().code(), Code::kBusy);

  Descriptor memory = std::move(*create_shared_memory("sys-test", 4096));
  std::vector<uint8_t> bytes{1, 2, 3};
  ASSERT_TRUE(send_local(one, bytes, memory.get()).is_ok());
  ASSERT_TRUE(send_local(one, bytes).is_ok());
  int number = other.get();
  wait_readable({&number, 1}, milliseconds(1000));
  Result<LocalMessage> first = receive_local(other, 16);
  ASSERT_TRUE(first.is_ok());
  EXPECT_EQ(first->bytes, bytes);
  EXPECT_TRUE(Mapping::open(first->passed.get(), 4096, true).is_ok());
  EXPECT_FALSE(receive_local(other, 16)->passed.is_open());
  one.reset();
  EXPECT_EQ(receive_local(other, 16).status().code(), Code::kLost);
  EXPECT_EQ(listen_local(std::string(200, 'x')).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace mobula
