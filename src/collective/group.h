// A group of processes that combine arrays through shared memory: the first file to read in collective/.
// An array passes through the group's segment (segment.h) in chunks: each round, every rank copies its chunk
// into a stage of its own, combines its share of all ranks' stages, and copies the others' shares out; while
// one round is being combined the next is copied in. Counters on futexes say who is how far (sync.h). Members
// find one another by a socket (rendezvous.h). Collective calls of one process take turns; messages between
// two ranks go through a channel of their own. Tests: group_test.cc, rendezvous_test.cc,
// tests/contract/util/test_util_collective.py.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "collective/sync.h"
#include "sys/shm.h"

namespace mobula::collective {

class Group {
 public:
  /// `memory` has GroupMemory::bytes(world) bytes, laid out by lay_out().
  Group(GroupOptions options, Mapping memory, HasEnded has_ended);
  /// Makes fresh memory that of a group.
  static void lay_out(uint8_t* memory, uint32_t world);
  const GroupOptions& options() const { return sync_.options(); }

  /// All ranks: `data` becomes the combination of everybody's.
  Status all_reduce(std::span<uint8_t> data, ElementType type, ReduceOp op, const Interrupted& interrupted);
  /// The same on rank `root`; the others' data stay as they are.
  Status reduce(std::span<uint8_t> data, ElementType type, ReduceOp op, uint32_t root,
                const Interrupted& interrupted);
  /// `out` becomes the combination of everybody's `inputs[own rank]`; one input for each rank, all of one
  /// size.
  Status reduce_scatter(std::span<const std::span<const uint8_t>> inputs, std::span<uint8_t> out,
                        ElementType type, ReduceOp op, const Interrupted& interrupted);
  /// `outs[r]` becomes rank r's `data`.
  Status all_gather(std::span<const uint8_t> data, std::span<const std::span<uint8_t>> outs, ElementType type,
                    const Interrupted& interrupted);
  Status broadcast(std::span<uint8_t> data, ElementType type, uint32_t root, const Interrupted& interrupted);
  /// Returns once all ranks have called it.
  Status barrier(const Interrupted& interrupted);
  /// Returns once the data are in the channel, which holds 256 KiB that were not received yet.
  Status send(std::span<const uint8_t> data, ElementType type, uint32_t to, const Interrupted& interrupted);
  Status receive(std::span<uint8_t> data, ElementType type, uint32_t from, const Interrupted& interrupted);
  /// Tells the others; those who wait for this rank fail. Idempotent.
  void leave();

 private:
  struct Turn {
    Label label;
    const Interrupted& interrupted;
  };

  Status reduce_rounds(const Turn& turn, std::span<uint8_t> data, bool keeps);
  Status combine_whole(const Turn& turn, std::span<uint8_t> chunk, uint32_t round, bool keeps);
  Status combine_shares(const Turn& turn, std::span<uint8_t> chunk, uint32_t round, bool keeps);
  /// Waits for this rank's stage of `round` to be free, and says in it what is going on.
  Status begin_round(const Turn& turn, uint32_t round);
  void raise_filled(uint32_t round);
  Status await_filled(const Turn& turn, uint32_t rank, uint32_t round);
  Status await_all_filled(const Turn& turn, uint32_t round);
  void end_round(uint32_t round);
  Board& own() { return memory_.board(options().rank); }
  uint32_t world() const { return options().world; }

  Mapping mapping_;
  GroupMemory memory_;
  Sync sync_;
  std::mutex mutex_;                         // one collective call at a time
  std::unique_ptr<std::mutex[]> to_, from_;  // one message at a time each way with each rank
  uint32_t round_ = 0;                       // the next one; the same on all ranks
};

}  // namespace mobula::collective
