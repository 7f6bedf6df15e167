// The node's end of a worker's ring of assignments: pushes messages as there is room, and knows which of them
// the worker has begun, so that the others can be taken back, in pieces or whole. Used with the node's token
// held; the worker reads at the same time. Invariant: a message is read whole or not at all, whatever is
// taken back around it. Tests: assignments_test.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "base/id.h"
#include "wire/ring.h"

namespace mobula {

class Assignments {
 public:
  explicit Assignments(Ring& ring) : ring_(ring) {}

  void add(TaskId task, std::string message) { waiting_.push_back({task, std::move(message)}); }
  /// Pushes what there is room for; the worker says when there is more. True when anything went in.
  bool push();
  /// Takes back what the worker has not begun, in order.
  std::vector<TaskId> take_back();
  /// What the worker, which has ended, had not begun.
  std::vector<TaskId> unstarted() const;
  bool is_waiting() const { return !waiting_.empty(); }

 private:
  struct Waiting {
    TaskId task;
    std::string message;
  };
  struct Sent {
    TaskId task;
    uint64_t cursor;       // where it begins in the ring
    uint64_t first_piece;  // where it would begin if all its pieces lay before the next one without a gap
    uint64_t end;
    std::string message;  // of those in pieces: the rest may have to be pushed again
  };

  bool push_first(bool* pushed);
  void forget_begun();

  Ring& ring_;
  std::deque<Sent> sent_;        // until they have begun
  std::deque<Waiting> waiting_;  // for room; the first may be partly in: then it is the last of sent_ too
  size_t done_bytes_ = 0;        // of the first that waits
};

}  // namespace mobula
