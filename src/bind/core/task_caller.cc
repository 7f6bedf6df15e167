// f.remote(): one C call from Python's call to the engine's ring.
#include <memory>
#include <new>

#include "bind/core/call_site.h"
#include "bind/core/calls.h"
#include "bind/core/pending.h"
#include "worker/python_codec.h"
#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

/// TaskCaller and MethodTemplate have one layout; Python subclasses both.
struct Caller {
  PyObject_HEAD Template* prepared;
};

Template& prepared_of(PyObject* self) { return *reinterpret_cast<Caller*>(self)->prepared; }

PyTypeObject* method_template_type = nullptr;

PyObject* caller_new(PyTypeObject* type, PyObject*, PyObject*) {
  PyObject* self = type->tp_alloc(type, 0);
  if (self) reinterpret_cast<Caller*>(self)->prepared = new Template();
  return self;
}

void caller_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  delete reinterpret_cast<Caller*>(self)->prepared;
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* caller_fill(PyObject* self, PyObject* args) {
  PyObject *fields, *signature;
  int pending_max = -1;
  if (!PyArg_ParseTuple(args, "O!O|i", &PyDict_Type, &fields, &signature, &pending_max)) return nullptr;
  if (!fill_template(fields, signature, &prepared_of(self))) return nullptr;
  prepared_of(self).pending_max = pending_max;
  Py_RETURN_NONE;
}

PyObject* call_prepare(PyObject* self) {
  static PyObject* name = PyUnicode_InternFromString("_prepare");
  return PyObject_CallMethodNoArgs(self, name);
}

PyObject* caller_remote(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  Template& prepared = prepared_of(self);
  CallArguments arguments{args, count, names};
  Session* current = prepare(prepared, self, call_prepare);
  if (!current || !check_call(prepared, self, arguments)) return nullptr;
  return submit_call(current, prepared, arguments, {});
}

PyMethodDef caller_methods[] = {
    {"remote", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(caller_remote)),
     METH_FASTCALL | METH_KEYWORDS,
     "Submits a task that runs the function on the arguments, and returns at once: an ObjectRef, a list of "
     "them, a\n"
     "generator, or None, as num_returns says. A top-level ObjectRef argument is waited for and arrives as "
     "its value."},
    {"_fill", caller_fill, METH_VARARGS, "Takes over the prepared spec and signature."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot caller_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(caller_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(caller_dealloc)},
    {Py_tp_methods, caller_methods},
    {Py_tp_doc, const_cast<char*>("What a remote function is made of: a prepared task.")},
    {0, nullptr},
};

PyType_Spec caller_spec = {"mobula._core.TaskCaller", sizeof(Caller), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, caller_slots};

PyMethodDef method_template_methods[] = {
    {"_fill", caller_fill, METH_VARARGS, "Takes over the prepared spec and signature."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot method_template_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(caller_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(caller_dealloc)},
    {Py_tp_methods, method_template_methods},
    {Py_tp_doc, const_cast<char*>("A method of an actor's class: a prepared call, shared by all handles.")},
    {0, nullptr},
};

PyType_Spec method_template_spec = {"mobula._core.MethodTemplate", sizeof(Caller), 0,
                                    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, method_template_slots};

Owned positional_tuple(const CallArguments& arguments) {
  Owned tuple(PyTuple_New(arguments.positional));
  for (Py_ssize_t i = 0; tuple && i < arguments.positional; ++i) {
    PyTuple_SET_ITEM(tuple.get(), i, Py_NewRef(arguments.values[i]));
  }
  return tuple;
}

Owned keyword_dict(const CallArguments& arguments) {
  Owned dict(PyDict_New());
  Py_ssize_t count = arguments.keyword_names ? PyTuple_GET_SIZE(arguments.keyword_names) : 0;
  for (Py_ssize_t i = 0; dict && i < count; ++i) {
    PyObject* name = PyTuple_GET_ITEM(arguments.keyword_names, i);
    if (PyDict_SetItem(dict.get(), name, arguments.values[arguments.positional + i]) < 0) return Owned();
  }
  return dict;
}

PendingCalls& pending_calls() {
  static auto* calls = new PendingCalls();
  return *calls;
}

PyObject* refuse(const Template& prepared) {
  set_error({Code::kBusy,
             prepared.spec.name + ": the actor has " + std::to_string(prepared.pending_max) +
                 " unanswered calls of this process, its max_pending_calls; get() some of them first"});
  return nullptr;
}

}  // namespace

bool fill_template(PyObject* fields, PyObject* signature, Template* out) {
  TaskSpec spec;
  if (!read_spec(fields, &spec) || !out->signature.read(signature)) return false;
  out->spec = std::move(spec);
  Session* current = session();
  out->session = current ? current->number : 0;
  return true;
}

Session* prepare(const Template& prepared, PyObject* self, PyObject* (*prepare)(PyObject*)) {
  Session* current = session();
  if (current && prepared.session == current->number) return current;
  current = require_session();
  if (!current) return nullptr;
  Owned done(prepare(self));
  if (!done) return nullptr;
  current = session();
  if (current && prepared.session == current->number) return current;
  PyErr_SetString(PyExc_RuntimeError, "the engine was shut down during a call");
  return nullptr;
}

bool check_call(const Template& prepared, PyObject* self, const CallArguments& arguments) {
  if (prepared.signature.accepts(arguments.positional, arguments.keyword_names)) return true;
  Owned args = positional_tuple(arguments), kwargs = keyword_dict(arguments);
  Owned fits(call_hook(Hook::kCheckCall, {self, args.get(), kwargs.get()}));
  return static_cast<bool>(fits);
}

PyObject* submit_call(Session* current, const Template& prepared, const CallArguments& arguments,
                      ActorId actor) {
  Waiting inside(current);
  bool counted = prepared.pending_max >= 0 && prepared.spec.returns != 0;
  if (counted && !pending_calls().may_call(current, actor, prepared.pending_max)) return refuse(prepared);
  CallHold hold(current);
  std::vector<TaskSpec> specs(1, prepared.spec);
  TaskSpec& spec = specs[0];
  spec.actor = actor;
  if (!encode_arguments(current, prepared.signature, arguments, &spec, &hold)) return nullptr;
  int32_t returns = spec.returns;
  Result<std::vector<TaskId>> tasks =
      actor.is_nil() ? current->engine->submit(std::move(specs)) : current->engine->call(std::move(specs));
  if (!tasks.is_ok()) return set_error(tasks.status()), nullptr;
  note_call_site(current, tasks->front(), actor.is_nil() ? "(task call)" : "(actor call)");
  uint32_t answer = returns == kStreaming ? kStreamEndIndex : 0;
  if (counted) pending_calls().add(current, actor, {tasks->front(), answer, current->number});
  return make_results(current, tasks->front(), returns);
}

Template* template_of_method(PyObject* object) {
  return PyObject_TypeCheck(object, method_template_type) ? &prepared_of(object) : nullptr;
}

bool add_caller_types(PyObject* module) {
  Owned caller(PyType_FromSpec(&caller_spec));
  method_template_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&method_template_spec));
  if (!caller || !method_template_type) return false;
  return PyModule_AddObjectRef(module, "TaskCaller", caller.get()) == 0 &&
         PyModule_AddObjectRef(module, "MethodTemplate", reinterpret_cast<PyObject*>(method_template_type)) ==
             0;
}

}  // namespace mobula::python
