// The shared memory of one group: a header, a board of counters for each rank, the ranks' stages (where
// chunks of arrays pass through), and a channel for each ordered pair of ranks. Laid out once by rank 0; all
// counters only grow. Its size does not depend on the arrays', and pages exist once touched.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>

#include "collective/reduce.h"

namespace mobula::collective {

constexpr uint64_t kGroupMagic = 0x4D4F42554C470001;  // the version of this layout
constexpr uint32_t kRanksMax = 128;
constexpr uint64_t kStageBytes = 256 << 10;
constexpr uint32_t kStages = 4;  // chunks that a rank may be ahead of the slowest
constexpr uint64_t kChannelStageBytes = 128 << 10;
constexpr uint32_t kChannelStages = 2;

enum class Operation : uint8_t {
  kAllReduce,
  kReduce,
  kReduceScatter,
  kAllGather,
  kBroadcast,
  kBarrier,
  kSend,
};

/// What a rank believes that all are doing; goes with each chunk, so that a group that has fallen out of step
/// learns so instead of waiting for ever.
struct Label {
  Operation operation = Operation::kBarrier;
  ElementType type = ElementType::kUint8;
  ReduceOp op = ReduceOp::kSum;
  uint32_t root = 0;
  uint64_t bytes = 0;
  bool operator==(const Label&) const = default;
};

/// A counter that others sleep on. Whoever raises it makes one system call, and only when somebody sleeps.
struct alignas(64) Counter {
  std::atomic<uint32_t> value;
  std::atomic<uint32_t> sleepers;
};

enum class Presence : uint32_t { kHere = 0, kLeft = 1 };

struct Board {  // written by its rank alone
  Counter filled, reduced, read;
  std::atomic<Presence> presence;
  int32_t pid;  // written by rank 0, before the others come
  Label labels[kStages];
};

struct Channel {
  Counter sent, taken;
  Label labels[kChannelStages];
};

struct GroupHeader {
  uint64_t magic;
  uint32_t world;
  std::atomic<uint32_t> broken;  // 0: no; 1: the reason is being written; else 2 + the code
  char reason[512];
};

constexpr uint64_t whole_pages(uint64_t bytes) { return (bytes + 4095) & ~4095ull; }

/// A view of the segment; all offsets follow from the number of ranks.
class GroupMemory {
 public:
  GroupMemory(uint8_t* data, uint32_t world) : data_(data), world_(world) {}
  static uint64_t bytes(uint32_t world) { return channels_at(world) + pairs(world) * kPairBytes; }

  GroupHeader& header() const { return *reinterpret_cast<GroupHeader*>(data_); }
  Board& board(uint32_t rank) const { return reinterpret_cast<Board*>(data_ + kBoardsAt)[rank]; }
  uint8_t* stage(uint32_t rank, uint32_t round) const {
    return data_ + stages_at(world_) + (rank * uint64_t{kStages} + round % kStages) * kStageBytes;
  }
  Channel& channel(uint32_t from, uint32_t to) const {
    return *reinterpret_cast<Channel*>(data_ + channels_at(world_) + pair(from, to) * kPairBytes);
  }
  uint8_t* channel_stage(uint32_t from, uint32_t to, uint32_t round) const {
    return reinterpret_cast<uint8_t*>(&channel(from, to)) + kChannelHeadBytes +
           round % kChannelStages * kChannelStageBytes;
  }

 private:
  static constexpr uint64_t kBoardsAt = whole_pages(sizeof(GroupHeader));
  static constexpr uint64_t kChannelHeadBytes = whole_pages(sizeof(Channel));
  static constexpr uint64_t kPairBytes = kChannelHeadBytes + kChannelStages * kChannelStageBytes;
  static uint64_t pairs(uint32_t world) { return uint64_t{world} * world; }
  static uint64_t stages_at(uint32_t world) { return kBoardsAt + whole_pages(world * sizeof(Board)); }
  static uint64_t channels_at(uint32_t world) {
    return stages_at(world) + uint64_t{world} * kStages * kStageBytes;
  }
  uint64_t pair(uint32_t from, uint32_t to) const { return uint64_t{from} * world_ + to; }

  uint8_t* data_;
  uint32_t world_;
};

}  // namespace mobula::collective
