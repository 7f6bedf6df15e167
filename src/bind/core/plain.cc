// One Python value to plain items, and back.
#include "bind/core/plain.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "bind/core/calls.h"
#include "bind/core/object_ref.h"
#include "wire/plain.h"
#include "worker/python_hooks.h"
#include "worker/python_pickle.h"

namespace mobula::python {
namespace {

// ---- writing
// ------------------------------------------------------------------------------------------------------

struct Format {
  char code;
  ElementType type;
};

/// Codes of the struct module, native sizes: 'l' and 'q' are both 8 bytes here.
constexpr std::array<Format, 14> kFormats{{
    {'?', ElementType::kBool},
    {'b', ElementType::kInt8},
    {'h', ElementType::kInt16},
    {'i', ElementType::kInt32},
    {'l', ElementType::kInt64},
    {'q', ElementType::kInt64},
    {'B', ElementType::kUint8},
    {'H', ElementType::kUint16},
    {'I', ElementType::kUint32},
    {'L', ElementType::kUint64},
    {'Q', ElementType::kUint64},
    {'e', ElementType::kFloat16},
    {'f', ElementType::kFloat32},
    {'d', ElementType::kFloat64},
}};

bool element_type(const char* format, ElementType* out) {
  if (!format) return *out = ElementType::kUint8, true;
  if (*format == '@' || *format == '=' || *format == '<') ++format;
  for (const Format& known : kFormats) {
    if (known.code == format[0] && format[1] == '\0') return *out = known.type, true;
  }
  return false;
}

class Writing {
 public:
  Writing(Encoded* out, std::string_view where) : out_(out), where_(where), writer_(out->scratch) {}

  bool item(PyObject* value, size_t depth);

 private:
  bool number(PyObject* value);
  bool sequence(PyObject* value, PlainKind kind, size_t depth);
  bool pairs(PyObject* value, size_t depth);
  bool handle(PyObject* value);
  bool array(PyObject* value);
  bool table(PyObject* value);
  bool buffer(PyObject* value, uint32_t* index);
  bool refuse(PyObject* value);

  Encoded* out_;
  std::string_view where_;
  PlainWriter writer_;
};

bool Writing::refuse(PyObject* value) {
  if (PyErr_Occurred()) PyErr_Clear();
  std::string place(where_);
  PyErr_Format(PyExc_TypeError,
               "%s holds a %s, which C++ has no form for. It takes None, bool, int, float, str, bytes, "
               "lists, tuples, sets, "
               "dicts, numeric arrays, Arrow tables, references and actors' handles",
               place.c_str(), Py_TYPE(value)->tp_name);
  return false;
}

bool Writing::number(PyObject* value) {
  int overflow = 0;
  long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
  if (overflow == 0) return writer_.integer(number), !PyErr_Occurred();
  unsigned long long large = PyLong_AsUnsignedLongLong(value);
  if (PyErr_Occurred()) return refuse(value);
  writer_.unsigned_integer(large);
  return true;
}

bool Writing::sequence(PyObject* value, PlainKind kind, size_t depth) {
  Owned items(PySequence_Fast(value, "items are wanted"));
  if (!items) return false;
  Py_ssize_t count = PySequence_Fast_GET_SIZE(items.get());
  writer_.list(static_cast<uint32_t>(count), kind);
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!item(PySequence_Fast_GET_ITEM(items.get(), i), depth + 1)) return false;
  }
  return true;
}

bool Writing::pairs(PyObject* value, size_t depth) {
  writer_.map(static_cast<uint32_t>(PyDict_GET_SIZE(value)));
  PyObject *key, *one;
  Py_ssize_t at = 0;
  while (PyDict_Next(value, &at, &key, &one)) {
    if (!item(key, depth + 1) || !item(one, depth + 1)) return false;
  }
  return true;
}

bool Writing::buffer(PyObject* value, uint32_t* index) {
  HeldBuffer held;
  if (!held.take(value)) return false;
  *index = static_cast<uint32_t>(out_->buffers.size());
  out_->buffers.push_back(std::move(held));
  return true;
}

bool Writing::handle(PyObject* value) {
  Owned fields(call_hook(Hook::kPlainHandle, {value}));
  unsigned long long number = 0;
  PlainActor actor;
  int retries = 0, is_cpp = 0;
  PyObject *definition, *own;
  const char* class_name;
  if (!fields || !PyArg_ParseTuple(fields.get(), "KIpiSsS", &number, &actor.session, &is_cpp, &retries,
                                   &definition, &class_name, &own)) {
    return false;
  }
  actor.id = {number};
  actor.language = static_cast<uint8_t>(is_cpp ? Language::kCpp : Language::kPython);
  actor.max_task_retries = retries;
  if (PyBytes_GET_SIZE(definition) == sizeof actor.definition) {
    std::memcpy(&actor.definition.high, PyBytes_AS_STRING(definition), 8);
    std::memcpy(&actor.definition.low, PyBytes_AS_STRING(definition) + 8, 8);
  }
  actor.class_name = class_name;
  actor.handle = {PyBytes_AS_STRING(own), static_cast<size_t>(PyBytes_GET_SIZE(own))};
  writer_.actor(actor);
  ObjectId life;
  id_of_handle(value, &life);
  out_->contained.push_back(life);
  out_->kept.push_back(Owned::borrow(value));
  return true;
}

