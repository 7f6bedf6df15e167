// The physical plan: what an executor runs. Constant once made; what moves while it runs is in exec/.
// Operators are named by their places; each comes after those that feed it, and the last one's output is the
// plan's. Immutable, so any thread may read it. Tests: executor_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"

namespace mobula::data {

/// An operator's place in its plan.
using OpIndex = uint32_t;

enum class OpKind : uint8_t {
  kInput,  // hands out the plan's inputs: literals (what a reader is to read) or blocks that exist
  kMap,    // runs fragments, in tasks or in a pool of actors
  kLimit,  // passes blocks on until it has so many rows, then ends what feeds it
  kUnion,  // passes on the blocks of all its inputs
};

/// A pool of actors that keep the state of users' classes.
struct ActorPool {
  int32_t actors_min = 1;
  int32_t actors_max = 1;  // -1: as many as resources allow
  int32_t actors_initial = 1;
  int32_t calls_per_actor_max = 2;  // one at work and the rest waiting, so that it never waits for us
};

struct Operator {
  std::string name;
  OpKind kind = OpKind::kMap;
  std::vector<OpIndex> upstream;
  ResourceMap resources;                // of each task or actor
  std::optional<ActorPool> pool;        // absent: tasks
  int32_t tasks_max = 0;                // 0: as many as resources allow
  int64_t rows_per_bundle = 0;          // blocks are gathered until they have so many rows; 0: block by block
  int64_t rows_limit = 0;               // of kLimit
  int64_t block_bytes_max = 128 << 20;  // what its fragment aims at: the first guess of a block's size
};

struct Plan {
  std::vector<Operator> operators;

  /// `invalid` with the reason when the operators do not make a plan.
  Status check() const;
  /// The operator fed by `op`; the number of operators for the last.
  OpIndex downstream_of(OpIndex op) const;
};

}  // namespace mobula::data
