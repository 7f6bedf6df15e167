// ActorHandle: a counted reference to an actor; its attributes are the methods of the actor's class.
// ActorMethod: one of them, bound to a handle. A method is made anew for each access, so that handles hold no
// cycle and go at once.
#include "bind/core/calls.h"

#include <structmember.h>

#include "worker/python_codec.h"
#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

struct Handle {
  PyObject_HEAD ActorId id;
  uint32_t session;
  PyObject* description;  // mobula.actor._ActorDescription: class name, methods, options
  PyObject* methods;      // its dict: name -> MethodTemplate
  PyObject* weak_references;
};

struct Method {
  PyObject_HEAD PyObject* handle;
  PyObject* method;  // MethodTemplate
};

PyTypeObject* handle_type = nullptr;
PyTypeObject* method_type = nullptr;

Handle* as_handle(PyObject* object) { return reinterpret_cast<Handle*>(object); }
Method* as_method(PyObject* object) { return reinterpret_cast<Method*>(object); }

bool is_current(const Handle* handle) {
  Session* current = session();
  return current && current->number == handle->session && !handle->id.is_nil();
}

// ---- handles
// ------------------------------------------------------------------------------------------------------

/// ActorHandle(number, session, description, owned): `owned` takes over a reference that the engine counted
/// already.
PyObject* handle_new(PyTypeObject* type, PyObject* args, PyObject*) {
  unsigned long long number = 0;
  unsigned int session_number = 0;
  PyObject* description = nullptr;
  int owned = 0;
  if (!PyArg_ParseTuple(args, "KIOp", &number, &session_number, &description, &owned)) return nullptr;
  Owned methods(PyObject_GetAttrString(description, "methods"));
  if (!methods) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  Handle* handle = as_handle(self);
  handle->id = {number};
  handle->session = session_number;
  handle->description = Py_NewRef(description);
  handle->methods = methods.give();
  if (!owned && is_current(handle)) session()->engine->add_actor_reference(handle->id);
  return self;
}

void handle_dealloc(PyObject* self) {
  Handle* handle = as_handle(self);
  if (handle->weak_references) PyObject_ClearWeakRefs(self);
  if (is_current(handle)) session()->engine->release_actor(handle->id);
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(handle->description);
  Py_XDECREF(handle->methods);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* new_method(PyObject* handle, PyObject* method) {
  PyObject* self = method_type->tp_alloc(method_type, 0);
  if (!self) return nullptr;
  as_method(self)->handle = Py_NewRef(handle);
  as_method(self)->method = Py_NewRef(method);
  return self;
}

PyObject* class_name(const Handle* handle) {
  return PyObject_GetAttrString(handle->description, "class_name");
}

PyObject* handle_getattr(PyObject* self, PyObject* name) {
  PyObject* method = PyDict_GetItemWithError(as_handle(self)->methods, name);
  if (method) return new_method(self, method);
  if (PyErr_Occurred()) return nullptr;
  PyObject* found = PyObject_GenericGetAttr(self, name);
  if (found || !PyErr_ExceptionMatches(PyExc_AttributeError)) return found;
  PyErr_Clear();
  Owned unlisted(call_hook(Hook::kMissingMethod, {as_handle(self)->description, name}));
  return unlisted ? new_method(self, unlisted.get()) : nullptr;
}

Py_hash_t handle_hash(PyObject* self) {
  auto hash = static_cast<Py_hash_t>(std::hash<ActorId>{}(as_handle(self)->id));
  return hash == -1 ? -2 : hash;
}

PyObject* handle_compare(PyObject* self, PyObject* other, int operation) {
  if ((operation != Py_EQ && operation != Py_NE) || !PyObject_TypeCheck(other, handle_type))
    Py_RETURN_NOTIMPLEMENTED;
  bool equal =
      as_handle(self)->id == as_handle(other)->id && as_handle(self)->session == as_handle(other)->session;
  return PyBool_FromLong(equal == (operation == Py_EQ));
}

PyObject* handle_repr(PyObject* self) {
  Owned title(class_name(as_handle(self)));
  return title ? PyUnicode_FromFormat("Actor(%U, %s)", title.get(), to_hex(as_handle(self)->id.value).c_str())
               : nullptr;
}

/// A handle in a value keeps the actor alive as a reference does: it is noted as the creation's first result.
PyObject* handle_reduce(PyObject* self, PyObject*) {
  Handle* handle = as_handle(self);
  PyObject* restore = hook(Hook::kRestoreActor);
  Owned description(PyObject_CallMethod(handle->description, "packed", nullptr));
  if (!restore || !description) return nullptr;
  bool noted = note_contained({TaskId{handle->id.value}, 0, handle->session}, self);
  if (!noted && is_current(handle)) session()->engine->add_actor_reference(handle->id);
  return Py_BuildValue("(O(KIO))", restore, static_cast<unsigned long long>(handle->id.value),
                       handle->session, description.get());
}

PyObject* handle_self(PyObject* self, PyObject*) { return Py_NewRef(self); }

PyObject* handle_number(PyObject* self, void*) {
  return PyLong_FromUnsignedLongLong(as_handle(self)->id.value);
}

PyObject* handle_dir(PyObject* self, PyObject*) { return PyDict_Keys(as_handle(self)->methods); }

PyMethodDef handle_methods[] = {
    {"__reduce__", handle_reduce, METH_NOARGS, "Travels as its id and its class's description."},
    {"__copy__", handle_self, METH_NOARGS, "Itself."},
    {"__deepcopy__", handle_self, METH_O, "Itself."},
    {"__dir__", handle_dir, METH_NOARGS, "The names of the methods."},
    {"__class_getitem__", Py_GenericAlias, METH_O | METH_CLASS, "ActorHandle[Counter], for type checkers."},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Handle, weak_references), READONLY, nullptr},
    {"_description", T_OBJECT_EX, offsetof(Handle, description), READONLY, "what is known of the class"},
    {"_session", T_UINT, offsetof(Handle, session), READONLY, "of the engine that it belongs to"},
    {nullptr, 0, 0, 0, nullptr},
};

