// What an operator's past says about its next task: moving averages, so that it follows the data.
#pragma once

#include <cstdint>

namespace mobula::data {

class Average {
 public:
  bool known() const { return count_ > 0; }
  double value() const { return value_; }
  void add(double sample) {
    ++count_;
    double weight = count_ < kWarm ? 1.0 / static_cast<double>(count_) : 1.0 / kWarm;
    value_ += weight * (sample - value_);
  }

 private:
  static constexpr int64_t kWarm = 8;
  double value_ = 0;
  int64_t count_ = 0;
};

struct History {
  Average block_bytes;  // of the blocks it gave
  Average blocks_per_bundle;
  Average bundle_ms;  // time at work, without what it was held up
};

/// Totals of an operator, for stats().
struct Counters {
  int64_t tasks = 0, bundles = 0, blocks = 0, rows = 0, bytes = 0;
  int64_t rows_in = 0, bytes_in = 0;
  int64_t failed = 0, retried = 0, actors_started = 0, actors_most = 0;
  int64_t bytes_peak = 0;             // of its output in existence
  int64_t tasks_most = 0;             // running at once
  double first_ms = -1, last_ms = 0;  // first start, last end
};

}  // namespace mobula::data
