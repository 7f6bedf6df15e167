// Counters, gauges and histograms in shared memory: processes raise them in place, without a message, so
// nothing is lost when one of them ends, however it ends. Zeroed memory is an empty table; records are
// appended and never removed. Any thread of any process may call; a record that its writer did not finish is
// passed over, and one that two registered at once is there twice (readers add them up). Tests:
// metric_table_test.cc.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mobula {

enum class MetricKind : uint32_t { kCounter = 1, kGauge = 2, kHistogram = 3 };

/// One series as it is read. `values`: one number; of a histogram, how many fell up to each bound, how many
/// above all, and the sum.
struct MetricRow {
  MetricKind kind = MetricKind::kCounter;
  std::string key;
  uint64_t owner = 0;  // of a gauge: the process that sets it
  std::vector<double> bounds, values;
};

/// Where one series' values lie. Valid as long as the table's memory.
class MetricSeries {
 public:
  MetricSeries(std::span<const double> bounds, std::atomic<double>* values)
      : bounds_(bounds), values_(values) {}
  void add(double amount) { values_[0].fetch_add(amount, std::memory_order_relaxed); }
  void set(double value) { values_[0].store(value, std::memory_order_relaxed); }
  void observe(double value);
  /// Adds another's values, of a series with the same bounds.
  void merge(std::span<const double> values);

 private:
  std::span<const double> bounds_;
  std::atomic<double>* values_;
};

class MetricTable {
 public:
  static constexpr uint64_t kBytes = 16 << 20;  // pages exist once touched
  static constexpr uint32_t kSeriesMax = 32'768;

  explicit MetricTable(std::span<uint8_t> memory) : memory_(memory) {}

  /// The series of `key`, made when there is none. Gauges belong to their owner: another one's is taken over
  /// only when `is_gone(owner)`. Nothing when the table is full.
  std::optional<MetricSeries> find_or_add(MetricKind kind, std::string_view key,
                                          std::span<const double> bounds, uint64_t owner,
                                          const std::function<bool(uint64_t)>& is_gone);
  std::vector<MetricRow> rows() const;
  /// Series that found no room.
  uint64_t refused() const;

 private:
  struct Head;
  struct Record;
  Head& head() const;
  Record* record(uint32_t index) const;

  std::span<uint8_t> memory_;
};

}  // namespace mobula
