// Stream: the reading end of a generator task; Python's ObjectRefGenerator is made of it. GIL held; not
// thread-safe.
#pragma once

#include "base/id.h"
#include "worker/python_object.h"
#include "worker/python_session.h"

namespace mobula::python {

bool is_stream(PyObject* object);

/// The item that comes next, ready or not; asking twice gives the same. False with a Python error set.
bool next_of_stream(Session* current, PyObject* stream, ObjectId* out);

bool add_stream_type(PyObject* module);

}  // namespace mobula::python
