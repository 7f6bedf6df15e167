// A call that is prepared once and made often: the TaskSpec without its arguments, and the signature that
// calls are checked against. GIL held.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bind/core/object_ref.h"
#include "engine/engine.h"
#include "worker/python_object.h"
#include "worker/python_session.h"

namespace mobula::python {

/// Which arguments a function takes; enough to let the right calls through without Python's help.
class Signature {
 public:
  /// From (names, positional-only, required, keyword-only names, their required ones, *args?, **kwargs?);
  /// None checks nothing. False with a Python error set.
  bool read(PyObject* description);
  bool accepts(Py_ssize_t positional, PyObject* keyword_names) const;
  /// The name of an argument for messages.
  std::string name_of(size_t position) const;

 private:
  bool fill_keywords(Py_ssize_t positional, PyObject* keyword_names, uint64_t* filled) const;

  bool checks_ = false;
  std::vector<Owned> names_;  // positional ones, then keyword-only ones
  size_t positional_ = 0, positional_only_ = 0, required_ = 0;
  uint64_t required_mask_ = 0;
  bool varargs_ = false, varkeywords_ = false;
};

struct Template {
  TaskSpec spec;
  Signature signature;
  int32_t pending_max = -1;  // calls of this process that the actor may have open; -1: no limit
  uint32_t session = 0;      // of the engine that it was filled in for; 0: none yet
};

/// Reads the fields of a TaskSpec from a dict. False with a Python error set; unknown fields are errors.
bool read_spec(PyObject* fields, TaskSpec* out);

/// Resource amounts by name, in units.
bool read_resources(PyObject* amounts, ResourceMap* out);
PyObject* resources_to_dict(const ResourceMap& amounts);

/// What has to live until a call is submitted: values that were put for it, and handles inside its arguments.
class CallHold {
 public:
  explicit CallHold(Session* current) : current_(current) {}
  ~CallHold() {
    for (ObjectId id : puts_) current_->engine->release(id);
  }
  CallHold(const CallHold&) = delete;
  CallHold& operator=(const CallHold&) = delete;
  void put(ObjectId id) { puts_.push_back(id); }
  void keep(std::vector<Owned>& handles) {
    for (Owned& handle : handles) handles_.push_back(std::move(handle));
  }

 private:
  Session* current_;
  std::vector<ObjectId> puts_;
  std::vector<Owned> handles_;
};

/// The arguments of one call, as vectorcall passes them.
struct CallArguments {
  PyObject* const* values;
  Py_ssize_t positional;
  PyObject* keyword_names;  // tuple or nullptr
  size_t count() const {
    return static_cast<size_t>(positional + (keyword_names ? PyTuple_GET_SIZE(keyword_names) : 0));
  }
};

/// Encodes the arguments into spec->args, refs and nested. False with a Python error set.
bool encode_arguments(Session* current, const Signature& signature, const CallArguments& arguments,
                      TaskSpec* spec, CallHold* hold);

/// What the caller gets for a submitted task: None, a reference, a list of them, or a stream.
PyObject* make_results(const Session* current, TaskId task, int32_t returns);

}  // namespace mobula::python
