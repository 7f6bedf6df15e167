// Signatures, specs from dicts, and what a call gives back.
#include "bind/core/template.h"

#include <cmath>
#include <cstring>
#include <functional>
#include <unordered_map>

#include "bind/core/calls.h"
#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

constexpr size_t kParametersMax = 64;  // longer signatures are left to Python

bool same_name(PyObject* a, PyObject* b) { return a == b || PyUnicode_Compare(a, b) == 0; }

bool read_text(PyObject* value, std::string* out) {
  std::string_view text;
  if (!utf8_of(value, &text)) return false;
  out->assign(text);
  return true;
}

bool read_data(PyObject* value, std::string* out) {
  char* data = nullptr;
  Py_ssize_t size = 0;
  if (PyBytes_AsStringAndSize(value, &data, &size) < 0) return false;
  out->assign(data, static_cast<size_t>(size));
  return true;
}

bool read_int(PyObject* value, int32_t* out) {
  long number = PyLong_AsLong(value);
  if (number == -1 && PyErr_Occurred()) return false;
  *out = static_cast<int32_t>(number);
  return true;
}

bool read_bool(PyObject* value, bool* out) {
  int truth = PyObject_IsTrue(value);
  *out = truth == 1;
  return truth >= 0;
}

bool read_function(PyObject* value, FunctionId* out) {
  std::string digest;
  if (!read_data(value, &digest)) return false;
  if (digest.size() != sizeof *out) return PyErr_SetString(PyExc_ValueError, "a digest has 16 bytes"), false;
  std::memcpy(&out->high, digest.data(), 8);
  std::memcpy(&out->low, digest.data() + 8, 8);
  return true;
}

bool read_refs(PyObject* value, std::vector<ObjectId>* out) {
  Owned items(PySequence_Fast(value, "references come as a list"));
  if (!items) return false;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(items.get()); ++i) {
    PyObject* item = PySequence_Fast_GET_ITEM(items.get(), i);
    ObjectId id;
    if (is_ref(item))
      id = id_of_ref(item);
    else if (!id_of_handle(item, &id))
      return PyErr_SetString(PyExc_TypeError, "references or handles are wanted"), false;
    out->push_back(id);
  }
  return true;
}

using ReadField = bool (*)(PyObject*, TaskSpec*);

const std::unordered_map<std::string_view, ReadField>& fields() {
  static const std::unordered_map<std::string_view, ReadField> table{
      {"function", [](PyObject* v, TaskSpec* s) { return read_function(v, &s->function); }},
      {"name", [](PyObject* v, TaskSpec* s) { return read_text(v, &s->name); }},
      {"method", [](PyObject* v, TaskSpec* s) { return read_text(v, &s->method); }},
      {"cpp", [](PyObject*, TaskSpec* s) { return s->language = Language::kCpp, true; }},
      {"returns", [](PyObject* v, TaskSpec* s) { return read_int(v, &s->returns); }},
      {"resources", [](PyObject* v, TaskSpec* s) { return read_resources(v, &s->resources); }},
      {"placement_resources",
       [](PyObject* v, TaskSpec* s) { return read_resources(v, &s->placement_resources); }},
      {"max_retries", [](PyObject* v, TaskSpec* s) { return read_int(v, &s->max_retries); }},
      {"retry_exceptions", [](PyObject* v, TaskSpec* s) { return read_bool(v, &s->retry_exceptions); }},
      {"retry_on", [](PyObject* v, TaskSpec* s) { return read_data(v, &s->retry_on); }},
      {"backpressure", [](PyObject* v, TaskSpec* s) { return read_int(v, &s->backpressure_items); }},
      {"max_calls", [](PyObject* v, TaskSpec* s) { return read_int(v, &s->max_calls); }},
      {"runtime_env", [](PyObject* v, TaskSpec* s) { return read_text(v, &s->runtime_env); }},
      {"group", [](PyObject* v, TaskSpec* s) { return read_text(v, &s->group); }},
      {"nested", [](PyObject* v, TaskSpec* s) { return read_refs(v, &s->nested); }},
      {"spread", [](PyObject*, TaskSpec* s) { return s->placement = Placement::kSpread, true; }},
      {"node",
       [](PyObject* v, TaskSpec* s) {
         return s->placement = Placement::kNodeAffinity, read_text(v, &s->placement_node);
       }},
      {"soft", [](PyObject* v, TaskSpec* s) { return read_bool(v, &s->placement_soft); }},
      {"placement_group",
       [](PyObject* v, TaskSpec* s) {
         s->placement = Placement::kGroup;
         s->placement_group.value = PyLong_AsUnsignedLongLong(v);
         return !PyErr_Occurred();
       }},
      {"outside", [](PyObject*, TaskSpec* s) { return s->placement = Placement::kNoGroup, true; }},
      {"captures",
       [](PyObject* v, TaskSpec* s) {
         bool captures = false;
         if (!read_bool(v, &captures)) return false;
         return s->captures = captures, true;
       }},
      {"bundle", [](PyObject* v, TaskSpec* s) { return read_int(v, &s->bundle_index); }},
  };
  return table;
}

}  // namespace

