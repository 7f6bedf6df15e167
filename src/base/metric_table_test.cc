// The shared table of metrics: sharing by key, owners of gauges, buckets, no room, many writers at once.
#include "base/metric_table.h"

#include <gtest/gtest.h>

#include <thread>

namespace mobula {
namespace {

struct Memory {
  std::vector<uint64_t> words = std::vector<uint64_t>(MetricTable::kBytes / 8);
  MetricTable table{{reinterpret_cast<uint8_t*>(words.data()), MetricTable::kBytes}};
};

bool nobody_is_gone(uint64_t) { return false; }

TEST(MetricTableTest, ProcessesShareACounterByItsKey) {
  Memory memory;
  memory.table.find_or_add(MetricKind::kCounter, "requests", {}, 1, nobody_is_gone)->add(2);
  memory.table.find_or_add(MetricKind::kCounter, "requests", {}, 2, nobody_is_gone)->add(0.5);
  memory.table.find_or_add(MetricKind::kCounter, "other", {}, 2, nobody_is_gone)->add(1);
  std::vector<MetricRow> rows = memory.table.rows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].key, "requests");
  EXPECT_EQ(rows[0].values, std::vector<double>{2.5});
}

TEST(MetricTableTest, AGaugeBelongsToItsProcessUntilThatIsGone) {
  Memory memory;
  memory.table.find_or_add(MetricKind::kGauge, "depth", {}, 1, nobody_is_gone)->set(5);
  memory.table.find_or_add(MetricKind::kGauge, "depth", {}, 2, nobody_is_gone)->set(7);
  EXPECT_EQ(memory.table.rows().size(), 2u);
  auto first_is_gone = [](uint64_t owner) { return owner == 1; };
  memory.table.find_or_add(MetricKind::kGauge, "depth", {}, 3, first_is_gone)->set(9);
  std::vector<MetricRow> rows = memory.table.rows();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].owner, 3u);
  EXPECT_EQ(rows[0].values, std::vector<double>{9});
}

TEST(MetricTableTest, AHistogramCountsUpToEachBoundAndAdds) {
  Memory memory;
  std::vector<double> bounds{1, 10};
  auto series = memory.table.find_or_add(MetricKind::kHistogram, "ms", bounds, 1, nobody_is_gone);
  for (double value : {0.5, 1.0, 2.0, 50.0}) series->observe(value);
  EXPECT_EQ(memory.table.rows()[0].values, (std::vector<double>{2, 1, 1, 53.5}));
  EXPECT_EQ(memory.table.rows()[0].bounds, bounds);
  series->merge(std::vector<double>{1, 0, 0, 1});
  EXPECT_EQ(memory.table.rows()[0].values, (std::vector<double>{3, 1, 1, 54.5}));
}

TEST(MetricTableTest, AFullTableRefusesAndSaysHowOften) {
  Memory memory;
  std::string long_key(MetricTable::kBytes / 2, 'k');
  EXPECT_TRUE(memory.table.find_or_add(MetricKind::kCounter, long_key, {}, 1, nobody_is_gone));
  long_key += '2';
  EXPECT_FALSE(memory.table.find_or_add(MetricKind::kCounter, long_key, {}, 1, nobody_is_gone));
  EXPECT_EQ(memory.table.refused(), 1u);
  EXPECT_TRUE(memory.table.find_or_add(MetricKind::kCounter, "short", {}, 1, nobody_is_gone));
  EXPECT_EQ(memory.table.rows().size(), 2u);
}

TEST(MetricTableTest, WritersAtOnceLoseNothing) {
  Memory memory;
  std::vector<std::thread> threads;
  for (uint64_t thread = 1; thread <= 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < 2'000; ++i) {
        std::string key = "counter " + std::to_string(i % 50);
        memory.table.find_or_add(MetricKind::kCounter, key, {}, thread, nobody_is_gone)->add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  double total = 0;
  for (const MetricRow& row : memory.table.rows()) total += row.values[0];
  EXPECT_EQ(total, 8'000);
}

TEST(MetricTableTest, DamagedOffsetsArePassedOver) {
  Memory memory;
  memory.table.find_or_add(MetricKind::kCounter, "a", {}, 1, nobody_is_gone)->add(1);
  auto* halves = reinterpret_cast<uint32_t*>(memory.words.data());
  for (size_t i = 0; i < 64; ++i) {
    uint32_t before = halves[i];
    halves[i] = 0xFFFFFFF0;
    (void)memory.table.rows();
    halves[i] = before;
  }
  EXPECT_EQ(memory.table.rows().size(), 1u);
}

}  // namespace
}  // namespace mobula
