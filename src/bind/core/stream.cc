// Reading a stream: an item's reference is given out once it is known not to be the end.
#include "bind/core/stream.h"

#include "bind/core/object_ref.h"
#include "worker/python_codec.h"

namespace mobula::python {
namespace {

struct Stream {
  PyObject_HEAD TaskId task;
  uint32_t session;
  uint32_t index;  // of the next item
  ObjectId asked;  // its id, for which a reference is held; nil: not asked for yet
  bool ended;
};

PyTypeObject* stream_type = nullptr;

Stream* as_stream(PyObject* object) { return reinterpret_cast<Stream*>(object); }

PyObject* stream_new(PyTypeObject* type, PyObject* args, PyObject*) {
  unsigned long long number = 0;
  if (!PyArg_ParseTuple(args, "K", &number)) return nullptr;
  Session* current = session();
  if (!current) return PyErr_SetString(PyExc_RuntimeError, "there is no engine"), nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  as_stream(self)->task = {number};
  as_stream(self)->session = current->number;
  return self;
}

void stream_dealloc(PyObject* self) {
  Stream* stream = as_stream(self);
  Session* current = session();
  if (current && current->number == stream->session) {
    if (!stream->asked.is_nil()) current->engine->release(stream->asked);
    current->engine->drop_stream(stream->task);
  }
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/// What is known of the next item once it is there.
enum class Next { kItem, kEnd, kError };

Next settle(Session* current, Stream* stream, const Payload& payload) {
  if (payload.kind != PayloadKind::kStreamEnd) return Next::kItem;
  current->engine->release(stream->asked);
  stream->asked = {};
  stream->ended = true;
  return Next::kEnd;
}

Next wait_for_next(Session* current, PyObject* self, Deadline deadline) {
  Stream* stream = as_stream(self);
  ObjectId id;
  if (stream->ended) return Next::kEnd;
  if (!next_of_stream(current, self, &id)) return Next::kError;
  auto answer = wait_interruptibly(current, deadline, [&](Deadline until) {
    return current->engine->get(std::span<const ObjectId>(&id, 1), until);
  });
  if (!answer) return Next::kError;
  if (!answer->is_ok()) return set_error(answer->status()), Next::kError;
  return settle(current, stream, (**answer)[0]);
}

PyObject* give_next(Stream* stream) {
  ++stream->index;
  return make_ref(std::exchange(stream->asked, {}));
}

Session* session_of(Stream* stream) {
  Session* current = session();
  if (current && current->number == stream->session) return current;
  PyErr_SetString(PyExc_ValueError, "the generator belongs to an engine that was shut down");
  return nullptr;
}

PyObject* stream_next(PyObject* self) {
  Session* current = session_of(as_stream(self));
  if (!current) return nullptr;
  return wait_for_next(current, self, Deadline::never()) == Next::kItem ? give_next(as_stream(self))
                                                                        : nullptr;
}

/// _next(timeout): as next(), with a time-out; None at the end.
PyObject* stream_next_within(PyObject* self, PyObject* timeout) {
  Session* current = session_of(as_stream(self));
  Deadline deadline;
  if (!current || !to_deadline(timeout, &deadline)) return nullptr;
  Next next = wait_for_next(current, self, deadline);
  if (next == Next::kItem) return give_next(as_stream(self));
  if (next == Next::kError) return nullptr;
  Py_RETURN_NONE;
}

/// _asked(): a reference to the next item, ready or not; None after the end.
PyObject* stream_asked(PyObject* self, PyObject*) {
  Session* current = session_of(as_stream(self));
  if (!current) return nullptr;
  if (as_stream(self)->ended) Py_RETURN_NONE;
  ObjectId id;
  return next_of_stream(current, self, &id) ? share_ref(id) : nullptr;
}

PyObject* stream_completed(PyObject* self, PyObject*) {
  Stream* stream = as_stream(self);
  return session_of(stream) ? share_ref({stream->task, kStreamEndIndex, stream->session}) : nullptr;
}

PyObject* stream_is_finished(PyObject* self, PyObject*) { return PyBool_FromLong(as_stream(self)->ended); }

PyObject* stream_first(PyObject* self, PyObject*) {
  Stream* stream = as_stream(self);
  return id_to_bytes({stream->task, 0, stream->session});
}

PyMethodDef stream_methods[] = {
    {"_next", stream_next_within, METH_O, "The next reference within a time-out; None at the end."},
    {"_asked", stream_asked, METH_NOARGS, "A reference to the next item, ready or not; None after the end."},
    {"_first", stream_first, METH_NOARGS, "The binary id of item 0."},
    {"completed", stream_completed, METH_NOARGS,
     "A reference that becomes ready when the generator has ended."},
    {"is_finished", stream_is_finished, METH_NOARGS, "True once the end was read."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot stream_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(stream_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(stream_dealloc)},
    {Py_tp_iter, reinterpret_cast<void*>(PyObject_SelfIter)},
    {Py_tp_iternext, reinterpret_cast<void*>(stream_next)},
    {Py_tp_methods, stream_methods},
    {Py_tp_doc,
     const_cast<char*>("The reading end of a generator task: yields an ObjectRef for each value.")},
    {0, nullptr},
};

PyType_Spec stream_spec = {"mobula._core.Stream", sizeof(Stream), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                           stream_slots};

}  // namespace

bool is_stream(PyObject* object) { return PyObject_TypeCheck(object, stream_type); }

bool next_of_stream(Session* current, PyObject* self, ObjectId* out) {
  Stream* stream = as_stream(self);
  if (stream->ended) {
    *out = {stream->task, kStreamEndIndex, stream->session};
    return true;
  }
  if (stream->asked.is_nil()) {
    Result<ObjectId> id = current->engine->stream_item(stream->task, stream->index);
    if (!id.is_ok()) return set_error(id.status()), false;
    stream->asked = *id;
  }
  *out = stream->asked;
  return true;
}

bool add_stream_type(PyObject* module) {
  stream_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&stream_spec));
  return stream_type &&
         PyModule_AddObjectRef(module, "Stream", reinterpret_cast<PyObject*>(stream_type)) == 0;
}

}  // namespace mobula::python