bool Writing::array(PyObject* value) {
  Owned contiguous(PyMemoryView_GetContiguous(value, PyBUF_READ, 'C'));
  if (!contiguous) return refuse(value);
  const Py_buffer* view = PyMemoryView_GET_BUFFER(contiguous.get());
  ElementType type;
  if (!element_type(view->format, &type)) return refuse(value);
  std::vector<int64_t> shape(view->shape, view->shape + view->ndim);
  if (static_cast<size_t>(view->ndim) > kPlainRankMax) return refuse(value);
  uint32_t index = 0;
  if (!buffer(contiguous.get(), &index)) return false;
  writer_.tensor(type, shape, index);
  return true;
}

bool Writing::table(PyObject* value) {
  Owned stream(call_hook(Hook::kWriteArrow, {value}));
  uint32_t index = 0;
  if (!stream || !buffer(stream.get(), &index)) return false;
  writer_.arrow(index);
  return true;
}

bool Writing::item(PyObject* value, size_t depth) {
  if (depth >= kPlainDepthMax) return refuse(value);
  if (value == Py_None) return writer_.null(), true;
  if (PyBool_Check(value)) return writer_.boolean(value == Py_True), true;
  if (PyLong_Check(value)) return number(value);
  if (PyFloat_Check(value)) return writer_.real(PyFloat_AsDouble(value)), true;
  if (PyUnicode_Check(value)) {
    std::string_view text;
    return utf8_of(value, &text) && (writer_.string(text), true);
  }
  if (PyBytes_Check(value)) {
    auto size = static_cast<size_t>(PyBytes_GET_SIZE(value));
    if (size <= kShortBytesMax) return writer_.bytes({PyBytes_AS_STRING(value), size}), true;
    uint32_t index = 0;
    return buffer(value, &index) && (writer_.long_bytes(index), true);
  }
  if (PyList_Check(value)) return sequence(value, PlainKind::kList, depth);
  if (PyTuple_Check(value)) return sequence(value, PlainKind::kTuple, depth);
  if (PyAnySet_Check(value)) return sequence(value, PlainKind::kSet, depth);
  if (PyDict_Check(value)) return pairs(value, depth);
  ObjectId id;
  if (is_ref(value)) {
    writer_.reference(id_of_ref(value));
    out_->contained.push_back(id_of_ref(value));
    out_->kept.push_back(Owned::borrow(value));
    return true;
  }
  if (id_of_handle(value, &id)) return handle(value);
  if (PyObject_CheckBuffer(value)) return array(value);
  if (std::string_view(Py_TYPE(value)->tp_name).starts_with("pyarrow.")) return table(value);
  Owned index(PyNumber_Index(value));
  return index ? number(index.get()) : refuse(value);
}

// ---- reading
// ------------------------------------------------------------------------------------------------------

class Reading {
 public:
  Reading(PlainCursor& cursor, const std::shared_ptr<const void>& owner) : cursor_(cursor), owner_(owner) {}

  /// The item under the cursor, which is moved past it.
  PyObject* item();

 private:
  PyObject* scalar();
  PyObject* sequence();
  PyObject* pairs();
  PyObject* array(const PlainItem& item);
  PyObject* reference(const PlainItem& item);
  PyObject* actor(const PlainItem& item);

  PlainCursor& cursor_;
  const std::shared_ptr<const void>& owner_;
};

PyObject* Reading::item() {
  switch (cursor_.peek()) {
    case PlainKind::kList:
    case PlainKind::kTuple:
    case PlainKind::kSet:
      return sequence();
    case PlainKind::kMap:
      return pairs();
    default: {
      PyObject* value = scalar();
      cursor_.advance();
      return value;
    }
  }
}

PyObject* Reading::scalar() {
  const PlainItem& item = cursor_.item();
  switch (item.kind) {
    case PlainKind::kNull:
      Py_RETURN_NONE;
    case PlainKind::kFalse:
      Py_RETURN_FALSE;
    case PlainKind::kTrue:
      Py_RETURN_TRUE;
    case PlainKind::kInt:
      return PyLong_FromLongLong(item.integer);
    case PlainKind::kUint:
      return PyLong_FromUnsignedLongLong(item.unsigned_integer);
    case PlainKind::kFloat:
      return PyFloat_FromDouble(item.real);
    case PlainKind::kString:
      return to_str(item.text());
    case PlainKind::kBytes:
    case PlainKind::kLongBytes:
      return to_bytes(item.text());
    case PlainKind::kTensor:
      return array(item);
    case PlainKind::kReference:
      return share_ref(item.reference);
    case PlainKind::kActor:
      return actor(item);
    case PlainKind::kArrow: {
      Owned buffer(view_of(item.bytes, owner_));
      return call_hook(Hook::kReadArrow, {buffer.get()});
    }
    default:
      return PyErr_SetString(PyExc_ValueError, "a plain value is damaged"), nullptr;
  }
}

