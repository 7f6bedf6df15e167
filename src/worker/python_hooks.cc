// Where each hook lives.
#include "worker/python_hooks.h"

#include <array>
#include <vector>

namespace mobula::python {
namespace {

struct Place {
  const char* module;
  const char* name;
};

constexpr std::array<Place, static_cast<size_t>(Hook::kCount)> kPlaces{{
    {"mobula._driver", "auto_init"},
    {"mobula.exceptions", "_status_error"},
    {"mobula.exceptions", "_payload_error"},
    {"mobula.exceptions", "_task_error"},
    {"mobula._pickling", "make_pickler"},
    {"mobula._pickling", "merge_reducers"},
    {"mobula._pickling", "explain"},
    {"mobula._pickling", "read_arrow"},
    {"mobula._pickling", "write_arrow"},
    {"mobula._pickling", "make_array"},
    {"mobula.cross_language", "_plain_handle"},
    {"mobula.cross_language", "_restore_plain_actor"},
    {"mobula.actor", "_missing_method"},
    {"mobula._signature", "check_call"},
    {"mobula._refs", "make_stream"},
    {"mobula._ids", "make_task_id"},
    {"mobula._futures", "await_ref"},
    {"mobula._futures", "ref_future"},
    {"mobula.actor", "_restore_handle"},
    {"mobula.actor", "_method_options"},
    {"mobula.actor", "_method_bind"},
    {"mobula.actor", "_prepare_method"},
    {"mobula._pickling", "load_function"},
    {"mobula._worker", "encode_failure"},
    {"mobula._worker", "create_actor"},
    {"mobula._worker", "call_special"},
    {"mobula._worker", "split_dynamic"},
    {"mobula._worker", "start_thread"},
    {"mobula._worker", "apply_environment"},
    {"mobula._worker", "show_gpus"},
}};

std::array<PyObject*, static_cast<size_t>(Hook::kCount)> loaded{};

}  // namespace

PyObject* hook(Hook which) {
  PyObject*& slot = loaded[static_cast<size_t>(which)];
  if (slot) return slot;
  const Place& place = kPlaces[static_cast<size_t>(which)];
  Owned module(PyImport_ImportModule(place.module));
  if (!module) return nullptr;
  slot = PyObject_GetAttrString(module.get(), place.name);
  return slot;
}

PyObject* call_hook(Hook which, std::initializer_list<PyObject*> arguments) {
  PyObject* function = hook(which);
  if (!function) return nullptr;
  for (PyObject* argument : arguments) {
    if (!argument) return nullptr;
  }
  return PyObject_Vectorcall(function, arguments.begin(), arguments.size(), nullptr);
}

}  // namespace mobula::python
