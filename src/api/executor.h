// Runs C++ functions and the methods of C++ actors: an Assignment in, an Outcome out. Knows no rings and no
// threads; a C++ worker, a Python worker and the C entry point use it alike. Any thread. Tests:
// executor_test.cc.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <typeindex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api/registry.h"
#include "engine/engine.h"
#include "worker/worker.h"

namespace mobula::inline v1::internal {

/// What a call gave, and the references inside its result, which have to live until the outcome has been
/// told.
struct Executed {
  Outcome outcome;
  std::vector<ObjectPtr> objects;
  std::vector<ActorPtr> actors;
};

/// Takes item `index` of a stream; `cancelled` once nobody reads it.
using TakeItem = std::function<Status(TaskId stream, uint32_t index, Value item)>;

class Executor {
 public:
  /// `engine` takes large results; null where there is none, and all results stay inline. Without
  /// `take_item` generators are refused.
  explicit Executor(Engine* engine, TakeItem take_item = nullptr)
      : engine_(engine), take_item_(std::move(take_item)) {}

  /// Runs it on this thread. What user code throws becomes the outcome; nothing is thrown.
  Executed execute(const Assignment& assignment, const std::atomic<bool>& cancelled);
  /// Destroys the actor that lives here, if one does.
  void drop_actors();

 private:
  struct Instance {
    std::shared_ptr<void> object;
    std::type_index type = typeid(void);
  };

  Executed call(const Assignment& assignment);
  void stream_to_reader(RemoteCall& call, const Assignment& assignment);
  const RemoteFunction& function_for(const Assignment& assignment);
  Instance instance_of(ActorId actor);

  Engine* engine_;
  const TakeItem take_item_;
  std::mutex lock_;  // guards the two below
  std::unordered_map<FunctionId, const RemoteFunction*> functions_;
  std::unordered_map<ActorId, Instance> actors_;
};

/// What ExitActor throws through user code. No std::exception, so that no handler takes it for an error.
struct ActorExit {};

}  // namespace mobula::inline v1::internal
