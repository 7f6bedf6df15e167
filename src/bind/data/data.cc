// The extension module mobula._data: the streaming executor, and media decoding, for python/mobula/data
// alone.
#include "bind/data/data.h"

namespace nb = nanobind;

namespace mobula::data::python {
namespace {

PyObject* exception_for(Code code) {
  switch (code) {
    case Code::kInvalid:
      return PyExc_ValueError;
    case Code::kNotFound:
      return PyExc_FileNotFoundError;
    case Code::kDenied:
      return PyExc_PermissionError;
    case Code::kUnsupported:
      return PyExc_NotImplementedError;
    case Code::kFull:
      return PyExc_MemoryError;
    case Code::kTimeout:
      return PyExc_TimeoutError;
    default:
      return PyExc_RuntimeError;
  }
}

}  // namespace

void check(const Status& status) {
  if (status.is_ok()) return;
  PyErr_SetString(exception_for(status.code()), status.message().c_str());
  throw nb::python_error();
}

}  // namespace mobula::data::python

NB_MODULE(_data, module) {
  nb::set_leak_warnings(false);  // at the interpreter's end datasets may still be held, and that is fine
  mobula::data::python::add_execution(module);
  mobula::data::python::add_media(module);
}
