// One assignment in Python: arguments in, the call, results or the error out. GIL held. Used by
// python_runner.cc, which says on which thread, and in which order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/python_codec.h"
#include "worker/python_object.h"
#include "worker/worker.h"

namespace mobula::python {

/// Arguments as vectorcall takes them; slot 0 is free for `self`.
class ArgumentStack {
 public:
  /// False with a Python error set. Values of references that are errors raise that error.
  bool decode(const Assignment& assignment);
  /// PyObject_Vectorcall of a function.
  PyObject* call(PyObject* function);
  /// The method of that name of `self`.
  PyObject* call_method(PyObject* self, PyObject* name);
  Owned positional() const;
  Owned keywords() const;

 private:
  std::vector<PyObject*> slots_{nullptr};
  std::vector<Owned> held_;
  Owned names_;
  size_t positional_ = 0;
};

/// The assignment that runs on this thread, for get_runtime_context(); set for as long as it lives.
class CallScope {
 public:
  explicit CallScope(const Assignment& assignment);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

 private:
  const Assignment* before_;
};
const Assignment* assignment_here();

/// An outcome, and the handles inside its values, which live until it has been sent.
struct Answer {
  Outcome outcome;
  std::vector<Owned> kept;
};

/// What the call returned, encoded as num_returns asks; `plainly` where the caller may be no Python. False
/// with a Python error set: the call failed after all.
bool answer_result(Session* current, const Assignment& assignment, PyObject* result, bool plainly,
                   Answer* out);

/// The Python error that is set, as an outcome; `cancelled` says that somebody asked for the end of this
/// task.
Answer answer_error(Session* current, const Assignment& assignment, bool cancelled);

Outcome cancelled_outcome(const Assignment& assignment);

/// What get_runtime_context() knows of a task, as a dict.
PyObject* describe(const Assignment& assignment);

}  // namespace mobula::python
