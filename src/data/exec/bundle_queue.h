// The input queue of an operator: blocks come in, bundles go out, in order. Home thread: the executor's.
// Tests: bundle_queue_test.cc.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "data/exec/block_ref.h"

namespace mobula::data {

class BundleQueue {
 public:
  /// Blocks are gathered until they have `rows_per_bundle` rows; with 0, and for blocks of unknown size, each
  /// block is a bundle.
  explicit BundleQueue(int64_t rows_per_bundle) : rows_per_bundle_(rows_per_bundle) {}

  void push(BlockRef block);
  /// No more blocks come: what was gathered becomes the last bundle.
  void close();
  /// Puts a bundle back that a lost task did not finish, before those that come after it.
  void put_back(Bundle bundle);
  /// The first bundle; there must be one.
  Bundle pop();
  /// Empties the queue and gives back its blocks.
  std::vector<BlockRef> clear();

  /// Bundles ready to be popped.
  size_t size() const { return ready_.size(); }
  bool empty() const { return ready_.empty() && gathered_.blocks.empty(); }
  int64_t bytes() const { return bytes_; }
  bool is_closed() const { return closed_; }
  /// Every block counted once; sequences in order.
  void check() const;

 private:
  void finish_gathered();

  int64_t rows_per_bundle_;
  std::deque<Bundle> ready_;
  Bundle gathered_;
  int64_t bytes_ = 0;
  uint64_t next_sequence_ = 0;
  bool closed_ = false;
};

}  // namespace mobula::data
