// The ObjectRef type, written by hand: a program makes millions of them.
#include "bind/core/object_ref.h"

#include <structmember.h>

#include "worker/python_codec.h"
#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

struct Ref {
  PyObject_HEAD ObjectId id;
  PyObject* weak_references;
};

PyTypeObject* ref_type = nullptr;

Ref* as_ref(PyObject* object) { return reinterpret_cast<Ref*>(object); }

PyObject* new_ref(ObjectId id) {
  PyObject* self = ref_type->tp_alloc(ref_type, 0);
  if (self) as_ref(self)->id = id;
  return self;
}

bool belongs_to(const Session* current, ObjectId id) { return current && current->number == id.session; }

void ref_dealloc(PyObject* self) {
  Ref* ref = as_ref(self);
  if (ref->weak_references) PyObject_ClearWeakRefs(self);
  Session* current = session();
  if (!ref->id.is_nil() && belongs_to(current, ref->id)) current->engine->release(ref->id);
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* ref_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"id", nullptr};
  PyObject* bytes = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "S", const_cast<char**>(names), &bytes)) return nullptr;
  ObjectId id;
  return id_from_bytes(bytes, &id) ? share_ref(id) : nullptr;
}

Py_hash_t ref_hash(PyObject* self) {
  auto hash = static_cast<Py_hash_t>(std::hash<ObjectId>{}(as_ref(self)->id));
  return hash == -1 ? -2 : hash;
}

PyObject* ref_compare(PyObject* self, PyObject* other, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || !is_ref(other)) Py_RETURN_NOTIMPLEMENTED;
  bool equal = as_ref(self)->id == as_ref(other)->id;
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

PyObject* ref_repr(PyObject* self) {
  return PyUnicode_FromFormat("ObjectRef(%s)", to_hex(as_ref(self)->id).c_str());
}

PyObject* ref_hex(PyObject* self, PyObject*) { return to_str(to_hex(as_ref(self)->id)); }
PyObject* ref_binary(PyObject* self, PyObject*) { return id_to_bytes(as_ref(self)->id); }
PyObject* ref_is_nil(PyObject* self, PyObject*) { return PyBool_FromLong(as_ref(self)->id.is_nil()); }
PyObject* ref_size(PyObject*, PyObject*) { return PyLong_FromLong(16); }
PyObject* ref_call_site(PyObject*, PyObject*) { return PyUnicode_FromString(""); }
PyObject* ref_self(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyObject* ref_task_id(PyObject* self, PyObject*) {
  Owned number(PyLong_FromUnsignedLongLong(as_ref(self)->id.task.value));
  return call_hook(Hook::kMakeTaskId, {number.get()});
}

PyObject* ref_nil(PyObject*, PyObject*) { return new_ref({}); }

PyObject* ref_future(PyObject* self, PyObject*) { return call_hook(Hook::kRefFuture, {self}); }
PyObject* ref_as_future(PyObject* self, PyObject*) { return call_hook(Hook::kAwaitRef, {self}); }

PyObject* ref_await(PyObject* self) {
  Owned future(call_hook(Hook::kAwaitRef, {self}));
  if (!future) return nullptr;
  return Py_TYPE(future.get())->tp_as_async->am_await(future.get());
}

/// Inside a value that is being encoded the object is noted, and lives as long as that value. Pickled
/// elsewhere, nobody knows how long the bytes live, so the object is kept for ever.
PyObject* ref_reduce(PyObject* self, PyObject*) {
  ObjectId id = as_ref(self)->id;
  static PyObject* restore = [] {
    Owned module(PyImport_ImportModule("mobula._core"));
    return module ? PyObject_GetAttrString(module.get(), "_restore_ref") : nullptr;
  }();
  if (!restore) return nullptr;
  Session* current = session();
  if (!note_contained(id, self) && belongs_to(current, id)) current->engine->add_reference(id);
  Owned bytes(id_to_bytes(id));
  return bytes ? Py_BuildValue("(O(O))", restore, bytes.get()) : nullptr;
}

PyMethodDef ref_methods[] = {
    {"hex", ref_hex, METH_NOARGS, "The id as 32 hexadecimal digits."},
    {"binary", ref_binary, METH_NOARGS, "The id as 16 bytes."},
    {"is_nil", ref_is_nil, METH_NOARGS, "True for the id that names nothing."},
    {"size", ref_size, METH_NOARGS, "Bytes of binary()."},
    {"task_id", ref_task_id, METH_NOARGS, "The TaskID of the task that makes the object."},
    {"call_site", ref_call_site, METH_NOARGS, "Where it was made; empty, for that is not recorded."},
    {"future", ref_future, METH_NOARGS, "A concurrent.futures.Future of the value."},
    {"as_future", ref_as_future, METH_NOARGS, "An asyncio.Future of the value, in the running loop."},
    {"nil", ref_nil, METH_NOARGS | METH_CLASS, "The reference that names nothing."},
    {"__reduce__", ref_reduce, METH_NOARGS, "Travels as its id."},
    {"__copy__", ref_self, METH_NOARGS, "References are immutable: itself."},
    {"__deepcopy__", ref_self, METH_O, "References are immutable: itself."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "ObjectRef[int], for type checkers."},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef ref_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Ref, weak_references), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot ref_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(ref_dealloc)},
    {Py_tp_new, reinterpret_cast<void*>(ref_new)},
    {Py_tp_hash, reinterpret_cast<void*>(ref_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(ref_compare)},
    {Py_tp_repr, reinterpret_cast<void*>(ref_repr)},
    {Py_tp_methods, ref_methods},
    {Py_tp_members, ref_members},
    {Py_am_await, reinterpret_cast<void*>(ref_await)},
    {Py_tp_doc,
     const_cast<char*>("A future: the name of a value that a task makes or that put() stored. get() it, "
                       "await it, or pass it to tasks. The value lives as long as a reference does.")},
    {0, nullptr},
};

