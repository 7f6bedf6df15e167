// Picklers, kept and used again: making one costs more than pickling a small value. GIL held.
#pragma once

#include "worker/python_codec.h"

namespace mobula::python {

/// Pickles `value` into out->meta and out->buffers. False with the pickler's own error set.
bool pickle_into(PyObject* value, Encoded* out);

/// pickle.loads(meta, buffers=buffers)
PyObject* unpickle(std::string_view meta, PyObject* buffers);

/// A read-only object with the buffer protocol over bytes that `owner` keeps.
PyObject* make_view(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner);

bool add_pickle_types(PyObject* module);

}  // namespace mobula::python
