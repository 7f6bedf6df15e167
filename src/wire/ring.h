// A ring: a single-producer, single-consumer byte queue in shared memory. Records longer than a quarter of it
// are cut into pieces. What a producer has pushed and the consumer has not begun can be claimed back, which
// is how the node takes queued tasks away from a busy worker. The peer is another process of the same user
// and may die at any point: lengths are checked, nothing is trusted, and no lock is held.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mobula {

/// Lives in shared memory. Cursors only grow; a position is a cursor modulo the size.
struct RingHead {
  alignas(64) std::atomic<uint64_t> pushed;  // by the producer: end of the last whole record
  alignas(
      64) std::atomic<uint64_t> claimed;    // next record to begin: moved by the consumer, or by a take-back
  alignas(64) std::atomic<uint64_t> freed;  // by the consumer: everything below may be overwritten
  std::atomic<uint32_t> starved;            // the producer waits for room
};

/// One end's view of a ring. Producer: push, take_back. Consumer: pop. Not thread-safe within an end.
class Ring {
 public:
  Ring(RingHead* head, uint8_t* data, uint64_t size) : head_(head), data_(data), size_(size) {}

  /// Pushes `message` from byte `*done` on, as far as there is room, and moves `*done` along. True when all
  /// of it is in; otherwise call again once the consumer has freed some (it sees `starved`). A message of up
  /// to piece_bytes_max() goes in whole or not at all.
  bool push(std::string_view message, size_t* done);
  size_t piece_bytes_max() const { return size_ / 4; }

  /// The next whole message, copied out; nothing when there is none yet. Damaged lengths end the ring: see
  /// damaged().
  std::optional<std::string> pop();
  bool empty() const;
  bool damaged() const { return damaged_; }

  /// Takes back every message that the consumer has not begun. Returns the cursor from which on messages were
  /// taken: those pushed before it will be, or have been, consumed.
  uint64_t take_back();
  /// What a message, or a piece of one, takes in the ring.
  static uint64_t record_bytes(size_t message_bytes) {
    return (sizeof(uint64_t) + message_bytes + 7) & ~7ull;
  }
  uint64_t pushed() const { return head_->pushed.load(std::memory_order_acquire); }
  uint64_t claimed() const { return head_->claimed.load(std::memory_order_acquire); }

  RingHead& head() { return *head_; }

 private:
  bool push_piece(std::string_view piece, bool more);
  void copy_in(uint64_t at, const void* from, size_t bytes);
  void copy_out(uint64_t at, void* to, size_t bytes) const;

  RingHead* head_;
  uint8_t* data_;
  uint64_t size_;
  std::string partial_;  // the consumer's: pieces of a message whose end has not come
  bool damaged_ = false;
};

}  // namespace mobula
