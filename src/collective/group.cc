// The operations, as rounds over the stages. Every rank takes part in every round of an operation, with or
// without data of its own, so that all agree on the number of the next round.
#include "collective/group.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace mobula::collective {
namespace {

/// Chunks up to this are combined by every rank for itself: that saves a step of waiting.
constexpr size_t kWholeBytesMax = 8 << 10;

uint32_t rounds_for(size_t amount, size_t per_round) {
  return static_cast<uint32_t>(std::max<size_t>(1, (amount + per_round - 1) / per_round));
}

/// The part of `data` that belongs to a round.
template <typename Byte>
std::span<Byte> chunk_of(std::span<Byte> data, uint32_t index, size_t bytes) {
  size_t begin = std::min(data.size(), index * bytes);
  return data.subspan(begin, std::min(bytes, data.size() - begin));
}

void copy(uint8_t* to, const uint8_t* from, size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

}  // namespace

Group::Group(GroupOptions options, Mapping memory, HasEnded has_ended)
    : mapping_(std::move(memory)),
      memory_(mapping_.data(), options.world),
      sync_(memory_, options, std::move(has_ended)),
      to_(std::make_unique<std::mutex[]>(options.world)),
      from_(std::make_unique<std::mutex[]>(options.world)) {}

void Group::lay_out(uint8_t* memory, uint32_t world) {
  GroupHeader& header = GroupMemory(memory, world).header();  // all else is right as zeros
  header.world = world;
  header.magic = kGroupMagic;
}

Status Group::begin_round(const Turn& turn, uint32_t round) {
  for (uint32_t rank = 0; rank < world(); ++rank) {
    uint32_t free_at = round + 1 - kStages;
    TRY(sync_.await(memory_.board(rank).read, free_at, rank, round - kStages, turn.label, turn.interrupted));
  }
  own().labels[round % kStages] = turn.label;
  return Status::ok();
}

void Group::raise_filled(uint32_t round) { sync_.raise(own().filled, round + 1); }

Status Group::await_filled(const Turn& turn, uint32_t rank, uint32_t round) {
  const Board& board = memory_.board(rank);
  TRY(sync_.await(board.filled, round + 1, rank, round, turn.label, turn.interrupted));
  const Label theirs = board.labels[round % kStages];
  if (theirs == turn.label) return Status::ok();
  return sync_.fail(Code::kInvalid, "rank " + std::to_string(rank) + " called " + to_string(theirs) +
                                        ", but rank " + std::to_string(options().rank) + " called " +
                                        to_string(turn.label));
}

Status Group::await_all_filled(const Turn& turn, uint32_t round) {
  for (uint32_t rank = 0; rank < world(); ++rank) TRY(await_filled(turn, rank, round));
  return Status::ok();
}

void Group::end_round(uint32_t round) {
  sync_.raise(own().reduced, round + 1);
  sync_.raise(own().read, round + 1);
}

// ---- combining
// ---------------------------------------------------------------------------------------------

Status Group::all_reduce(std::span<uint8_t> data, ElementType type, ReduceOp op,
                         const Interrupted& interrupted) {
  std::lock_guard lock(mutex_);
  return reduce_rounds({{Operation::kAllReduce, type, op, 0, data.size()}, interrupted}, data, true);
}

Status Group::reduce(std::span<uint8_t> data, ElementType type, ReduceOp op, uint32_t root,
                     const Interrupted& interrupted) {
  std::lock_guard lock(mutex_);
  return reduce_rounds({{Operation::kReduce, type, op, root, data.size()}, interrupted}, data,
                       root == options().rank);
}

Status Group::reduce_rounds(const Turn& turn, std::span<uint8_t> data, bool keeps) {
  TRY(sync_.broken());
  TRY(combine_of(turn.label.type, turn.label.op).status());
  uint32_t rounds = rounds_for(data.size(), kStageBytes);
  auto fill = [&](uint32_t index) -> Status {
    std::span<uint8_t> chunk = chunk_of(data, index, kStageBytes);
    TRY(begin_round(turn, round_ + index));
    copy(memory_.stage(options().rank, round_ + index), chunk.data(), chunk.size());
    raise_filled(round_ + index);
    return Status::ok();
  };
  TRY(fill(0));
  for (uint32_t index = 0; index < rounds; ++index) {
    if (index + 1 < rounds) TRY(fill(index + 1));
    TRY(await_all_filled(turn, round_ + index));
    std::span<uint8_t> chunk = chunk_of(data, index, kStageBytes);
    bool whole = chunk.size() <= kWholeBytesMax;
    TRY(whole ? combine_whole(turn, chunk, round_ + index, keeps)
              : combine_shares(turn, chunk, round_ + index, keeps));
    end_round(round_ + index);
  }
  round_ += rounds;
  return Status::ok();
}

Status Group::combine_whole(const Turn& turn, std::span<uint8_t> chunk, uint32_t round, bool keeps) {
  if (!keeps || chunk.empty()) return Status::ok();
  ASSIGN_OR_RETURN(Combine combine, combine_of(turn.label.type, turn.label.op));
  copy(chunk.data(), memory_.stage(0, round), chunk.size());
  for (uint32_t rank = 1; rank < world(); ++rank)
    combine(chunk.data(), memory_.stage(rank, round), chunk.size() / bytes_of(turn.label.type));
  return Status::ok();
}

Status Group::combine_shares(const Turn& turn, std::span<uint8_t> chunk, uint32_t round, bool keeps) {
  ASSIGN_OR_RETURN(Combine combine, combine_of(turn.label.type, turn.label.op));
  size_t element = bytes_of(turn.label.type), count = chunk.size() / element;
  auto begin = [&](uint32_t rank) { return count * rank / world() * element; };
  uint32_t rank = options().rank;
  uint8_t* share = memory_.stage(rank, round) + begin(rank);
  for (uint32_t step = 1; step < world(); ++step) {
    uint32_t other = (rank + step) % world();
    combine(share, memory_.stage(other, round) + begin(rank), (begin(rank + 1) - begin(rank)) / element);
  }
  sync_.raise(own().reduced, round + 1);
  if (!keeps) return Status::ok();
  for (uint32_t step = 0; step < world(); ++step) {
    uint32_t other = (rank + step) % world();
    TRY(sync_.await(memory_.board(other).reduced, round + 1, other, round, turn.label, turn.interrupted));
    copy(chunk.data() + begin(other), memory_.stage(other, round) + begin(other),
         begin(other + 1) - begin(other));
  }
  return Status::ok();
}

Status Group::reduce_scatter(std::span<const std::span<const uint8_t>> inputs, std::span<uint8_t> out,
                             ElementType type, ReduceOp op, const Interrupted& interrupted) {
  std::lock_guard lock(mutex_);
  TRY(sync_.broken());
  ASSIGN_OR_RETURN(Combine combine, combine_of(type, op));
  Turn turn{{Operation::kReduceScatter, type, op, 0, out.size()}, interrupted};
  size_t element = bytes_of(type), share = kStageBytes / element / world() * element;
  uint32_t rounds = rounds_for(out.size(), share), rank = options().rank;
  for (uint32_t index = 0; index < rounds; ++index, ++round_) {
    TRY(begin_round(turn, round_));
    for (uint32_t other = 0; other < world(); ++other) {
      auto piece = chunk_of(inputs[other], index, share);
      copy(memory_.stage(rank, round_) + other * share, piece.data(), piece.size());
    }
    raise_filled(round_);
    TRY(await_all_filled(turn, round_));
    auto result = chunk_of(out, index, share);
    copy(result.data(), memory_.stage(rank, round_) + rank * share, result.size());
    for (uint32_t step = 1; step < world(); ++step) {
      uint32_t other = (rank + step) % world();
      combine(result.data(), memory_.stage(other, round_) + rank * share, result.size() / element);
    }
    end_round(round_);
  }
  return Status::ok();
}

// ---- passing on
// --------------------------------------------------------------------------------------------

Status Group::all_gather(std::span<const uint8_t> data, std::span<const std::span<uint8_t>> outs,
                         ElementType type, const Interrupted& interrupted) {
  std::lock_guard lock(mutex_);
  TRY(sync_.broken());
  Turn turn{{Operation::kAllGather, type, ReduceOp::kSum, 0, data.size()}, interrupted};
  uint32_t rounds = rounds_for(data.size(), kStageBytes), rank = options().rank;
  for (uint32_t index = 0; index < rounds; ++index, ++round_) {
    TRY(begin_round(turn, round_));
    auto piece = chunk_of(data, index, kStageBytes);
    copy(memory_.stage(rank, round_), piece.data(), piece.size());
    raise_filled(round_);
    for (uint32_t step = 0; step < world(); ++step) {
      uint32_t other = (rank + step) % world();
      TRY(await_filled(turn, other, round_));
      auto into = chunk_of(outs[other], index, kStageBytes);
      copy(into.data(), memory_.stage(other, round_), into.size());
    }
    end_round(round_);
  }
  return Status::ok();
}

Status Group::broadcast(std::span<uint8_t> data, ElementType type, uint32_t root,
                        const Interrupted& interrupted) {
  std::lock_guard lock(mutex_);
  TRY(sync_.broken());
  Turn turn{{Operation::kBroadcast, type, ReduceOp::kSum, root, data.size()}, interrupted};
  uint32_t rounds = rounds_for(data.size(), kStageBytes);
  bool sends = root == options().rank;
  for (uint32_t index = 0; index < rounds; ++index, ++round_) {
    TRY(begin_round(turn, round_));
    auto piece = chunk_of(data, index, kStageBytes);
    if (sends) copy(memory_.stage(root, round_), piece.data(), piece.size());
    raise_filled(round_);
    if (!sends) {
      TRY(await_filled(turn, root, round_));
      copy(piece.data(), memory_.stage(root, round_), piece.size());
    }
    end_round(round_);
  }
  return Status::ok();
}

Status Group::barrier(const Interrupted& interrupted) {
  std::lock_guard lock(mutex_);
  TRY(sync_.broken());
  Turn turn{{Operation::kBarrier, ElementType::kUint8, ReduceOp::kSum, 0, 0}, interrupted};
  TRY(begin_round(turn, round_));
  raise_filled(round_);
  TRY(await_all_filled(turn, round_));
  end_round(round_++);
  return Status::ok();
}

// ---- from one to one
// ---------------------------------------------------------------------------------------

Status Group::send(std::span<const uint8_t> data, ElementType type, uint32_t to,
                   const Interrupted& interrupted) {
  std::lock_guard lock(to_[to]);
  TRY(sync_.broken());
  Channel& channel = memory_.channel(options().rank, to);
  Label label{Operation::kSend, type, ReduceOp::kSum, 0, data.size()};
  uint32_t rounds = rounds_for(data.size(), kChannelStageBytes), at = channel.sent.value.load();
  for (uint32_t index = 0; index < rounds; ++index, ++at) {
    TRY(sync_.await(channel.taken, at + 1 - kChannelStages, to, std::nullopt, label, interrupted));
    auto piece = chunk_of(data, index, kChannelStageBytes);
    channel.labels[at % kChannelStages] = label;
    copy(memory_.channel_stage(options().rank, to, at), piece.data(), piece.size());
    sync_.raise(channel.sent, at + 1);
  }
  return Status::ok();
}

Status Group::receive(std::span<uint8_t> data, ElementType type, uint32_t from,
                      const Interrupted& interrupted) {
  std::lock_guard lock(from_[from]);
  TRY(sync_.broken());
  Channel& channel = memory_.channel(from, options().rank);
  Label label{Operation::kSend, type, ReduceOp::kSum, 0, data.size()};
  uint32_t rounds = rounds_for(data.size(), kChannelStageBytes), at = channel.taken.value.load();
  for (uint32_t index = 0; index < rounds; ++index, ++at) {
    TRY(sync_.await(channel.sent, at + 1, from, std::nullopt, label, interrupted));
    if (const Label theirs = channel.labels[at % kChannelStages]; !(theirs == label)) {
      return sync_.fail(Code::kInvalid,
                        "rank " + std::to_string(from) + " sent " + std::to_string(theirs.bytes) +
                            " bytes of " + std::string(to_string(theirs.type)) + ", but rank " +
                            std::to_string(options().rank) + " receives " + std::to_string(data.size()) +
                            " bytes of " + std::string(to_string(type)));
    }
    auto piece = chunk_of(data, index, kChannelStageBytes);
    copy(piece.data(), memory_.channel_stage(from, options().rank, at), piece.size());
    sync_.raise(channel.taken, at + 1);
  }
  return Status::ok();
}

void Group::leave() { own().presence.store(Presence::kLeft); }

}  // namespace mobula::collective
