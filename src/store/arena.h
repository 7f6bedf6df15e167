// Which parts of the arena are taken: a pure allocator of page-aligned extents. Best fit, lowest address
// first, so that pages touched before are used again and the untouched end of the arena is the last to go.
// Tests: arena_test.cc.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace mobula {

class Arena {
 public:
  explicit Arena(uint64_t bytes);

  /// Where `bytes` (at least 1) fit, or nothing.
  std::optional<uint64_t> allocate(uint64_t bytes);
  /// Gives an extent back; `offset` must come from allocate().
  void free(uint64_t offset);

  uint64_t bytes() const { return bytes_; }
  uint64_t used_bytes() const { return used_; }
  uint64_t peak_bytes() const { return peak_; }
  bool is_allocated(uint64_t offset) const { return taken_.contains(offset); }
  uint64_t extent_bytes(uint64_t offset) const { return taken_.at(offset); }
  static uint64_t rounded(uint64_t bytes) { return (bytes + kPage - 1) & ~(kPage - 1); }

  /// Free and taken extents tile the arena, no two free ones touch.
  void check() const;

 private:
  static constexpr uint64_t kPage = 4096;
  void insert_free(uint64_t offset, uint64_t bytes);
  void erase_free(std::map<uint64_t, uint64_t>::iterator at);

  uint64_t bytes_, used_ = 0, peak_ = 0;
  std::map<uint64_t, uint64_t> free_, taken_;        // offset → bytes
  std::set<std::pair<uint64_t, uint64_t>> by_size_;  // (bytes, offset) of free extents
};

}  // namespace mobula
