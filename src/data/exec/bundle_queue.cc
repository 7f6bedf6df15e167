// Gathering blocks to bundles.
#include "data/exec/bundle_queue.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace mobula::data {

void BundleQueue::push(BlockRef block) {
  CHECK(!closed_);
  bytes_ += block.bytes;
  gathered_.bytes += block.bytes;
  bool known = block.wanted_rows() >= 0;
  if (known) gathered_.rows += block.wanted_rows();
  gathered_.blocks.push_back(std::move(block));
  if (rows_per_bundle_ == 0 || !known || gathered_.rows >= rows_per_bundle_) finish_gathered();
}

void BundleQueue::finish_gathered() {
  gathered_.sequence = next_sequence_++;
  ready_.push_back(std::exchange(gathered_, Bundle{}));
}

void BundleQueue::close() {
  closed_ = true;
  if (!gathered_.blocks.empty()) finish_gathered();
}

void BundleQueue::put_back(Bundle bundle) {
  bytes_ += bundle.bytes;
  auto after = std::find_if(ready_.begin(), ready_.end(),
                            [&](const Bundle& other) { return other.sequence > bundle.sequence; });
  ready_.insert(after, std::move(bundle));
}

Bundle BundleQueue::pop() {
  CHECK(!ready_.empty());
  Bundle bundle = std::move(ready_.front());
  ready_.pop_front();
  bytes_ -= bundle.bytes;
  return bundle;
}

std::vector<BlockRef> BundleQueue::clear() {
  std::vector<BlockRef> blocks;
  ready_.push_back(std::exchange(gathered_, Bundle{}));
  for (Bundle& bundle : ready_) {
    for (BlockRef& block : bundle.blocks) blocks.push_back(std::move(block));
  }
  ready_.clear();
  bytes_ = 0;
  return blocks;
}

void BundleQueue::check() const {
  int64_t bytes = gathered_.bytes;
  for (size_t i = 0; i < ready_.size(); ++i) {
    bytes += ready_[i].bytes;
    CHECK(!ready_[i].blocks.empty());
    CHECK(i == 0 || ready_[i - 1].sequence < ready_[i].sequence);
  }
  CHECK(bytes == bytes_);
  CHECK(!closed_ || gathered_.blocks.empty());
}

}  // namespace mobula::data
