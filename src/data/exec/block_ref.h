// Blocks on their way through an executor, and bundles of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/id.h"
#include "data/plan/plan.h"

namespace mobula::data {

/// Where rows belong in the order of the plan's input: the input's place, then the output's place of each
/// operator on the way. Compared from the left.
using OrderKey = std::u32string;

constexpr uint32_t kNoLiteral = 0xFFFFFFFF;
constexpr OpIndex kNoOp = 0xFFFFFFFF;

/// A block in the store, or a part of it; or a literal: an encoded value that a reader turns into blocks.
struct BlockRef {
  ObjectId object;                // nil for literals
  uint32_t literal = kNoLiteral;  // place among the literals of its input
  int64_t rows = -1;              // -1: not known
  int64_t bytes = 0;              // of the whole block
  int64_t offset = 0;             // the rows wanted of it: [offset, offset + length)
  int64_t length = -1;            // -1: all from offset on
  OpIndex producer = kNoOp;       // whose memory it counts as; kNoOp: the caller's
  OrderKey order;

  bool is_literal() const { return literal != kNoLiteral; }
  /// The rows wanted of it; -1: not known.
  int64_t wanted_rows() const { return length >= 0 ? length : rows < 0 ? -1 : rows - offset; }
};

/// Blocks that one run of a fragment takes together.
struct Bundle {
  std::vector<BlockRef> blocks;
  int64_t rows = 0;  // of the known ones
  int64_t bytes = 0;
  uint64_t sequence = 0;       // its place among the operator's bundles
  int64_t rows_delivered = 0;  // by earlier attempts, which a new one skips
  uint32_t outputs = 0;        // blocks given so far
  int32_t attempts = 0;
  double busy_ms = 0;  // at work on it so far
};

}  // namespace mobula::data
