// References, readiness and pins; room.cc holds the part about room in the arena.
#include "store/store.h"

#include <algorithm>

#include "base/check.h"

namespace mobula {
namespace {

using Place = ObjectEntry::Place;

}  // namespace

void ObjectTable::create(ObjectId id, uint32_t holds) { entries_[id].holds += holds; }

const ObjectEntry* ObjectTable::find(ObjectId id) const {
  auto found = entries_.find(id);
  return found == entries_.end() ? nullptr : &found->second;
}

void ObjectTable::watch(ObjectId id) { entries_[id].watched = true; }

void ObjectTable::touch(ObjectId id, ObjectEntry& entry) {
  bool listed = keep(id, entry);
  entry.touched = ++clock_;
  if (listed) let_leave(id, entry);
}

void ObjectTable::wake(ObjectId id, ObjectEntry& entry, StoreEffects& out, const std::string& no_room) {
  for (Waiter waiter : entry.waiters) out.woken.push_back({waiter, id, no_room});
  std::vector<Waiter>().swap(entry.waiters);
}

void ObjectTable::seal(ObjectId id, Located value, StoreEffects& out) {
  bool in_arena = value.in_arena;
  if (in_arena) {
    auto granted = granted_.find(value.offset);
    bool sound = granted != granted_.end() && !granted->second.is_nil() &&  // nil: a restore fills it
                 value.size <= arena_.extent_bytes(value.offset);
    if (!sound)
      value = located_bytes(PayloadKind::kObjectLost,
                            "object " + to_hex(id) + " names memory that was not given to its maker");
    else
      granted_.erase(granted);
    in_arena = sound;
  }
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.is_ready()) {
    if (in_arena) free_extent(value.offset), serve_queue(out);
    return;
  }
  ObjectEntry& entry = found->second;
  entry.place = Place::kMemory;
  entry.value = std::move(value);
  entry.touched = ++clock_;
  if (in_arena && entry.pins == 0) let_leave(id, entry);
  wake(id, entry, out);
  for (ObjectId inner : std::vector<ObjectId>(entry.value.contained)) hold(inner, out);
  drop_if_unused(id, out);
  if (in_arena) serve_queue(out);
}

void ObjectTable::hold(ObjectId id, StoreEffects& out) {
  auto [at, fresh] = entries_.try_emplace(id);
  at->second.holds++;
  if (!fresh) return;
  seal(id,
       located_bytes(PayloadKind::kObjectLost,
                     "object " + to_hex(id) +
                         " was freed before this reference to it was used; "
                         "keep an ObjectRef of it, or pass it as an argument or inside a value"),
       out);
}

void ObjectTable::release(ObjectId id, StoreEffects& out) {
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.holds == 0) return;
  if (--found->second.holds > 0) return;
  if (found->second.watched) out.unreferenced.push_back(id);
  drop_if_unused(id, out);
}

void ObjectTable::drop_if_unused(ObjectId id, StoreEffects& out) {
  std::vector<ObjectId> doomed{id};  // a stack, since values contain references to values
  bool freed = false;
  while (!doomed.empty()) {
    auto found = entries_.find(doomed.back());
    ObjectId current = doomed.back();
    doomed.pop_back();
    if (found == entries_.end()) continue;
    ObjectEntry& entry = found->second;
    if (entry.holds > 0 || entry.pins > 0 || entry.spilling || entry.restoring || !entry.waiters.empty())
      continue;
    std::vector<ObjectId> contained = std::move(entry.value.contained);
    keep(current, entry);
    if (entry.place == Place::kMemory && entry.value.in_arena) free_extent(entry.value.offset), freed = true;
    drop_copy(entry, out);
    entries_.erase(found);
    for (ObjectId inner : contained) {
      auto held = entries_.find(inner);
      if (held == entries_.end() || held->second.holds == 0 || --held->second.holds > 0) continue;
      if (held->second.watched) out.unreferenced.push_back(inner);
      doomed.push_back(inner);
    }
  }
  if (freed) serve_queue(out);
}

void ObjectTable::add_waiter(ObjectId id, Waiter waiter) { entries_[id].waiters.push_back(waiter); }

void ObjectTable::remove_waiter(ObjectId id, Waiter waiter, StoreEffects& out) {
  auto found = entries_.find(id);
  if (found != entries_.end() && std::erase(found->second.waiters, waiter) > 0) drop_if_unused(id, out);
}

bool ObjectTable::pin(ObjectId id) {
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.place != Place::kMemory) return false;
  touch(id, found->second);
  if (found->second.pins++ == 0) keep(id, found->second);
  return true;
}

void ObjectTable::unpin(ObjectId id, StoreEffects& out) {
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.pins == 0) return;
  ObjectEntry& entry = found->second;
  if (--entry.pins > 0) return;
  if (entry.place == Place::kMemory && entry.value.in_arena && !entry.spilling) let_leave(id, entry);
  drop_if_unused(id, out);
  if (!queue_.empty()) serve_queue(out);
}

size_t ObjectTable::pinned_objects() const {
  return std::count_if(entries_.begin(), entries_.end(),
                       [](const auto& item) { return item.second.pins > 0; });
}

void ObjectTable::check() const {
  arena_.check();
  uint64_t used = 0, spilling = 0;
  for (const auto& [id, entry] : entries_) {
    bool in_arena = entry.place == Place::kMemory && entry.value.in_arena;
    if (in_arena || entry.restoring)
      used +=
          arena_.is_allocated(entry.value.offset) && (in_arena) ? arena_.extent_bytes(entry.value.offset) : 0;
    if (entry.spilling) spilling += Arena::rounded(entry.value.size);
    CHECK(entry.holds > 0 || entry.pins > 0 || entry.spilling || entry.restoring || !entry.waiters.empty() ||
          !entry.is_ready());
    CHECK(spillable_.contains(leaving(id, entry)) == (in_arena && entry.pins == 0 && !entry.spilling));
    CHECK(entry.place != Place::kDisk || entry.has_copy);
    CHECK(!entry.has_copy || !entry.spilling);
  }
  for (const auto& [offset, client] : granted_) used += arena_.extent_bytes(offset);
  CHECK(used == arena_.used_bytes());
  CHECK(spilling == spilling_bytes_);
}

}  // namespace mobula
