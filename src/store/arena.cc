// Best fit over two ordered sets; neighbours merge when freed.
#include "store/arena.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace mobula {

Arena::Arena(uint64_t bytes) : bytes_(bytes & ~(kPage - 1)) {
  if (bytes_ > 0) insert_free(0, bytes_);
}

void Arena::insert_free(uint64_t offset, uint64_t bytes) {
  free_.emplace(offset, bytes);
  by_size_.emplace(bytes, offset);
}

void Arena::erase_free(std::map<uint64_t, uint64_t>::iterator at) {
  by_size_.erase({at->second, at->first});
  free_.erase(at);
}

std::optional<uint64_t> Arena::allocate(uint64_t bytes) {
  if (bytes > bytes_) return std::nullopt;
  bytes = std::max(rounded(bytes), kPage);
  auto best = by_size_.lower_bound({bytes, 0});
  if (best == by_size_.end()) return std::nullopt;
  auto [extent, offset] = *best;
  erase_free(free_.find(offset));
  if (extent > bytes) insert_free(offset + bytes, extent - bytes);
  taken_.emplace(offset, bytes);
  used_ += bytes;
  peak_ = std::max(peak_, used_);
  return offset;
}

void Arena::free(uint64_t offset) {
  auto taken = taken_.find(offset);
  CHECK(taken != taken_.end());
  uint64_t bytes = taken->second;
  taken_.erase(taken);
  used_ -= bytes;
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + bytes) {
    bytes += next->second;
    auto merged = next++;
    erase_free(merged);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      bytes += previous->second;
      erase_free(previous);
    }
  }
  insert_free(offset, bytes);
}

void Arena::check() const {
  CHECK(free_.size() == by_size_.size());
  uint64_t at = 0, used = 0;
  bool previous_free = false;
  auto free = free_.begin();
  auto taken = taken_.begin();
  while (at < bytes_) {
    if (free != free_.end() && free->first == at) {
      CHECK(!previous_free);
      at += (free++)->second;
      previous_free = true;
    } else {
      CHECK(taken != taken_.end() && taken->first == at);
      used += taken->second;
      at += (taken++)->second;
      previous_free = false;
    }
  }
  CHECK(used == used_ && free == free_.end() && taken == taken_.end());
}

}  // namespace mobula
