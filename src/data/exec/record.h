// What a driver and the tasks of an operator say to each other: a header before the inputs, and after each
// block a record of it. Python's side is python/mobula/data/fragment.py. Tests: record_test.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/exec/effects.h"
#include "data/exec/executor.h"

namespace mobula::data {

/// Time and rows of one stage of a fragment since the last record.
struct StageTimes {
  double busy_ms = 0;
  int64_t rows = 0;
};

struct Record {
  ItemKind kind = ItemKind::kBlock;
  bool last = false;  // of its bundle
  uint32_t bundle = 0;
  int64_t rows = 0, bytes = 0;
  double busy_ms = 0, held_up_ms = 0;  // at work on the block; waiting to hand over the one before
  int64_t rss_bytes = 0;               // peak of the worker
  std::vector<StageTimes> stages;
  std::string_view failure;  // of kFailure: the error as its language encoded it
};

constexpr size_t kStagesMax = 256;

/// `invalid` for bytes that are no record.
Result<Record> parse_record(std::string_view bytes);

/// The header of a task that runs these bundles.
std::string encode_header(std::span<const Bundle> bundles);

}  // namespace mobula::data
