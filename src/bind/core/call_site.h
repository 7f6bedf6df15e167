// Where in the user's program something is made, when that is recorded. GIL held.
#pragma once

#include "base/id.h"
#include "worker/python_session.h"

namespace mobula::python {

/// Tells the engine that the program's innermost frame outside of this package made it; `what` is in front.
void tell_call_site(Session* current, TaskId made, const char* what);

inline void note_call_site(Session* current, TaskId made, const char* what) {
  if (!current->own_folder.empty()) tell_call_site(current, made, what);
}

}  // namespace mobula::python