PyType_Spec ref_spec = {"mobula._core.ObjectRef", sizeof(Ref), 0, Py_TPFLAGS_DEFAULT, ref_slots};

PyObject* restore_ref(PyObject*, PyObject* bytes) {
  ObjectId id;
  return id_from_bytes(bytes, &id) ? share_ref(id) : nullptr;
}

PyMethodDef restore_method = {"_restore_ref", restore_ref, METH_O, "A reference from its binary id."};

}  // namespace

PyObject* make_ref(ObjectId id) {
  PyObject* self = new_ref(id);
  Session* current = session();
  if (!self && belongs_to(current, id)) current->engine->release(id);
  return self;
}

PyObject* share_ref(ObjectId id) {
  Session* current = session();
  if (!id.is_nil() && belongs_to(current, id)) current->engine->add_reference(id);
  return make_ref(id);
}

bool is_ref(PyObject* object) { return Py_IS_TYPE(object, ref_type); }

ObjectId id_of_ref(PyObject* ref) { return as_ref(ref)->id; }

bool check_session(const Session* current, ObjectId id) {
  if (belongs_to(current, id)) return true;
  PyErr_Format(
      PyExc_ValueError,
      "ObjectRef(%s) belongs to an engine that was shut down; references do not outlive mobula.shutdown()",
      to_hex(id).c_str());
  return false;
}

PyObject* id_to_bytes(ObjectId id) {
  unsigned char out[16];
  uint64_t words[] = {id.task.value, uint64_t{id.index} << 32 | id.session};
  for (int i = 0; i < 16; ++i) out[i] = static_cast<unsigned char>(words[i / 8] >> (56 - 8 * (i % 8)));
  return to_bytes({reinterpret_cast<char*>(out), sizeof out});
}

bool id_from_bytes(PyObject* bytes, ObjectId* out) {
  if (!PyBytes_Check(bytes) || PyBytes_GET_SIZE(bytes) != 16) {
    PyErr_Format(PyExc_ValueError, "an object id has 16 bytes, not %R", bytes);
    return false;
  }
  uint64_t words[2] = {0, 0};
  auto* in = reinterpret_cast<unsigned char*>(PyBytes_AS_STRING(bytes));
  for (int i = 0; i < 16; ++i) words[i / 8] = words[i / 8] << 8 | in[i];
  *out = {TaskId{words[0]}, static_cast<uint32_t>(words[1] >> 32), static_cast<uint32_t>(words[1])};
  return true;
}

bool add_ref_type(PyObject* module) {
  ref_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&ref_spec));
  if (!ref_type) return false;
  Owned name(PyUnicode_FromString("mobula._core"));
  Owned restore(PyCFunction_NewEx(&restore_method, nullptr, name.get()));
  return restore && PyModule_AddObjectRef(module, "_restore_ref", restore.get()) == 0 &&
         PyModule_AddObjectRef(module, "ObjectRef", reinterpret_cast<PyObject*>(ref_type)) == 0;
}

}  // namespace mobula::python
