// The pool of picklers, their sink, and the view type that unpickled buffers are.
#include "worker/python_pickle.h"

#include <new>
#include <unordered_set>

#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

// ---- where a pickler writes
// ---------------------------------------------------------------------------------------

struct Sink {
  PyObject_HEAD Encoded* target;
};

PyObject* sink_write(PyObject* self, PyObject* piece) {
  auto* sink = reinterpret_cast<Sink*>(self);
  HeldBuffer held;
  if (!sink->target || !held.take(piece)) return nullptr;
  size_t size = held.size();
  sink->target->meta.push_back(std::move(held));
  return PyLong_FromSize_t(size);
}

/// False keeps the buffer out of band. One that is not contiguous is pickled in place.
PyObject* sink_buffer(PyObject* self, PyObject* buffer) {
  auto* sink = reinterpret_cast<Sink*>(self);
  HeldBuffer held;
  if (!held.take(buffer)) {
    PyErr_Clear();
    Py_RETURN_TRUE;
  }
  sink->target->buffers.push_back(std::move(held));
  Py_RETURN_FALSE;
}

void sink_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef sink_methods[] = {
    {"write", sink_write, METH_O, "Takes a piece of the pickle."},
    {"buffer", sink_buffer, METH_O, "Takes a buffer out of band."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot sink_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(sink_dealloc)},
    {Py_tp_methods, sink_methods},
    {Py_tp_doc, const_cast<char*>("Where a pickler writes.")},
    {0, nullptr},
};

PyType_Spec sink_spec = {"mobula._core._Sink", sizeof(Sink), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, sink_slots};

// ---- what goes by reference
// ----------------------------------------------------------------------------------------

/// In front of cloudpickle's reducer_override: says NotImplemented at once for what is neither function nor
/// class, and for functions and classes that were found to be importable before.
struct Reducer {
  PyObject_HEAD PyObject* slow;
  PyObject* by_value_modules;  // cloudpickle's set of modules that are to be pickled by value
};

auto& importable = *new std::unordered_set<PyObject*>();  // strong references; never destroyed
constexpr size_t kImportableMax = 100'000;

PyObject* reducer_call(PyObject* self, PyObject* args, PyObject*) {
  PyObject* object = PyTuple_GET_SIZE(args) == 1 ? PyTuple_GET_ITEM(args, 0) : nullptr;
  if (!object) return PyErr_SetString(PyExc_TypeError, "one argument is wanted"), nullptr;
  if (!PyType_Check(object) && !PyFunction_Check(object)) Py_RETURN_NOTIMPLEMENTED;
  auto* reducer = reinterpret_cast<Reducer*>(self);
  bool cacheable = PySet_GET_SIZE(reducer->by_value_modules) == 0;
  if (cacheable && importable.contains(object)) Py_RETURN_NOTIMPLEMENTED;
  PyObject* answer = PyObject_CallOneArg(reducer->slow, object);
  if (answer == Py_NotImplemented && cacheable && importable.size() < kImportableMax) {
    if (importable.insert(object).second) Py_INCREF(object);
  }
  return answer;
}

int reducer_traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(reinterpret_cast<Reducer*>(self)->slow);
  Py_VISIT(reinterpret_cast<Reducer*>(self)->by_value_modules);
  Py_VISIT(Py_TYPE(self));
  return 0;
}

int reducer_clear(PyObject* self) {
  Py_CLEAR(reinterpret_cast<Reducer*>(self)->slow);
  Py_CLEAR(reinterpret_cast<Reducer*>(self)->by_value_modules);
  return 0;
}

void reducer_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  reducer_clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* reducer_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *slow, *modules;
  if (!PyArg_ParseTuple(args, "OO!", &slow, &PySet_Type, &modules)) return nullptr;
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  reinterpret_cast<Reducer*>(self)->slow = Py_NewRef(slow);
  reinterpret_cast<Reducer*>(self)->by_value_modules = Py_NewRef(modules);
  return self;
}

PyType_Slot reducer_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(reducer_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(reducer_dealloc)},
    {Py_tp_traverse, reinterpret_cast<void*>(reducer_traverse)},
    {Py_tp_clear, reinterpret_cast<void*>(reducer_clear)},
    {Py_tp_call, reinterpret_cast<void*>(reducer_call)},
    {Py_tp_doc, const_cast<char*>("Reducer(slow, by_value_modules): reducer_override with a memory.")},
    {0, nullptr},
};

PyType_Spec reducer_spec = {"mobula._core.Reducer", sizeof(Reducer), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, reducer_slots};

// ---- a read-only view
// ---------------------------------------------------------------------------------------------

struct View {
  PyObject_HEAD std::shared_ptr<const void> owner;
  std::span<const uint8_t> bytes;
};

int view_get_buffer(PyObject* self, Py_buffer* buffer, int flags) {
  auto* view = reinterpret_cast<View*>(self);
  static uint8_t nothing;
  const uint8_t* data = view->bytes.empty() ? &nothing : view->bytes.data();
  return PyBuffer_FillInfo(buffer, self, const_cast<uint8_t*>(data),
                           static_cast<Py_ssize_t>(view->bytes.size()), 1, flags);
}

void view_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<View*>(self)->owner.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}

Py_ssize_t view_length(PyObject* self) {
  return static_cast<Py_ssize_t>(reinterpret_cast<View*>(self)->bytes.size());
}

