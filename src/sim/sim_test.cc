// Seeds, timelines and channels.
#include "sim/sim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mobula::sim {
namespace {

using testing::ElementsAre;

TEST(RandomTest, TheSameSeedGivesTheSameNumbers) {
  Random one(7), two(7), other(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    uint64_t number = one.next();
    EXPECT_EQ(number, two.next());
    differs |= number != other.next();
  }
  EXPECT_TRUE(differs);
}

TEST(RandomTest, NumbersKeepWithinTheirBounds) {
  Random random(1);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_LT(random.below(3), 3u);
    uint64_t number = random.between(5, 7);
    EXPECT_TRUE(number >= 5 && number <= 7);
    EXPECT_FALSE(random.chance(0));
    EXPECT_TRUE(random.chance(1));
  }
  EXPECT_EQ(random.below(0), 0u);
}

TEST(TimelineTest, EventsHappenInTheOrderOfTheirTimesThenOfTheirAdding) {
  Timeline timeline;
  std::vector<int> seen;
  timeline.after(20, [&] { seen.push_back(3); });
  timeline.after(10, [&] {
    seen.push_back(1);
    timeline.after(5, [&] { seen.push_back(2); });
  });
  timeline.after(20, [&] { seen.push_back(4); });
  uint64_t start = timeline.now_us();
  while (timeline.step()) {
  }
  EXPECT_THAT(seen, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(timeline.now_us(), start + 20);
  EXPECT_EQ(timeline.steps(), 4u);
}

TEST(ChannelTest, WhatIsSentFirstArrivesFirst) {
  Timeline timeline;
  Channel channel, other;
  std::vector<int> seen;
  channel.send(timeline, 100, [&] { seen.push_back(1); });
  channel.send(timeline, 1, [&] { seen.push_back(2); });
  other.send(timeline, 50, [&] { seen.push_back(3); });
  while (timeline.step()) {
  }
  EXPECT_THAT(seen, ElementsAre(3, 1, 2));
}

}  // namespace
}  // namespace mobula::sim
