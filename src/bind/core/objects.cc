// put, get and wait: every call that may block drops the GIL and hears Ctrl-C. Written against the C API, for
// they are called as often as tasks are.
#include "bind/core/objects.h"

#include <algorithm>
#include <cstring>

#include "bind/core/call_site.h"
#include "bind/core/object_ref.h"
#include "bind/core/stream.h"
#include "worker/python_codec.h"

namespace mobula::python {
namespace {

PyObject* put(PyObject*, PyObject* value) {
  Session* current = require_session();
  if (!current) return nullptr;
  if (is_ref(value)) {
    PyErr_SetString(PyExc_TypeError,
                    "put() of an ObjectRef is not allowed: the value is stored already. To store the "
                    "reference itself, put a list that holds it: put([ref])");
    return nullptr;
  }
  Waiting inside(current);
  Value encoded;
  std::vector<Owned> kept;
  if (!encode_value(current, value, "the value given to put()", &encoded, &kept)) return nullptr;
  Result<ObjectId> id = current->engine->put(std::move(encoded));
  if (!id.is_ok()) return set_error(id.status()), nullptr;
  note_call_site(current, id->task, "(put object)");
  return make_ref(*id);
}

PyObject* get_one(Session* current, ObjectId id, Deadline deadline) {
  if (!check_session(current, id)) return nullptr;
  auto answer = wait_interruptibly(current, deadline, [&](Deadline until) {
    return current->engine->get(std::span<const ObjectId>(&id, 1), until);
  });
  if (!answer) return nullptr;
  if (!answer->is_ok()) return set_error(answer->status()), nullptr;
  return decode_payload((**answer)[0]);
}

bool read_ids(Session* current, PyObject* items, std::vector<ObjectId>* out) {
  Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
  out->reserve(static_cast<size_t>(count));
  for (Py_ssize_t i = 0; i < count; ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(items, i);
    if (!is_ref(item)) {
      PyErr_Format(PyExc_ValueError,
                   "get() takes an ObjectRef or a list of ObjectRefs; item %zd of the list is %R, of type %s",
                   i, item, Py_TYPE(item)->tp_name);
      return false;
    }
    out->push_back(id_of_ref(item));
    if (!check_session(current, out->back())) return false;
  }
  return true;
}

PyObject* get_many(Session* current, PyObject* items, Deadline deadline) {
  std::vector<ObjectId> ids;
  if (!read_ids(current, items, &ids)) return nullptr;
  if (ids.empty()) return PyList_New(0);
  auto answer =
      wait_interruptibly(current, deadline, [&](Deadline until) { return current->engine->get(ids, until); });
  if (!answer) return nullptr;
  if (!answer->is_ok()) return set_error(answer->status()), nullptr;
  std::vector<Payload>& payloads = **answer;
  for (const Payload& payload : payloads) {
    if (payload.kind != PayloadKind::kValue) return decode_payload(payload);
  }
  Owned out(PyList_New(static_cast<Py_ssize_t>(payloads.size())));
  for (size_t i = 0; out && i < payloads.size(); ++i) {
    PyObject* value = decode_payload(payloads[i]);
    if (!value) return nullptr;
    PyList_SET_ITEM(out.get(), static_cast<Py_ssize_t>(i), value);
    payloads[i] = {};
  }
  return out.give();
}

/// get(refs, timeout): both positional; the keyword form is Python's.
PyObject* get(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count < 1 || count > 2) return PyErr_SetString(PyExc_TypeError, "get(refs, timeout)"), nullptr;
  Session* current = require_session();
  Deadline deadline;
  if (!current || !to_deadline(count > 1 ? args[1] : nullptr, &deadline)) return nullptr;
  if (is_ref(args[0])) return get_one(current, id_of_ref(args[0]), deadline);
  if (PyList_Check(args[0]) || PyTuple_Check(args[0])) return get_many(current, args[0], deadline);
  PyErr_Format(PyExc_ValueError, "get() takes an ObjectRef or a list of ObjectRefs, not %R of type %s%s",
               args[0], Py_TYPE(args[0])->tp_name,
               is_stream(args[0]) ? "; iterate over the generator, which yields references" : "");
  return nullptr;
}

// ---- wait
// ---------------------------------------------------------------------------------------------------------

/// The position of the first repeated id, or -1.
Py_ssize_t first_repeated(const std::vector<ObjectId>& ids) {
  size_t room = 16;
  while (room < ids.size() * 2) room *= 2;
  std::vector<uint32_t> slots(room, 0);
  for (size_t i = 0; i < ids.size(); ++i) {
    size_t at = std::hash<ObjectId>{}(ids[i]) & (room - 1);
    for (; slots[at] != 0; at = (at + 1) & (room - 1)) {
      if (ids[slots[at] - 1] == ids[i]) return static_cast<Py_ssize_t>(i);
    }
    slots[at] = static_cast<uint32_t>(i) + 1;
  }
  return -1;
}

bool read_waited(Session* current, PyObject* items, std::vector<ObjectId>* ids) {
  if (!PyList_Check(items)) {
    PyErr_Format(PyExc_TypeError, "wait() takes a list of ObjectRefs or generators, not %s%s",
                 Py_TYPE(items)->tp_name, is_ref(items) ? ": write wait([ref])" : "");
    return false;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); ++i) {
    PyObject* item = PyList_GET_ITEM(items, i);
    ObjectId id;
    if (is_ref(item)) {
      id = id_of_ref(item);
    } else if (is_stream(item)) {
      if (!next_of_stream(current, item, &id)) return false;
    } else {
      PyErr_Format(PyExc_TypeError,
                   "wait() takes ObjectRefs and generators; item %zd of the list is %R, of type %s", i, item,
                   Py_TYPE(item)->tp_name);
      return false;
    }
    if (!check_session(current, id)) return false;
    ids->push_back(id);
  }
  Py_ssize_t repeated = first_repeated(*ids);
  if (repeated < 0) return true;
  PyErr_Format(PyExc_ValueError, "wait() takes each reference once; item %zd, %R, came before", repeated,
               PyList_GET_ITEM(items, repeated));
  return false;
}

