// Counted references to objects and actors, as ObjectRef and ActorHandle hold them. Programs use those; this
// header is what they are made of.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

namespace mobula::inline v1::internal {

/// The running engine of this process: the driver's node, or a worker's connection to it.
class Session;

/// Which object: its producing task and its place among the results.
struct ObjectKey {
  uint64_t task = 0;
  uint32_t index = 0;
  uint32_t session = 0;
  auto operator<=>(const ObjectKey&) const = default;
};

/// One reference of this process to an object; the object is freed after the last one anywhere is gone.
class ObjectHold {
 public:
  /// Takes over a reference that the engine has counted already.
  ObjectHold(const ObjectKey& key, std::weak_ptr<Session> session);
  ObjectHold(const ObjectHold&) = delete;
  ObjectHold& operator=(const ObjectHold&) = delete;
  ~ObjectHold();
  const ObjectKey& key() const { return key_; }

 private:
  ObjectKey key_;
  std::weak_ptr<Session> session_;
};
using ObjectPtr = std::shared_ptr<const ObjectHold>;

/// Which actor, and what others need to call it.
struct ActorKey {
  uint64_t id = 0;
  uint32_t session = 0;
  bool python = false;           // the language of its methods
  int max_task_retries = 0;      // of calls that say nothing themselves
  uint64_t definition_high = 0;  // digest of what made it
  uint64_t definition_low = 0;
  std::string class_name;
  std::string handle;  // what its own language adds
};

/// One reference of this process to an actor; it ends after its last call once all references are gone.
class ActorHold {
 public:
  /// Takes over a reference that the engine has counted already.
  ActorHold(ActorKey key, std::weak_ptr<Session> session);
  ActorHold(const ActorHold&) = delete;
  ActorHold& operator=(const ActorHold&) = delete;
  ~ActorHold();
  const ActorKey& key() const { return key_; }

 private:
  ActorKey key_;
  std::weak_ptr<Session> session_;
};
using ActorPtr = std::shared_ptr<const ActorHold>;

/// 32 hex digits; empty for null.
std::string to_hex(const ObjectPtr& object);
/// 16 hex digits; empty for null.
std::string to_hex(const ActorPtr& actor);

}  // namespace mobula::inline v1::internal
