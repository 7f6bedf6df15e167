// Random numbers and the order of events.
#include "sim/sim.h"

#include <algorithm>

#include "base/check.h"

namespace mobula::sim {

uint64_t Random::next() {
  uint64_t mixed = state_ += 0x9E3779B97F4A7C15ull;
  mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9ull;
  mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBull;
  return mixed ^ mixed >> 31;
}

void Timeline::at(uint64_t time_us, Event event) {
  CHECK(time_us >= now_us_);
  events_.emplace(std::pair{time_us, ++added_}, std::move(event));
}

bool Timeline::step() {
  if (events_.empty()) return false;
  auto first = events_.begin();
  now_us_ = first->first.first;
  Event event = std::move(first->second);
  events_.erase(first);
  ++steps_;
  event();
  return true;
}

void Channel::send(Timeline& timeline, uint64_t delay_us, Timeline::Event event) {
  last_us_ = std::max(last_us_, timeline.now_us() + delay_us);
  timeline.at(last_us_, std::move(event));
}

}  // namespace mobula::sim