PyObject* Reading::sequence() {
  PlainKind kind = cursor_.item().kind;
  uint32_t count = cursor_.item().count;
  cursor_.advance();
  Owned list(PyList_New(0));
  for (uint32_t i = 0; list && i < count; ++i) {
    Owned one(item());
    if (!one || PyList_Append(list.get(), one.get()) < 0) return nullptr;
  }
  if (kind == PlainKind::kTuple) return PyList_AsTuple(list.get());
  return kind == PlainKind::kSet ? PySet_New(list.get()) : list.give();
}

PyObject* Reading::pairs() {
  uint32_t count = cursor_.item().count;
  cursor_.advance();
  Owned dict(PyDict_New());
  for (uint32_t i = 0; dict && i < count; ++i) {
    Owned key(item());
    if (!key) return nullptr;
    Owned value(item());
    if (!value || PyDict_SetItem(dict.get(), key.get(), value.get()) < 0) return nullptr;
  }
  return dict.give();
}

PyObject* Reading::array(const PlainItem& item) {
  Owned view(view_of(item.bytes, owner_));
  Owned type(PyLong_FromLong(static_cast<long>(item.type)));
  Owned shape(PyTuple_New(static_cast<Py_ssize_t>(item.shape.size())));
  for (size_t i = 0; shape && i < item.shape.size(); ++i) {
    PyTuple_SET_ITEM(shape.get(), static_cast<Py_ssize_t>(i), PyLong_FromLongLong(item.shape[i]));
  }
  return call_hook(Hook::kMakeArray, {view.get(), type.get(), shape.get()});
}

Owned digest_bytes(const FunctionId& id) {
  char bytes[sizeof id];
  std::memcpy(bytes, &id.high, 8);
  std::memcpy(bytes + 8, &id.low, 8);
  return Owned(to_bytes({bytes, sizeof bytes}));
}

/// (class name, C++?, definition, max_task_retries, Python's part)
PyObject* actor_fields(const PlainActor& actor) {
  Owned name(to_str(actor.class_name));
  Owned definition = digest_bytes(actor.definition);
  Owned own(to_bytes(actor.handle));
  bool is_cpp = actor.language == static_cast<uint8_t>(Language::kCpp);
  if (!name || !definition || !own) return nullptr;
  return Py_BuildValue("(OOOiO)", name.get(), is_cpp ? Py_True : Py_False, definition.get(),
                       actor.max_task_retries, own.get());
}

PyObject* Reading::actor(const PlainItem& item) {
  Owned number(PyLong_FromUnsignedLongLong(item.actor.id.value));
  Owned session(PyLong_FromUnsignedLong(item.actor.session));
  Owned fields(actor_fields(item.actor));
  return call_hook(Hook::kRestorePlainActor, {number.get(), session.get(), fields.get()});
}

}  // namespace

bool encode_plain(PyObject* value, std::string_view where, Encoded* out) {
  Writing writing(out, where);
  if (!writing.item(value, 0)) return false;
  ShortestEnvelope shortest = shortest_envelope(out->scratch);
  out->tag = shortest.tag;
  out->scratch = std::string(shortest.meta);
  return true;
}

bool encode_array(PyObject* value, Encoded* out) {
  if (std::string_view(Py_TYPE(value)->tp_name) != "numpy.ndarray") return false;
  HeldBuffer held;
  if (!held.take(value, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)) return PyErr_Clear(), false;
  const Py_buffer& view = held.view();
  ElementType type;
  bool native = view.format && view.format[0] != '\0' && view.format[1] == '\0' && view.format[0] != 'q' &&
                view.format[0] != 'Q';
  if (!native || view.len == 0 || !element_type(view.format, &type)) return false;
  if (static_cast<size_t>(view.ndim) > kPlainRankMax) return false;
  std::array<int64_t, kPlainRankMax> shape{};
  std::copy_n(view.shape, view.ndim, shape.begin());
  out->tag = Tag::kPlain;
  PlainWriter(out->scratch).tensor(type, std::span(shape).first(static_cast<size_t>(view.ndim)), 0);
  out->buffers.push_back(std::move(held));
  return true;
}

PyObject* decode_plain(std::span<const uint8_t> envelope, const std::shared_ptr<const void>& owner) {
  Result<PlainCursor> cursor = PlainCursor::open(envelope);
  if (!cursor.is_ok()) return set_error(cursor.status()), nullptr;
  return Reading(*cursor, owner).item();
}

PyObject* describe_plain_actor(std::string_view handle) {
  Result<PlainCursor> cursor =
      PlainCursor::open({reinterpret_cast<const uint8_t*>(handle.data()), handle.size()});
  if (!cursor.is_ok() || cursor->peek() != PlainKind::kActor) Py_RETURN_NONE;
  return actor_fields(cursor->item().actor);
}

}  // namespace mobula::python
