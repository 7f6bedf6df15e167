// Futexes in slices: between two of them the waiter looks whether the others still live.
#include "collective/sync.h"

#include <algorithm>
#include <thread>

#include "sys/futex.h"
#include "sys/shm.h"

namespace mobula::collective {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kSlice{20};  // how long a death goes unnoticed at most
constexpr int kSpins = 2'000;
constexpr uint32_t kAll = ~uint32_t{0};
constexpr uint32_t kBreaking = 1, kBroken = 2;
constexpr std::string_view kOperations[] = {"allreduce", "reduce",  "reducescatter", "allgather",
                                            "broadcast", "barrier", "send"};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("" ::: "memory");
#endif
}

}  // namespace

std::string_view to_string(Operation operation) { return kOperations[static_cast<size_t>(operation)]; }

std::string to_string(const Label& label) {
  std::string text(to_string(label.operation));
  if (label.operation == Operation::kBarrier) return text;
  if (label.operation <= Operation::kReduceScatter) text += " (" + std::string(to_string(label.op)) + ")";
  text += " of " + std::to_string(label.bytes) + " bytes of " + std::string(to_string(label.type));
  if (label.operation == Operation::kReduce) text += " to rank " + std::to_string(label.root);
  if (label.operation == Operation::kBroadcast) text += " from rank " + std::to_string(label.root);
  return text;
}

Sync::Sync(GroupMemory memory, GroupOptions options, HasEnded has_ended)
    : memory_(memory),
      options_(std::move(options)),
      has_ended_(std::move(has_ended)),
      spins_(static_cast<uint32_t>(usable_cpus()) >= options_.world ? kSpins : 0) {}

void Sync::raise(Counter& counter, uint32_t value) const {
  counter.value.store(value, std::memory_order_seq_cst);
  if (counter.sleepers.load(std::memory_order_seq_cst) != 0)
    futex_wake(counter.value, static_cast<int>(kRanksMax), kAll);
}

Status Sync::await(const Counter& counter, uint32_t target, uint32_t rank, std::optional<uint32_t> round,
                   const Label& label, const Interrupted& interrupted) const {
  for (int i = 0; i <= spins_; ++i) {
    if (has_reached(counter, target)) return Status::ok();
    pause();
  }
  auto& sleepers = const_cast<Counter&>(counter).sleepers;
  auto started = Clock::now();
  for (;;) {
    sleepers.fetch_add(1, std::memory_order_seq_cst);
    uint32_t seen = counter.value.load(std::memory_order_seq_cst);
    if (static_cast<int32_t>(seen - target) < 0) futex_wait(counter.value, seen, kAll, kSlice);
    sleepers.fetch_sub(1, std::memory_order_seq_cst);
    if (has_reached(counter, target)) return Status::ok();
    TRY(look_round(counter, target, rank, round, label));
    if (has_reached(counter, target)) return Status::ok();
    if (interrupted && interrupted()) {
      return fail(Code::kCancelled,
                  "rank " + std::to_string(options_.rank) + " was interrupted in " + to_string(label));
    }
    if (options_.timeout.count() > 0 && Clock::now() - started > options_.timeout) {
      return fail(Code::kTimeout, "rank " + std::to_string(options_.rank) + " waited " +
                                      std::to_string(options_.timeout.count()) + " ms for " +
                                      described(rank) + " in " + to_string(label) +
                                      "; all members must call the same operations in the same order");
    }
  }
}

Status Sync::look_round(const Counter& counter, uint32_t target, uint32_t rank, std::optional<uint32_t> round,
                        const Label& label) const {
  TRY(broken());
  for (uint32_t other = 0; other < options_.world; ++other) {
    if (other == options_.rank || (!round && other != rank)) continue;
    const Board& board = memory_.board(other);
    bool left = board.presence.load() == Presence::kLeft;
    if (!left && !has_ended_(other)) continue;
    // What it did before it ended counts, and is seen now.
    bool needed = other == rank ? !has_reached(counter, target) : !has_reached(board.read, *round + 1);
    if (!needed) continue;
    return fail(Code::kLost, described(other) + (left ? " has left the group" : " has ended") +
                                 " while rank " + std::to_string(options_.rank) + " was in " +
                                 to_string(label));
  }
  return Status::ok();
}

std::string Sync::described(uint32_t rank) const {
  return "rank " + std::to_string(rank) + " (pid " + std::to_string(memory_.board(rank).pid) + ")";
}

Status Sync::fail(Code code, const std::string& reason) const {
  GroupHeader& header = memory_.header();
  uint32_t whole = 0;
  if (header.broken.compare_exchange_strong(whole, kBreaking)) {
    size_t bytes = std::min(reason.size(), sizeof header.reason - 1);
    reason.copy(header.reason, bytes);
    header.reason[bytes] = 0;
    header.broken.store(kBroken + static_cast<uint32_t>(code));
  }
  return {code, "collective group '" + options_.name + "': " + reason};
}

Status Sync::broken() const {
  uint32_t state = memory_.header().broken.load();
  if (state < kBroken) return Status::ok();
  auto code = static_cast<Code>(std::min<uint32_t>(state - kBroken, static_cast<uint32_t>(Code::kInternal)));
  const char* reason = memory_.header().reason;
  return {code, "collective group '" + options_.name +
                    "': " + std::string(reason, strnlen(reason, sizeof memory_.header().reason)) +
                    "; destroy the group and make it again"};
}

}  // namespace mobula::collective
