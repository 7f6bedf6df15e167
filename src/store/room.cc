// Room in the arena: allocations are served in order; when there is none, the values that were used longest
// ago go to disk, and come back when somebody needs them. A value never changes, so its copy on disk stays
// good while the object lives: it is written once, however often it leaves.
#include <algorithm>

#include "base/check.h"
#include "store/store.h"

namespace mobula {
namespace {

using Place = ObjectEntry::Place;
constexpr ClientId kRestoring{};  // the owner of an extent that a restore is filling
constexpr size_t kHoldersNamed = 10;

std::string megabytes(uint64_t bytes) { return std::to_string((bytes + (1 << 19)) >> 20) + " MiB"; }

}  // namespace

void ObjectTable::free_extent(uint64_t offset) {
  arena_.free(offset);
  ++moves_;
}

void ObjectTable::drop_copy(ObjectEntry& entry, StoreEffects& out) {
  if (std::exchange(entry.has_copy, false)) out.forgotten.emplace_back(entry.disk, entry.value.size);
}

void ObjectTable::fail_allocation(const AllocationTicket& ticket, Code code, std::string message,
                                  StoreEffects& out) {
  if (ticket.restore.is_nil()) {
    out.grants.push_back({ticket, 0, code, std::move(message)});
    return;
  }
  auto found = entries_.find(ticket.restore);
  if (found == entries_.end()) return;
  found->second.restoring = false;  // it stays on disk: who asks again may find room
  wake(ticket.restore, found->second, out, message);
  drop_if_unused(ticket.restore, out);
}

void ObjectTable::allocate(const AllocationTicket& ticket, StoreEffects& out) {
  if (ticket.bytes > arena_.bytes()) {  // whose size is whole pages: then the rounded length fits as well
    fail_allocation(ticket, Code::kFull,
                    "a value of " + std::to_string(ticket.bytes) + " bytes (" + megabytes(ticket.bytes) +
                        ") is larger than the whole object store (" + megabytes(arena_.bytes()) +
                        "); pass init(object_store_memory=…) more, or split the value",
                    out);
    return;
  }
  queue_.push_back(ticket);
  if (queue_.size() == 1) serve_queue(out);
}

bool ObjectTable::cancel_allocation(ClientId client, RequestId request, StoreEffects& out) {
  bool found = std::erase_if(queue_, [&](const AllocationTicket& t) {
                 return t.client == client && t.request == request && t.restore.is_nil();
               }) > 0;
  if (found) serve_queue(out);
  return found;
}

void ObjectTable::serve_queue(StoreEffects& out) {
  while (!queue_.empty()) {
    AllocationTicket ticket = queue_.front();
    std::optional<uint64_t> offset = arena_.allocate(ticket.bytes);
    if (!offset) {
      uint64_t bytes = Arena::rounded(ticket.bytes);
      uint64_t free = arena_.bytes() - arena_.used_bytes();
      Room room = Room::kNone;
      if (spilling_bytes_ == 0 || spilling_bytes_ + free < bytes) room = make_room(bytes, out);
      if (room == Room::kFreed) continue;
      if (room == Room::kNone && spilling_bytes_ == 0 && !disk_error_.empty()) {
        queue_.pop_front();
        fail_allocation(ticket, Code::kFull,
                        "the object store is full and cannot spill: " + std::exchange(disk_error_, {}), out);
        continue;
      }
      return;
    }
    queue_.pop_front();
    ++moves_;
    granted_.emplace(*offset, ticket.restore.is_nil() ? ticket.client : kRestoring);
    if (ticket.restore.is_nil()) {
      out.grants.push_back({ticket, *offset, Code::kOk, {}});
    } else {
      ObjectEntry& entry = entries_.at(ticket.restore);
      entry.value.offset = *offset;
      out.reads.push_back({ticket.restore, *offset, entry.value.size, entry.disk});
    }
  }
  disk_error_.clear();  // nobody is left whom it concerns
}

/// Lets values leave until `bytes` are free or on their way, and at least one, for the free ones may lie
/// scattered. Those with a copy on disk leave at once.
ObjectTable::Room ObjectTable::make_room(uint64_t bytes, StoreEffects& out) {
  Room room = Room::kNone;
  for (auto at = spillable_.begin(); at != spillable_.end();) {
    uint64_t free = arena_.bytes() - arena_.used_bytes();
    if (room != Room::kNone && free + spilling_bytes_ >= bytes) break;
    ObjectId id = at->id;
    ObjectEntry& entry = entries_.at(id);
    if (!entry.has_copy && !disk_error_.empty()) {
      ++at;
      continue;
    }
    at = spillable_.erase(at);
    if (entry.has_copy) {
      entry.place = Place::kDisk;
      free_extent(entry.value.offset);
      room = Room::kFreed;
      continue;
    }
    entry.spilling = true;
    spilling_bytes_ += Arena::rounded(entry.value.size);
    out.writes.push_back({id, entry.value.offset, entry.value.size});
    if (room == Room::kNone) room = Room::kComing;
  }
  return room;
}

void ObjectTable::abandon(uint64_t offset, StoreEffects& out) {
  auto granted = granted_.find(offset);
  if (granted == granted_.end() || granted->second == kRestoring) return;
  granted_.erase(granted);
  free_extent(offset);
  serve_queue(out);
}

void ObjectTable::on_client_lost(ClientId client, StoreEffects& out) {
  std::erase_if(queue_, [&](const AllocationTicket& t) { return t.client == client && t.restore.is_nil(); });
  for (auto at = granted_.begin(); at != granted_.end();) {
    if (at->second != client) {
      ++at;
      continue;
    }
    free_extent(at->first);
    at = granted_.erase(at);
  }
  serve_queue(out);
}

void ObjectTable::on_spilled(ObjectId id, std::optional<DiskPlace> place, const std::string& error,
                             StoreEffects& out) {
  ObjectEntry& entry = entries_.at(id);
  CHECK(entry.spilling);
  entry.spilling = false;
  spilling_bytes_ -= Arena::rounded(entry.value.size);
  bool wanted_here = entry.pins > 0;
  if (place) {
    disk_error_.clear();
    spilled_bytes_ += entry.value.size;
    entry.has_copy = true;
    entry.disk = *place;
  } else {
    disk_error_ = error;
  }
  if (place && !wanted_here) {
    free_extent(entry.value.offset);
    entry.place = Place::kDisk;
  } else if (!wanted_here) {
    let_leave(id, entry);
  }
  drop_if_unused(id, out);
  serve_queue(out);
}

void ObjectTable::restore(ObjectId id, StoreEffects& out) {
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.place != Place::kDisk || found->second.restoring) return;
  found->second.restoring = true;
  allocate({.client = {}, .request = 0, .restore = id, .bytes = found->second.value.size}, out);
}

