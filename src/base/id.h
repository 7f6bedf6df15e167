// Ids: distinct types, never bare integers. A TaskId is made by the client that submits (client number in the
// high bits, a counter below), so that no round trip is needed; an ObjectId is its producing task plus the
// place among its results. Actors are named by the task that creates them.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace mobula {

template <typename Tag>
struct Id {
  uint64_t value = 0;
  bool is_nil() const { return value == 0; }
  auto operator<=>(const Id&) const = default;
};

using TaskId = Id<struct TaskTag>;
using ActorId = Id<struct ActorTag>;
using ClientId = Id<struct ClientTag>;  // driver, worker or proxy: whoever holds references
using WorkerId = Id<struct WorkerTag>;  // a worker process; never reused in a session
using GroupId = Id<struct GroupTag>;    // placement group
using ClassId = Id<struct ClassTag>;    // scheduling class: tasks that may share a lease

/// Digest of a function's or class's definition (xxh3, 128 bits).
struct FunctionId {
  uint64_t high = 0, low = 0;
  auto operator<=>(const FunctionId&) const = default;
};

struct ObjectId {
  TaskId task;
  uint32_t index = 0;    // place among the task's results; for streams, the item
  uint32_t session = 0;  // tells references of an earlier init() apart
  bool is_nil() const { return task.is_nil(); }
  auto operator<=>(const ObjectId&) const = default;
};

constexpr uint32_t kStreamEndIndex = 0xFFFFFFFF;  // the object that becomes ready when a stream has ended
constexpr int kClientShift = 40;                  // TaskId = client << 40 | counter

inline TaskId make_task_id(ClientId client, uint64_t counter) {
  return {client.value << kClientShift | counter};
}

/// Lower-case hex, high byte first.
std::string to_hex(uint64_t value);
std::string to_hex(const ObjectId& id);  // 32 digits
bool from_hex(std::string_view text, ObjectId* out);

}  // namespace mobula

template <typename Tag>
struct std::hash<mobula::Id<Tag>> {
  size_t operator()(const mobula::Id<Tag>& id) const { return id.value * 0x9E3779B97F4A7C15ull >> 7; }
};
template <>
struct std::hash<mobula::ObjectId> {
  size_t operator()(const mobula::ObjectId& id) const {
    return (id.task.value * 0x9E3779B97F4A7C15ull + id.index * 0xC2B2AE3D27D4EB4Full) >> 7;
  }
};
template <>
struct std::hash<mobula::FunctionId> {
  size_t operator()(const mobula::FunctionId& id) const { return id.low; }
};