bool Signature::read(PyObject* description) {
  checks_ = false;
  names_.clear();
  if (description == Py_None) return true;
  PyObject *names, *keyword_only, *keyword_required;
  int varargs, varkeywords;
  Py_ssize_t positional_only, required;
  if (!PyArg_ParseTuple(description, "O!nnO!O!pp", &PyTuple_Type, &names, &positional_only, &required,
                        &PyTuple_Type, &keyword_only, &PyTuple_Type, &keyword_required, &varargs,
                        &varkeywords)) {
    return false;
  }
  positional_ = static_cast<size_t>(PyTuple_GET_SIZE(names));
  positional_only_ = static_cast<size_t>(positional_only);
  required_ = static_cast<size_t>(required);
  varargs_ = varargs != 0;
  varkeywords_ = varkeywords != 0;
  for (PyObject* group : {names, keyword_only}) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(group); ++i) {
      PyObject* name = Py_NewRef(PyTuple_GET_ITEM(group, i));
      PyUnicode_InternInPlace(&name);
      names_.emplace_back(name);
    }
  }
  if (names_.size() > kParametersMax) return true;
  checks_ = true;
  required_mask_ = required_ == kParametersMax ? ~uint64_t{0} : (uint64_t{1} << required_) - 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keyword_required); ++i) {
    for (size_t at = positional_; at < names_.size(); ++at) {
      if (same_name(names_[at].get(), PyTuple_GET_ITEM(keyword_required, i)))
        required_mask_ |= uint64_t{1} << at;
    }
  }
  return true;
}

bool Signature::fill_keywords(Py_ssize_t positional, PyObject* keyword_names, uint64_t* filled) const {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keyword_names); ++i) {
    PyObject* name = PyTuple_GET_ITEM(keyword_names, i);
    size_t at = positional_only_;
    while (at < names_.size() && !same_name(names_[at].get(), name)) ++at;
    if (at == names_.size()) {
      if (!varkeywords_) return false;
      continue;
    }
    if (at < positional_ && at < static_cast<size_t>(positional)) return false;
    *filled |= uint64_t{1} << at;
  }
  return true;
}

bool Signature::accepts(Py_ssize_t positional, PyObject* keyword_names) const {
  if (!checks_) return true;
  size_t given = static_cast<size_t>(positional);
  if (given > positional_ && !varargs_) return false;
  size_t covered = given < positional_ ? given : positional_;
  uint64_t filled = covered == kParametersMax ? ~uint64_t{0} : (uint64_t{1} << covered) - 1;
  if (keyword_names && !fill_keywords(positional, keyword_names, &filled)) return false;
  return (required_mask_ & ~filled) == 0;
}

std::string Signature::name_of(size_t position) const {
  std::string_view text;
  if (position < positional_ && utf8_of(names_[position].get(), &text)) return "'" + std::string(text) + "'";
  return "number " + std::to_string(position + 1);
}

bool read_resources(PyObject* amounts, ResourceMap* out) {
  out->clear();
  PyObject *key, *value;
  Py_ssize_t at = 0;
  if (!PyDict_Check(amounts)) return PyErr_SetString(PyExc_TypeError, "resources come as a dict"), false;
  while (PyDict_Next(amounts, &at, &key, &value)) {
    std::string_view name;
    double amount = PyFloat_AsDouble(value);
    if ((amount == -1.0 && PyErr_Occurred()) || !utf8_of(key, &name)) return false;
    (*out)[std::string(name)] = std::llround(amount * kResourceUnit);
  }
  return true;
}

PyObject* resources_to_dict(const ResourceMap& amounts) {
  Owned out(PyDict_New());
  if (!out) return nullptr;
  for (const auto& [name, units] : amounts) {
    Owned value(PyFloat_FromDouble(static_cast<double>(units) / kResourceUnit));
    if (!value || PyDict_SetItemString(out.get(), name.c_str(), value.get()) < 0) return nullptr;
  }
  return out.give();
}

bool read_spec(PyObject* description, TaskSpec* out) {
  PyObject *key, *value;
  Py_ssize_t at = 0;
  while (PyDict_Next(description, &at, &key, &value)) {
    std::string_view name;
    if (!utf8_of(key, &name)) return false;
    auto found = fields().find(name);
    if (found == fields().end())
      return PyErr_Format(PyExc_TypeError, "no field of a task is called %R", key), false;
    if (!found->second(value, out)) return false;
  }
  return true;
}

PyObject* make_results(const Session* current, TaskId task, int32_t returns) {
  if (returns == kStreaming) {
    Owned number(PyLong_FromUnsignedLongLong(task.value));
    return call_hook(Hook::kMakeStream, {number.get()});
  }
  if (returns == 0) Py_RETURN_NONE;
  if (returns == 1) return make_ref({task, 0, current->number});
  Owned list(PyList_New(returns));
  if (!list) return nullptr;
  for (int32_t i = 0; i < returns; ++i) {
    PyObject* ref = make_ref({task, static_cast<uint32_t>(i), current->number});
    if (!ref) return nullptr;
    PyList_SET_ITEM(list.get(), i, ref);
  }
  return list.give();
}

}  // namespace mobula::python
