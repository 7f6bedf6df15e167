// What an executor asks of whoever drives it. Each call to the executor appends; the driver performs in the
// order of the members below.
#pragma once

#include <optional>
#include <vector>

#include "data/exec/block_ref.h"

namespace mobula::data {

/// Numbers given by the executor; the driver keeps what they stand for.
using TaskNumber = uint64_t;
using ActorNumber = uint64_t;
constexpr ActorNumber kNoActor = 0;

struct TaskStart {
  TaskNumber task = 0;
  OpIndex op = 0;
  ActorNumber actor = kNoActor;
  std::vector<Bundle> bundles;  // each is one group of the task's header
  bool held_back = true;        // it waits for its blocks to be asked for; short tasks need not
};

/// Ask for the next `items` blocks of a task's stream; each is answered.
struct Pull {
  TaskNumber task = 0;
  int32_t items = 1;
};

struct ActorStart {
  ActorNumber actor = 0;
  OpIndex op = 0;
};

/// A task whose stream nobody reads any more. `running`: it has not ended by itself.
struct TaskDrop {
  TaskNumber task = 0;
  bool running = false;
};

/// Why a part of the input, or the run, failed; `detail` is the driver's.
struct Failure {
  OpIndex op = 0;
  uint64_t detail = 0;
};

struct Effects {
  std::vector<TaskDrop> drops;
  std::vector<ActorNumber> actor_stops;
  std::vector<ActorStart> actor_starts;
  std::vector<TaskStart> starts;  // nothing of their streams is asked for yet
  std::vector<Pull> pulls;
  std::vector<BlockRef> outputs;  // in order if the options say so; on_taken answers each
  std::vector<ObjectId> releases;
  bool finished = false;          // all outputs were given
  std::optional<Failure> failed;  // nothing more will come

  void clear() { *this = Effects{}; }
};

}  // namespace mobula::data
