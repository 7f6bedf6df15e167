// The object table: every object of a node, its references and pins, where its value lies, and who waits for
// it. A pure state machine over the arena's allocator: facts come in as calls, what must be done leaves in
// StoreEffects. Owned by the node's loop. Invariant: an entry lives while it has holds, pins or a disk
// transfer; an arena extent belongs to exactly one entry or one client. Tests: store_test.cc, tests/sim.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/id.h"
#include "store/arena.h"
#include "wire/message.h"

namespace mobula {

/// Who is to be told when an object becomes ready or is back in memory. The store only hands it back.
struct Waiter {
  enum class Kind : uint8_t { kTask, kRequest, kStage } kind;
  uint64_t id;
  auto operator<=>(const Waiter&) const = default;
};

struct DiskPlace {
  uint32_t file = 0;
  uint64_t offset = 0;
};

/// Whom an allocation is for: a client's request, or (nil client) the restoring of an object.
struct AllocationTicket {
  ClientId client;
  RequestId request = 0;
  ObjectId restore;
  uint64_t bytes = 0;
};

struct StoreEffects {
  struct Woken {
    Waiter waiter;
    ObjectId id;
    std::string no_room;  // why its value, which is on disk, could not be brought back; empty: it is there
  };
  struct Write {
    ObjectId id;
    uint64_t offset, bytes;
  };
  struct Read {
    ObjectId id;
    uint64_t offset, bytes;
    DiskPlace from;
  };
  struct Grant {
    AllocationTicket ticket;
    uint64_t offset = 0;
    Code code = Code::kOk;
    std::string message;
  };
  std::vector<Woken> woken;
  std::vector<Write> writes;                              // answered by on_spilled
  std::vector<Read> reads;                                // answered by on_restored
  std::vector<std::pair<DiskPlace, uint64_t>> forgotten;  // disk copies (and bytes) of no more use
  std::vector<Grant> grants;
  std::vector<ObjectId> unreferenced;  // watched objects whose last reference went
};

/// An object that had to come back so often is in use: from then on it leaves by age alone.
constexpr uint8_t kRestoresToStay = 2;

struct ObjectEntry {
  enum class Place : uint8_t { kPending, kMemory, kDisk };
  Place place = Place::kPending;
  bool spilling = false, restoring = false, watched = false;
  bool has_copy = false;  // its value lies on disk, at `disk`, whether it is in memory as well or not
  uint8_t restores = 0;   // counted up to kRestoresToStay
  uint32_t holds = 0, pins = 0;
  Located value;
  DiskPlace disk;
  uint64_t touched = 0;
  std::vector<Waiter> waiters;  // for readiness, or for being back in memory

  bool is_ready() const { return place != Place::kPending; }
  bool is_error() const { return is_ready() && value.kind != PayloadKind::kValue; }
};

class ObjectTable {
 public:
  explicit ObjectTable(uint64_t arena_bytes) : arena_(arena_bytes) {}

  /// A pending object, or more holds on one that exists.
  void create(ObjectId id, uint32_t holds);
  const ObjectEntry* find(ObjectId id) const;
  /// The value has come. A second value for the same object is dropped, and so is one that nobody holds.
  void seal(ObjectId id, Located value, StoreEffects& out);
  /// Watched objects report their last release in `unreferenced`.
  void watch(ObjectId id);

  /// One more reference. An object that is gone comes back as an error that says so.
  void hold(ObjectId id, StoreEffects& out);
  void release(ObjectId id, StoreEffects& out);

  /// Calls back once when the object is ready (or, when it is on disk, back in memory).
  void add_waiter(ObjectId id, Waiter waiter);
  void remove_waiter(ObjectId id, Waiter waiter, StoreEffects& out);
  /// Keeps the value in memory and in place. False when it is not in memory: then restore() first.
  bool pin(ObjectId id);
  void unpin(ObjectId id, StoreEffects& out);
  /// Brings a spilled value back; waiters learn of it.
  void restore(ObjectId id, StoreEffects& out);

