// max_pending_calls: how many of this process's calls an actor may have unanswered. Only actors with such a
// limit are counted. GIL held.
#pragma once

#include <unordered_map>
#include <vector>

#include "bind/core/object_ref.h"

namespace mobula::python {

class PendingCalls {
 public:
  /// True when the actor may be given one more call. Forgets those that were answered.
  bool may_call(Session* current, ActorId actor, int32_t limit);
  /// Counts a call by one of its results, which it keeps a reference to.
  void add(Session* current, ActorId actor, ObjectId result);

 private:
  uint32_t session_ = 0;
  std::unordered_map<ActorId, std::vector<ObjectId>> open_;
};

}  // namespace mobula::python
