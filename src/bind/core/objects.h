// put, get, wait.
#pragma once

#include <Python.h>

namespace mobula::python {

bool add_object_functions(PyObject* module);

}  // namespace mobula::python
