// The engine that this process uses through the C++ API: none, the driver's own, or its worker's. One at a
// time; any thread. Calls hold the session while they run, so that Shutdown waits for nobody and frees
// nothing that is in use. The first file to read in api/. Tests: tests/contract/cpp_*_test.cc.
#pragma once

#include <mobula/handle.h>
#include <mobula/registry.h>
#include <mobula/serialize.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/embedded/embedded.h"
#include "engine/engine.h"
#include "wire/plain.h"
#include "worker/worker.h"

namespace mobula::inline v1::internal {

/// What is known of the task that runs on a thread.
struct RunningTask {
  const Assignment* assignment = nullptr;
  const std::atomic<bool>* cancelled = nullptr;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  /// A driver's: owns the engine.
  Session(std::unique_ptr<EmbeddedEngine> engine, std::string space, bool runs_python);
  /// A worker's, or a host's that brings its own engine, which outlives the session.
  Session(Engine& engine, std::string space, bool runs_python);

  Engine& engine() { return *engine_; }
  const std::string& space() const { return space_; }
  /// Whether workers are Python processes.
  bool runs_python() const { return runs_python_; }
  bool is_driver() const { return owned_ != nullptr; }
  /// Makes a function known to the engine, once.
  Status define(const RemoteFunction& function);
  /// Keeps a named actor alive until it is killed or the session ends.
  void hold_named(ActorPtr actor);
  void drop_named(uint64_t actor);
  /// Ends an engine that it owns; gives up its references.
  void stop();

  ObjectPtr adopt(const ObjectId& counted);
  ObjectPtr share(const ObjectId& id);
  ActorPtr share(ActorKey key);

 private:
  std::unique_ptr<EmbeddedEngine> owned_;
  Engine* engine_;
  std::string space_;
  bool runs_python_;
  std::mutex lock_;  // guards the two below
  std::unordered_set<FunctionId> defined_;
  std::vector<ActorPtr> named_;
};

/// The current session, or null.
std::shared_ptr<Session> current_session();
/// The current session; RaySystemException when there is none.
std::shared_ptr<Session> require_session();
/// Makes it the current one; false when there is one already.
bool open_session(std::shared_ptr<Session> session);
/// Takes the current one away; null when there is none.
std::shared_ptr<Session> take_session();

/// The task that runs on this thread; null in a driver.
const RunningTask* running_task();
/// Sets it for as long as it lives.
class RunningScope {
 public:
  explicit RunningScope(const RunningTask& task);
  ~RunningScope();
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;

 private:
  const RunningTask* before_;
};

FunctionId digest_of(const RemoteFunction& function);
/// What workers are told of a function: its name, and the library that it is in.
std::string definition_of(const RemoteFunction& function);
/// A key as it is written into values, whose views it lends; and back.
PlainActor plain_of(const ActorKey& key);
ActorKey key_of(const PlainActor& actor);
/// What keeps an actor alive, as the engine counts it.
ObjectId life_of(const ActorKey& actor);

/// The references inside a value, as the engine keeps them.
std::vector<ObjectId> contained_in(const ValueWriter& value);
/// The value's envelope: inline, or written to the arena where it is large. Without an engine always inline.
Result<Value> make_value(Engine* engine, const ValueWriter& value);

/// Throws what a failed call of the engine is to the user. `what` begins the message and may be empty.
[[noreturn]] void throw_status(const Status& status, const std::string& what);
/// Throws what an object is that holds no value.
[[noreturn]] void throw_payload(const Payload& payload);

/// The value of a Result, or its status thrown.
template <typename T>
T unwrap(Result<T> result, const std::string& what) {
  if (!result.is_ok()) throw_status(result.status(), what);
  return std::move(result).value();
}

}  // namespace mobula::inline v1::internal
