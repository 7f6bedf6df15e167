// Counted references to objects, actors and streams, as ObjectRef, ActorHandle and ObjectRefGenerator hold
// them. Programs use those; this header is what they are made of.
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

/// The reading end of a task that gives its results one by one. One thread at a time. When it goes, items
/// that were not asked for are freed, and the task ends at its next item.
class StreamHold {
 public:
  StreamHold(const ObjectKey& first, std::weak_ptr<Session> session);
  StreamHold(const StreamHold&) = delete;
  StreamHold& operator=(const StreamHold&) = delete;
  ~StreamHold();
  /// The task's first item.
  const ObjectKey& key() const { return key_; }
  /// The next item, ready or not. Asking says that those before it are consumed.
  const ObjectPtr& asked();
  /// The next item once it is there; null at the end. RayTimeoutException; a negative time has no limit.
  ObjectPtr next(int timeout_ms);

 private:
  ObjectKey key_;
  std::weak_ptr<Session> session_;
  uint32_t index_ = 0;  // of the next item
  ObjectPtr asked_;
};
using StreamPtr = std::shared_ptr<StreamHold>;

/// 32 hex digits; empty for null.
std::string to_hex(const ObjectPtr& object);
/// The first item's: 32 hex digits; empty for null.
std::string to_hex(const StreamPtr& stream);
/// 16 hex digits; empty for null.
std::string to_hex(const ActorPtr& actor);

}  // namespace mobula::inline v1::internal