/// The two lists that wait() gives.
PyObject* divide(PyObject* items, const std::vector<size_t>& ready) {
  Owned left(PyList_New(0)), right(PyList_New(0));
  if (!left || !right) return nullptr;
  size_t next = 0;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(items); ++i) {
    bool is_ready = next < ready.size() && ready[next] == static_cast<size_t>(i);
    if (is_ready) ++next;
    if (PyList_Append(is_ready ? left.get() : right.get(), PyList_GET_ITEM(items, i)) < 0) return nullptr;
  }
  return PyTuple_Pack(2, left.get(), right.get());
}

/// wait(refs, num_returns, timeout, fetch)
PyObject* wait(PyObject*, PyObject* args) {
  PyObject *items, *timeout;
  Py_ssize_t count;
  int fetch;
  Deadline deadline;
  if (!PyArg_ParseTuple(args, "OnOp", &items, &count, &timeout, &fetch) || !to_deadline(timeout, &deadline))
    return nullptr;
  Session* current = require_session();
  std::vector<ObjectId> ids;
  if (!current || !read_waited(current, items, &ids)) return nullptr;
  if (ids.empty()) return Py_BuildValue("([][])");
  if (count < 1 || static_cast<size_t>(count) > ids.size()) {
    PyErr_Format(PyExc_ValueError, "num_returns must be between 1 and the number of references, %zu, not %zd",
                 ids.size(), count);
    return nullptr;
  }
  auto wanted = static_cast<size_t>(count);
  auto answer = wait_interruptibly(current, deadline, [&](Deadline until) -> Result<std::vector<size_t>> {
    Result<std::vector<size_t>> ready = current->engine->wait(ids, wanted, until, fetch != 0);
    bool early = ready.is_ok() && ready->size() < wanted && until.at < deadline.at;
    if (early) return Status(Code::kTimeout, "a slice of the wait is over");
    return ready;
  });
  if (!answer) return nullptr;
  if (!answer->is_ok()) return set_error(answer->status()), nullptr;
  return divide(items, **answer);
}

PyMethodDef functions[] = {
    {"put", put, METH_O, "Stores a value; an ObjectRef."},
    {"get", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(get)), METH_FASTCALL,
     "get(refs, timeout=None)"},
    {"wait", wait, METH_VARARGS, "wait(refs, num_returns, timeout, fetch) -> (ready, rest)"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

bool add_object_functions(PyObject* module) { return PyModule_AddFunctions(module, functions) == 0; }

}  // namespace mobula::python
