// Calls that wait, by actor.
#include "bind/core/pending.h"

namespace mobula::python {

bool PendingCalls::may_call(Session* current, ActorId actor, int32_t limit) {
  if (session_ != current->number) open_.clear();
  session_ = current->number;
  std::vector<ObjectId>& open = open_[actor];
  if (open.size() < static_cast<size_t>(limit)) return true;
  Result<std::vector<size_t>> answered =
      current->engine->wait(open, open.size(), Deadline::after(std::chrono::nanoseconds(0)), false);
  if (!answered.is_ok()) return true;
  for (auto at = answered->rbegin(); at != answered->rend(); ++at) {
    current->engine->release(open[*at]);
    open.erase(open.begin() + static_cast<ptrdiff_t>(*at));
  }
  return open.size() < static_cast<size_t>(limit);
}

void PendingCalls::add(Session* current, ActorId actor, ObjectId result) {
  current->engine->add_reference(result);
  open_[actor].push_back(result);
}

}  // namespace mobula::python