  /// Room for a client; answered in `grants`, now or when there is some.
  void allocate(const AllocationTicket& ticket, StoreEffects& out);
  /// False when it has been answered already.
  bool cancel_allocation(ClientId client, RequestId request, StoreEffects& out);
  /// Room that was granted and will not be used.
  void abandon(uint64_t offset, StoreEffects& out);
  /// Everything granted to the client and not sealed is free again.
  void on_client_lost(ClientId client, StoreEffects& out);

  void on_spilled(ObjectId id, std::optional<DiskPlace> place, const std::string& error, StoreEffects& out);
  /// A value that somebody waited for stays pinned until release_restored(): call it when the woken have had
  /// their look, or what comes in next would push it out again first.
  void on_restored(ObjectId id, bool ok, const std::string& error, StoreEffects& out);
  void release_restored(StoreEffects& out);
  /// Nothing moved for a while: the oldest allocation fails with the largest holders named.
  void on_stalled(StoreEffects& out);
  bool is_waiting_for_room() const { return !queue_.empty(); }
  /// It waits, and nothing is on its way to disk: only an unpin or a release can help.
  bool is_stuck() const { return !queue_.empty() && spilling_bytes_ == 0; }
  /// Somebody waits for what is on its way to disk.
  bool is_making_room() const { return !queue_.empty() && spilling_bytes_ > 0; }
  uint64_t moves() const { return moves_; }  // changes whenever memory was freed or granted

  const Arena& arena() const { return arena_; }
  size_t size() const { return entries_.size(); }
  uint64_t spilled_bytes() const { return spilled_bytes_; }
  uint64_t restored_bytes() const { return restored_bytes_; }
  size_t pinned_objects() const;
  const std::unordered_map<ObjectId, ObjectEntry>& entries() const { return entries_; }
  void check() const;

 private:
  void drop_if_unused(ObjectId id, StoreEffects& out);
  void wake(ObjectId id, ObjectEntry& entry, StoreEffects& out, const std::string& no_room = {});
  void touch(ObjectId id, ObjectEntry& entry);
  /// Who leaves the arena first: what was brought back from disk once (it leaves for nothing, and is rarely
  /// read again), then what was used longest ago.
  struct Leaving {
    bool later;
    uint64_t touched;
    ObjectId id;
    auto operator<=>(const Leaving&) const = default;
  };
  static Leaving leaving(ObjectId id, const ObjectEntry& entry) {
    bool costs_nothing = entry.has_copy && entry.restores < kRestoresToStay;
    return {!costs_nothing, entry.touched, id};
  }
  void let_leave(ObjectId id, const ObjectEntry& entry) { spillable_.insert(leaving(id, entry)); }
  bool keep(ObjectId id, const ObjectEntry& entry) { return spillable_.erase(leaving(id, entry)) > 0; }
  void free_extent(uint64_t offset);
  void serve_queue(StoreEffects& out);
  enum class Room : uint8_t { kNone, kComing, kFreed };
  Room make_room(uint64_t bytes, StoreEffects& out);
  void drop_copy(ObjectEntry& entry, StoreEffects& out);
  void fail_allocation(const AllocationTicket& ticket, Code code, std::string message, StoreEffects& out);
  std::string largest_holders() const;

  Arena arena_;
  std::unordered_map<ObjectId, ObjectEntry> entries_;
  std::set<Leaving> spillable_;                     // in the arena, unpinned
  std::unordered_map<uint64_t, ClientId> granted_;  // extents that clients are writing
  std::deque<AllocationTicket> queue_;              // served in order
  std::vector<ObjectId> restored_;                  // pinned until release_restored()
  uint64_t clock_ = 0, moves_ = 0, spilling_bytes_ = 0, spilled_bytes_ = 0, restored_bytes_ = 0;
  std::string disk_error_;  // why the last spill failed
};

}  // namespace mobula
