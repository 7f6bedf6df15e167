// Cursors: freed ≤ claimed ≤ pushed ≤ freed + size. The consumer claims a record by moving `claimed` with a
// compare-and-swap, copies it, then moves `freed`; a take-back is the same swap to the end.
#include "wire/ring.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace mobula {
namespace {

constexpr uint64_t kMore = uint64_t{1} << 63;  // in a record's length: the message goes on in the next record

}  // namespace

void Ring::copy_in(uint64_t at, const void* from, size_t bytes) {
  if (bytes == 0) return;
  uint64_t place = at % size_, first = std::min<uint64_t>(bytes, size_ - place);
  std::memcpy(data_ + place, from, first);
  std::memcpy(data_, static_cast<const uint8_t*>(from) + first, bytes - first);
}

void Ring::copy_out(uint64_t at, void* to, size_t bytes) const {
  if (bytes == 0) return;
  uint64_t place = at % size_, first = std::min<uint64_t>(bytes, size_ - place);
  std::memcpy(to, data_ + place, first);
  std::memcpy(static_cast<uint8_t*>(to) + first, data_, bytes - first);
}

bool Ring::push_piece(std::string_view piece, bool more) {
  uint64_t at = head_->pushed.load(std::memory_order_relaxed);
  uint64_t bytes = record_bytes(piece.size());
  if (at + bytes - head_->freed.load(std::memory_order_seq_cst) > size_) return false;
  uint64_t length = piece.size() | (more ? kMore : 0);
  copy_in(at, &length, sizeof length);
  copy_in(at + sizeof length, piece.data(), piece.size());
  head_->pushed.store(at + bytes, std::memory_order_seq_cst);
  return true;
}

bool Ring::push(std::string_view message, size_t* done) {
  do {
    size_t bytes = std::min(message.size() - *done, piece_bytes_max());
    if (!push_piece(message.substr(*done, bytes), *done + bytes < message.size())) return false;
    *done += bytes;
  } while (*done < message.size());
  return true;
}

std::optional<std::string> Ring::pop() {
  uint64_t at = head_->claimed.load(std::memory_order_acquire);
  for (;;) {
    uint64_t end = head_->pushed.load(std::memory_order_seq_cst);
    if (at == end || damaged_) {
      head_->freed.store(at, std::memory_order_seq_cst);  // what was taken back is free as well
      return std::nullopt;
    }
    uint64_t length = 0;
    copy_out(at, &length, sizeof length);
    bool more = length & kMore;
    length &= ~kMore;
    bool sound = end - at <= size_ && length <= size_ && record_bytes(length) <= end - at;
    // A take-back may have moved on while we looked: only what is claimed counts as read.
    if (!head_->claimed.compare_exchange_strong(at, sound ? at + record_bytes(length) : at)) continue;
    if (!sound) return damaged_ = true, std::nullopt;
    size_t before = partial_.size();
    partial_.resize(before + length);
    copy_out(at + sizeof length, partial_.data() + before, length);
    at += record_bytes(length);
    head_->freed.store(at, std::memory_order_seq_cst);
    if (!more) return std::exchange(partial_, {});
  }
}

bool Ring::empty() const {
  return head_->claimed.load(std::memory_order_acquire) == head_->pushed.load(std::memory_order_seq_cst);
}

uint64_t Ring::take_back() {
  uint64_t end = head_->pushed.load(std::memory_order_relaxed);
  uint64_t at = head_->claimed.load(std::memory_order_acquire);
  while (at != end && !head_->claimed.compare_exchange_weak(at, end)) {
  }
  return at;
}

}  // namespace mobula
