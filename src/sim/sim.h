// What a simulation is made of: numbers from one seed, and a timeline on which everything that happens is an
// event. The first file to read in sim/. One thread; the same seed gives the same run. Never linked into a
// release. Tests: sim_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

namespace mobula::sim {

/// Random numbers that are the same on every machine (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 0x1234567) {}
  uint64_t next();
  /// From 0 to `count` - 1; `count` of 0 gives 0.
  uint64_t below(uint64_t count) { return count == 0 ? 0 : next() % count; }
  /// From `first` to `last`, both included.
  uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
  bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }
  template <typename List>
  auto& pick(List& items) {
    return items[below(items.size())];
  }

 private:
  uint64_t state_;
};

/// Events in the order of their time; those of the same time in the order in which they were added.
class Timeline {
 public:
  using Event = std::function<void()>;

  uint64_t now_us() const { return now_us_; }
  void after(uint64_t delay_us, Event event) { at(now_us_ + delay_us, std::move(event)); }
  void at(uint64_t time_us, Event event);
  bool empty() const { return events_.empty(); }
  /// Lets the next event happen. False when there is none.
  bool step();
  uint64_t steps() const { return steps_; }

 private:
  std::map<std::pair<uint64_t, uint64_t>, Event> events_;  // by (time, number)
  uint64_t now_us_ = 1'000'000, added_ = 0, steps_ = 0;
};

/// A way that keeps the order of what is sent on it, however long each takes.
class Channel {
 public:
  void send(Timeline& timeline, uint64_t delay_us, Timeline::Event event);

 private:
  uint64_t last_us_ = 0;
};

}  // namespace mobula::sim