PyObject* view_reduce(PyObject* self, PyObject*) {
  Owned copy(PyBytes_FromObject(self));
  if (!copy) return nullptr;
  return Py_BuildValue("(O(O))", reinterpret_cast<PyObject*>(&PyBytes_Type), copy.get());
}

PyMethodDef view_methods[] = {
    {"__reduce__", view_reduce, METH_NOARGS, "Travels as bytes."},
    {nullptr, nullptr, 0, nullptr},
};

PyType_Slot view_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(view_dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(view_get_buffer)},
    {Py_sq_length, reinterpret_cast<void*>(view_length)},
    {Py_tp_methods, view_methods},
    {Py_tp_doc,
     const_cast<char*>("Read-only bytes of an object, which stays in memory as long as this does.")},
    {0, nullptr},
};

PyType_Spec view_spec = {"mobula._core.View", sizeof(View), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, view_slots};

PyTypeObject* sink_type = nullptr;
PyTypeObject* view_type = nullptr;

// ---- the pool
// -----------------------------------------------------------------------------------------------------

/// One pickler. A value's own __reduce__ may start another encode, hence a pool and not one for the thread.
struct Pickler {
  Owned sink, pickler, clear_memo, dump;
};

auto& idle = *new std::vector<std::unique_ptr<Pickler>>();  // never destroyed: there is no interpreter then
constexpr size_t kIdleMax = 16;

std::unique_ptr<Pickler> make_pickler() {
  auto made = std::make_unique<Pickler>();
  made->sink = Owned(sink_type->tp_alloc(sink_type, 0));
  if (!made->sink) return nullptr;
  Owned write(PyObject_GetAttrString(made->sink.get(), "write"));
  Owned buffer(PyObject_GetAttrString(made->sink.get(), "buffer"));
  made->pickler = Owned(call_hook(Hook::kMakePickler, {write.get(), buffer.get()}));
  if (!made->pickler) return nullptr;
  made->clear_memo = Owned(PyObject_GetAttrString(made->pickler.get(), "forget"));
  made->dump = Owned(PyObject_GetAttrString(made->pickler.get(), "dump_fast"));
  if (!made->clear_memo || !made->dump) return nullptr;
  return made;
}

PyObject* loads() {
  static PyObject* function = [] {
    Owned module(PyImport_ImportModule("_pickle"));
    return module ? PyObject_GetAttrString(module.get(), "loads") : nullptr;
  }();
  return function;
}

/// copyreg's reducers are merged into ours, which is a plain dict for speed: again when there are more of
/// them.
bool refresh_reducers() {
  static PyObject* table = [] {
    Owned module(PyImport_ImportModule("copyreg"));
    return module ? PyObject_GetAttrString(module.get(), "dispatch_table") : nullptr;
  }();
  static Py_ssize_t merged = -1;
  if (!table) return false;
  if (PyDict_GET_SIZE(table) == merged) return true;
  merged = PyDict_GET_SIZE(table);
  Owned done(call_hook(Hook::kMergeReducers, {}));
  return static_cast<bool>(done);
}

}  // namespace

bool pickle_into(PyObject* value, Encoded* out) {
  std::unique_ptr<Pickler> pickler;
  if (!idle.empty()) {
    pickler = std::move(idle.back());
    idle.pop_back();
  } else if (!(pickler = make_pickler())) {
    return false;
  }
  auto* sink = reinterpret_cast<Sink*>(pickler->sink.get());
  sink->target = out;
  if (!refresh_reducers()) return false;
  Owned done(PyObject_CallOneArg(pickler->dump.get(), value));
  sink->target = nullptr;
  if (!done) return false;  // the pickler may be in the middle of a frame: it is dropped
  Owned cleared(PyObject_CallNoArgs(pickler->clear_memo.get()));
  if (!cleared) return false;
  if (idle.size() < kIdleMax) idle.push_back(std::move(pickler));
  return true;
}

PyObject* unpickle(std::string_view meta, PyObject* buffers) {
  PyObject* function = loads();
  if (!function) return nullptr;
  Owned view(PyMemoryView_FromMemory(const_cast<char*>(meta.data()), static_cast<Py_ssize_t>(meta.size()),
                                     PyBUF_READ));
  if (!view) return nullptr;
  if (!buffers) return PyObject_CallOneArg(function, view.get());
  static PyObject* names = Py_BuildValue("(s)", "buffers");
  PyObject* arguments[] = {view.get(), buffers};
  return PyObject_Vectorcall(function, arguments, 1, names);
}

PyObject* make_view(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner) {
  PyObject* self = view_type->tp_alloc(view_type, 0);
  if (!self) return nullptr;
  auto* view = reinterpret_cast<View*>(self);
  new (&view->owner) std::shared_ptr<const void>(std::move(owner));
  view->bytes = bytes;
  return self;
}

bool add_pickle_types(PyObject* module) {
  sink_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&sink_spec));
  view_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&view_spec));
  if (!sink_type || !view_type) return false;
  Owned reducer(PyType_FromSpec(&reducer_spec));
  if (!reducer || PyModule_AddObjectRef(module, "Reducer", reducer.get()) < 0) return false;
  return PyModule_AddObjectRef(module, "View", reinterpret_cast<PyObject*>(view_type)) == 0;
}

}  // namespace mobula::python
