// The control segment: the shared memory through which a node and its workers talk. A header with the node's
// bell, then one slot for each worker: three rings and their bells. Laid out once by the node; a worker maps
// it and uses its own slot. Everything in it is plain atomics and bytes.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#include "sys/doorbell.h"
#include "sys/shm.h"
#include "wire/ring.h"

namespace mobula {

constexpr uint64_t kSegmentMagic = 0x4D4F42554C410004;  // "MOBULA" and the version of this layout
constexpr uint32_t kSlotsMax = 512;
constexpr uint64_t kTaskRingBytes = 256 << 10;
constexpr uint64_t kReplyRingBytes = 256 << 10;
constexpr uint64_t kUpRingBytes = 512 << 10;

struct SegmentHeader {
  uint64_t magic = 0;
  uint64_t arena_bytes = 0;
  uint32_t session = 0, slots = 0;
  char node_id[56] = {};
  char job_id[8] = {};
  uint64_t config_offset = 0, config_bytes = 0;             // the job's document, after the slots
  uint64_t metrics_offset = 0, metrics_bytes = 0;           // a MetricTable of all workers, at the end
  alignas(64) Doorbell bell;                                // the node's: any client rings it
  alignas(64) std::atomic<uint64_t> dirty[kSlotsMax / 64];  // slots whose upward ring has something
  alignas(
      64) std::atomic<uint64_t> awake[kSlotsMax / 64];  // slots whose worker runs something or looks for it

  void set_awake(uint32_t slot, bool is_awake) {
    uint64_t bit = uint64_t{1} << (slot % 64);
    if (is_awake)
      awake[slot / 64].fetch_or(bit, std::memory_order_relaxed);
    else
      awake[slot / 64].fetch_and(~bit, std::memory_order_relaxed);
  }
  /// Whether the workers that are awake, and the driver, leave each other a CPU.
  bool has_cpu_to_spin() const {
    static const int cpus = usable_cpus();
    int busy = 1;
    for (const auto& word : awake) busy += std::popcount(word.load(std::memory_order_relaxed));
    return busy <= cpus;
  }
};

struct alignas(4096) SlotHeader {
  std::atomic<uint32_t> ready;                            // the worker has mapped everything
  int32_t pid = 0;                                        // the worker's, set before `ready`
  alignas(64) Doorbell task_bell, reply_bell, room_bell;  // room: the node has drained the upward ring
  RingHead tasks, replies, up;
};

constexpr uint64_t kSlotBytes = sizeof(SlotHeader) + kTaskRingBytes + kReplyRingBytes + kUpRingBytes;
constexpr uint64_t kSlotsOffset = (sizeof(SegmentHeader) + 4095) & ~4095ull;

/// One slot, with its rings in place.
struct Slot {
  Slot(uint8_t* segment, uint32_t index)
      : header(reinterpret_cast<SlotHeader*>(segment + kSlotsOffset + index * kSlotBytes)),
        tasks(&header->tasks, data(), kTaskRingBytes),
        replies(&header->replies, data() + kTaskRingBytes, kReplyRingBytes),
        up(&header->up, data() + kTaskRingBytes + kReplyRingBytes, kUpRingBytes) {}
  uint8_t* data() const { return reinterpret_cast<uint8_t*>(header) + sizeof(SlotHeader); }

  SlotHeader* header;
  Ring tasks, replies, up;
};

inline uint64_t segment_bytes(uint32_t slots, uint64_t config_bytes) {
  return kSlotsOffset + slots * kSlotBytes + config_bytes;
}

}  // namespace mobula
