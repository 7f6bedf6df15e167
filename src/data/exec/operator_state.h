// The moving state of one operator of a running plan. Plain data of the executor, which alone changes it.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "data/exec/bundle_queue.h"
#include "data/exec/effects.h"
#include "data/exec/history.h"

namespace mobula::data {

/// Output of a bundle that waits for the bundles before it.
struct HeldOutput {
  std::vector<BlockRef> blocks;
  bool ended = false;
};

struct OperatorState {
  explicit OperatorState(const Operator& node) : queue(node.rows_per_bundle), rows_left(node.rows_limit) {}

  BundleQueue queue;
  bool done = false;
  std::set<TaskNumber> running;  // in the order of their starts
  std::set<ActorNumber> actors;  // starting and standing
  int64_t bytes_out = 0;         // of its output: held, queued, at work downstream, not yet taken
  bool kept_empty = false;       // passed a block without rows on, for its columns
  int32_t actors_lost = 0;
  std::map<uint64_t, HeldOutput> held;               // ordered runs: by bundle
  uint64_t next_sequence = 0;                        // ordered runs: the bundle whose output may leave
  int64_t rows_left = 0;                             // limits
  size_t branch = 0;                                 // ordered unions: the input whose blocks may leave
  std::map<OpIndex, std::vector<BlockRef>> waiting;  // ordered unions
  size_t open_inputs = 0;
  History history;
  Counters counters;
};

struct TaskState {
  OpIndex op = 0;
  ActorNumber actor = kNoActor;
  std::vector<Bundle> bundles;
  std::vector<bool> ended;  // bundle by bundle
  int32_t asked = 0;        // answers on their way
  size_t bundles_open = 0;
  bool holds_resources = false;  // calls of actors run on what the actor holds
};

struct ActorState {
  OpIndex op = 0;
  bool standing = false;
  int32_t calls = 0;
};

}  // namespace mobula::data
