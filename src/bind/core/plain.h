// Values that all languages read (wire/plain.h), to and from Python: what C++ functions take and give. Arrays
// go as tensors, tables of Arrow as IPC streams, both in place. GIL held. Tests:
// tests/contract/test_cross_language.py.
#pragma once

#include "worker/python_codec.h"

namespace mobula::python {

/// False with a Python error set, naming the part that C++ has no form for.
bool encode_plain(PyObject* value, std::string_view where, Encoded* out);

/// Encodes a NumPy array as a tensor, which is quicker than pickling it and is read by all languages. False,
/// with no error, for what is no array or has no exact form: other orders than C's, byte orders, subclasses,
/// no elements.
bool encode_array(PyObject* value, Encoded* out);

/// The value of a kPlain envelope; views keep `owner`. nullptr with a Python error set.
PyObject* decode_plain(std::span<const uint8_t> envelope, const std::shared_ptr<const void>& owner);

/// What the handle of an actor that C++ made says: (class name, C++?, definition, max_task_retries, Python's
/// part); None for handles in Python's own form. nullptr with a Python error set.
PyObject* describe_plain_actor(std::string_view handle);

}  // namespace mobula::python
