// ObjectRef: a Python handle that counts as one reference of this process. GIL held.
#pragma once

#include "base/id.h"
#include "worker/python_object.h"
#include "worker/python_session.h"

namespace mobula::python {

/// A handle that takes over the reference which the engine has counted for the caller.
PyObject* make_ref(ObjectId id);
/// A handle with a reference of its own.
PyObject* share_ref(ObjectId id);

bool is_ref(PyObject* object);
ObjectId id_of_ref(PyObject* ref);

/// False with a Python error set when `id` belongs to an engine that was shut down.
bool check_session(const Session* current, ObjectId id);

/// 16 bytes, in the order of hex().
PyObject* id_to_bytes(ObjectId id);
bool id_from_bytes(PyObject* bytes, ObjectId* out);

bool add_ref_type(PyObject* module);

}  // namespace mobula::python