PyGetSetDef handle_getters[] = {
    {"_number", handle_number, nullptr, "the id as a number", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot handle_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(handle_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(handle_dealloc)},
    {Py_tp_getattro, reinterpret_cast<void*>(handle_getattr)},
    {Py_tp_hash, reinterpret_cast<void*>(handle_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(handle_compare)},
    {Py_tp_repr, reinterpret_cast<void*>(handle_repr)},
    {Py_tp_methods, handle_methods},
    {Py_tp_members, handle_members},
    {Py_tp_getset, handle_getters},
    {Py_tp_doc,
     const_cast<char*>("A living actor. actor.method.remote(...) calls it; handles can be passed to tasks "
                       "and other actors. The actor ends when the last handle is gone.")},
    {0, nullptr},
};

PyType_Spec handle_spec = {"mobula._core.ActorHandle", sizeof(Handle), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, handle_slots};

// ---- methods
// ------------------------------------------------------------------------------------------------------

void method_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_XDECREF(as_method(self)->handle);
  Py_XDECREF(as_method(self)->method);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* method_new(PyTypeObject*, PyObject* args, PyObject*) {
  PyObject *handle, *method;
  if (!PyArg_ParseTuple(args, "O!O", handle_type, &handle, &method)) return nullptr;
  if (template_of_method(method)) return new_method(handle, method);
  PyErr_SetString(PyExc_TypeError, "a method is made of a handle and a MethodTemplate");
  return nullptr;
}

PyObject* prepare_method(PyObject* method) { return call_hook(Hook::kPrepareMethod, {method}); }

PyObject* method_remote(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Handle* handle = as_handle(as_method(self)->handle);
  PyObject* method = as_method(self)->method;
  Template& prepared = *template_of_method(method);
  CallArguments arguments{args, count, names};
  Session* current = prepare(prepared, method, prepare_method);
  if (!current || !check_call(prepared, method, arguments)) return nullptr;
  if (handle->session == current->number) return submit_call(current, prepared, arguments, handle->id);
  PyErr_SetString(PyExc_ValueError, "the actor belongs to an engine that was shut down");
  return nullptr;
}

/// options(**options), bind(*args, **kwargs): Python's part.
PyObject* method_options(PyObject* self, PyObject*, PyObject* kwargs) {
  Owned none;
  if (!kwargs) none = Owned(PyDict_New());
  return call_hook(Hook::kMethodOptions, {self, kwargs ? kwargs : none.get()});
}

PyObject* method_bind(PyObject* self, PyObject* args, PyObject* kwargs) {
  Owned none;
  if (!kwargs) none = Owned(PyDict_New());
  return call_hook(Hook::kMethodBind, {self, args, kwargs ? kwargs : none.get()});
}

PyObject* method_call(PyObject* self, PyObject*, PyObject*) {
  Owned name(PyObject_GetAttrString(as_method(self)->method, "name"));
  if (name) {
    PyErr_Format(PyExc_TypeError,
                 "actor methods cannot be called directly: instead of actor.%U(...) write "
                 "actor.%U.remote(...)",
                 name.get(), name.get());
  }
  return nullptr;
}

PyMethodDef method_methods[] = {
    {"remote", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(method_remote)),
     METH_FASTCALL | METH_KEYWORDS,
     "Calls the method in the actor and returns at once: an ObjectRef, a list of them, a generator, or "
     "None."},
    {"options", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(method_options)),
     METH_VARARGS | METH_KEYWORDS,
     "The method with other options: num_returns, name, concurrency_group, max_task_retries, "
     "retry_exceptions."},
    {"bind", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(method_bind)),
     METH_VARARGS | METH_KEYWORDS, "A node of a lazy graph."},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef method_members[] = {
    {"_handle", T_OBJECT_EX, offsetof(Method, handle), READONLY, "the actor"},
    {"_template", T_OBJECT_EX, offsetof(Method, method), READONLY, "the prepared call"},
    {nullptr, 0, 0, 0, nullptr},
};

PyType_Slot method_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(method_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(method_dealloc)},
    {Py_tp_call, reinterpret_cast<void*>(method_call)},
    {Py_tp_methods, method_methods},
    {Py_tp_members, method_members},
    {Py_tp_doc, const_cast<char*>("A method of a living actor: call it with .remote(...).")},
    {0, nullptr},
};

PyType_Spec method_spec = {"mobula._core.ActorMethod", sizeof(Method), 0, Py_TPFLAGS_DEFAULT, method_slots};

}  // namespace

bool id_of_handle(PyObject* object, ObjectId* out) {
  if (!PyObject_TypeCheck(object, handle_type)) return false;
  *out = {TaskId{as_handle(object)->id.value}, 0, as_handle(object)->session};
  return true;
}

bool add_actor_types(PyObject* module) {
  handle_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&handle_spec));
  method_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&method_spec));
  if (!handle_type || !method_type) return false;
  return PyModule_AddObjectRef(module, "ActorHandle", reinterpret_cast<PyObject*>(handle_type)) == 0 &&
         PyModule_AddObjectRef(module, "ActorMethod", reinterpret_cast<PyObject*>(method_type)) == 0;
}

}  // namespace mobula::python
