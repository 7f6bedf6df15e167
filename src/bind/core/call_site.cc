// The frames of the calling thread, from the inside.
#include "bind/core/call_site.h"

#include <string>

#include "worker/python_object.h"

namespace mobula::python {

void tell_call_site(Session* current, TaskId made, const char* what) {
  Owned frame(reinterpret_cast<PyObject*>(Py_XNewRef(PyEval_GetFrame())));
  while (frame) {
    auto* here = reinterpret_cast<PyFrameObject*>(frame.get());
    Owned code(reinterpret_cast<PyObject*>(PyFrame_GetCode(here)));
    auto* about = reinterpret_cast<PyCodeObject*>(code.get());
    std::string_view file, function;
    if (!utf8_of(about->co_filename, &file) || !utf8_of(about->co_qualname, &function)) return PyErr_Clear();
    if (!file.starts_with(current->own_folder)) {
      std::string site = std::string(what) + " | " + std::string(file) + ":" + std::string(function) + ":" +
                         std::to_string(PyFrame_GetLineNumber(here));
      return current->engine->note_site(made, std::move(site));
    }
    frame = Owned(reinterpret_cast<PyObject*>(PyFrame_GetBack(here)));
  }
}

}  // namespace mobula::python