void ObjectTable::on_restored(ObjectId id, bool ok, const std::string& error, StoreEffects& out) {
  ObjectEntry& entry = entries_.at(id);
  CHECK(entry.restoring);
  entry.restoring = false;
  granted_.erase(entry.value.offset);
  entry.place = Place::kMemory;
  entry.touched = ++clock_;
  if (ok) {
    restored_bytes_ += entry.value.size;
    entry.restores = std::min<uint8_t>(entry.restores + 1, kRestoresToStay);
    if (!entry.waiters.empty()) {
      ++entry.pins;
      restored_.push_back(id);
    }
    if (entry.pins == 0) let_leave(id, entry);
  } else {
    drop_copy(entry, out);
    free_extent(entry.value.offset);
    std::vector<ObjectId> contained = std::move(entry.value.contained);
    entry.value = located_bytes(PayloadKind::kObjectLost,
                                "object " + to_hex(id) + " could not be read back from disk: " + error);
    entry.value.contained = std::move(contained);
  }
  wake(id, entry, out);
  drop_if_unused(id, out);
  serve_queue(out);
}

void ObjectTable::release_restored(StoreEffects& out) {
  for (ObjectId id : std::exchange(restored_, {})) unpin(id, out);
}

void ObjectTable::on_stalled(StoreEffects& out) {
  if (queue_.empty() || spilling_bytes_ > 0) return;
  AllocationTicket ticket = queue_.front();
  queue_.pop_front();
  fail_allocation(
      ticket, Code::kFull,
      "no room for " + std::to_string(ticket.bytes) + " bytes: the object store (" +
          megabytes(arena_.bytes()) +
          ") is full of values in use. Drop views of them or pass init(object_store_memory=…) more. "
          "Largest: " +
          largest_holders(),
      out);
  serve_queue(out);
}

std::string ObjectTable::largest_holders() const {
  std::vector<std::pair<uint64_t, ObjectId>> held;
  for (const auto& [id, entry] : entries_) {
    if (entry.place == Place::kMemory && entry.value.in_arena) held.emplace_back(entry.value.size, id);
  }
  std::sort(held.rbegin(), held.rend());
  if (held.size() > kHoldersNamed) held.resize(kHoldersNamed);
  std::string text;
  for (const auto& [size, id] : held) {
    const ObjectEntry& entry = entries_.at(id);
    text += (text.empty() ? "" : ", ") + to_hex(id) + " (" + megabytes(size) + ", " +
            std::to_string(entry.pins) + " views, " + std::to_string(entry.holds) + " references)";
  }
  return text.empty() ? "values being written" : text;
}

}  // namespace mobula
