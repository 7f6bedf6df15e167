// Decoding of arguments, encoding of results and errors.
#include "worker/python_call.h"

#include <cstring>

#include "bind/core/plain.h"
#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

thread_local const Assignment* assignment_now = nullptr;

/// The last buffer of an encoded error is its text, for readers that are not Python.
bool encode_error(Session* current, PyObject* error, Value* out, std::vector<Owned>* kept) {
  Encoded encoded;
  if (!encode(error, "an error", &encoded)) return false;
  Owned text(PyObject_Str(error));
  if (!text) PyErr_Clear();
  Owned bytes(text ? PyUnicode_AsEncodedString(text.get(), "utf-8", "replace")
                   : PyBytes_FromString("an error"));
  HeldBuffer last;
  if (!bytes || !last.take(bytes.get())) return false;
  encoded.buffers.push_back(std::move(last));
  if (!to_value(current, encoded, out)) return false;
  out->kind = PayloadKind::kTaskError;
  for (Owned& handle : encoded.kept) kept->push_back(std::move(handle));
  return true;
}

Value plain_error(PayloadKind kind, std::string message) {
  Value value;
  value.kind = kind;
  value.bytes = std::move(message);
  return value;
}

Owned take_exception() {
  PyObject *type, *error, *trace;
  PyErr_Fetch(&type, &error, &trace);
  PyErr_NormalizeException(&type, &error, &trace);
  if (trace && error) PyException_SetTraceback(error, trace);
  Owned held_type(type), held_trace(trace);
  return Owned(error);
}

/// What _worker.encode_failure says of an exception.
struct Failure {
  Value value;
  bool retriable = false, exits = false;
  std::string exit_reason;
};

bool read_failure(Session* current, PyObject* verdict, Failure* out, std::vector<Owned>* kept) {
  int kind = 0, retriable = 0;
  PyObject *error = nullptr, *exit_reason = nullptr;
  if (!PyArg_ParseTuple(verdict, "iOpO", &kind, &error, &retriable, &exit_reason)) return false;
  out->retriable = retriable != 0;
  std::string_view text;
  if (exit_reason != Py_None) {
    if (!utf8_of(exit_reason, &text)) return false;
    out->exits = true;
    out->exit_reason = text;
  }
  auto payload = static_cast<PayloadKind>(kind);
  if (payload == PayloadKind::kTaskError) return encode_error(current, error, &out->value, kept);
  if (!utf8_of(error, &text)) return false;
  out->value = plain_error(payload, std::string(text));
  return true;
}

Failure fail(Session* current, const Assignment& assignment, PyObject* error, std::vector<Owned>* kept) {
  Owned name(to_str(assignment.name));
  Owned kinds(to_bytes(assignment.retry_on));
  Owned retries(PyBool_FromLong(assignment.retry_exceptions));
  Owned actor(PyBool_FromLong(!assignment.actor.is_nil()));
  Owned creates(PyBool_FromLong(assignment.creates_actor));
  Owned verdict(call_hook(Hook::kEncodeFailure,
                          {error, name.get(), retries.get(), kinds.get(), actor.get(), creates.get()}));
  Failure failure;
  if (verdict && read_failure(current, verdict.get(), &failure, kept)) return failure;
  Owned second = take_exception();
  Owned text(second ? PyObject_Str(second.get()) : nullptr);
  std::string_view reason = "unknown";
  if (!text || !utf8_of(text.get(), &reason)) PyErr_Clear();
  failure.value = plain_error(PayloadKind::kSystemError, "the error of " + assignment.name +
                                                             " could not be encoded: " + std::string(reason));
  return failure;
}

/// In the form that all languages read, where the value has one.
bool add_plainly(Session* current, const Assignment& assignment, PyObject* value, Answer* out) {
  Encoded encoded;
  Value made;
  if (!encode_plain(value, assignment.name, &encoded)) return PyErr_Clear(), false;
  if (!to_value(current, encoded, &made)) return PyErr_Clear(), false;
  for (Owned& handle : encoded.kept) out->kept.push_back(std::move(handle));
  out->outcome.values.push_back(std::move(made));
  return true;
}

bool add_value(Session* current, const Assignment& assignment, PyObject* value, bool plainly, Answer* out) {
  if (plainly && add_plainly(current, assignment, value, out)) return true;
  Value encoded;
  if (!encode_value(current, value, "the return value of " + assignment.name, &encoded, &out->kept))
    return false;
  out->outcome.values.push_back(std::move(encoded));
  return true;
}

bool answer_many(Session* current, const Assignment& assignment, PyObject* result, bool plainly,
                 Answer* out) {
  Owned items(PySequence_List(result));
  if (!items) {
    if (!PyErr_ExceptionMatches(PyExc_TypeError)) return false;
    PyErr_Format(PyExc_ValueError,
                 "%s returned one value of type %s, but num_returns=%d: return a tuple or list",
                 assignment.name.c_str(), Py_TYPE(result)->tp_name, assignment.returns);
    return false;
  }
  Py_ssize_t count = PyList_GET_SIZE(items.get());
  if (count != assignment.returns) {
    PyErr_Format(PyExc_ValueError, "%s returned %zd objects, but num_returns=%d", assignment.name.c_str(),
                 count, assignment.returns);
    return false;
  }
  for (Py_ssize_t i = 0; i < count; ++i) {
    if (!add_value(current, assignment, PyList_GET_ITEM(items.get(), i), plainly, out)) return false;
  }
  return true;
}

bool put(PyObject* dict, const char* name, PyObject* stolen) {
  Owned value(stolen);
  return value && PyDict_SetItemString(dict, name, value.get()) == 0;
}

}  // namespace

bool ArgumentStack::decode(const Assignment& assignment) {
  Result<std::vector<ArgumentView>> parsed = parse_arguments(assignment.args);
  if (!parsed.is_ok()) return set_error(parsed.status()), false;
  std::vector<PyObject*> names;
  size_t reference = 0;
  held_.reserve(parsed->size() * 2);
  slots_.reserve(parsed->size() + 1);
  for (const ArgumentView& argument : *parsed) {
    PyObject* value = nullptr;
    if (!argument.is_reference) {
      value = mobula::python::decode(argument.envelope, nullptr);
    } else if (reference < assignment.refs.size()) {
      value = decode_payload(assignment.refs[reference++]);
    } else {
      PyErr_Format(PyExc_RuntimeError, "an argument of %s did not arrive", assignment.name.c_str());
    }
    if (!value) return false;
    held_.emplace_back(value);
    slots_.push_back(value);
    if (argument.keyword.empty()) {
      ++positional_;
      continue;
    }
    PyObject* name = to_str(argument.keyword);
    if (!name) return false;
    PyUnicode_InternInPlace(&name);
    names.push_back(name);
  }
  if (names.empty()) return true;
  names_ = Owned(PyTuple_New(static_cast<Py_ssize_t>(names.size())));
  for (size_t i = 0; i < names.size(); ++i)
    PyTuple_SET_ITEM(names_.get(), static_cast<Py_ssize_t>(i), names[i]);
  return true;
}

PyObject* ArgumentStack::call(PyObject* function) {
  return PyObject_Vectorcall(function, slots_.data() + 1, positional_ | PY_VECTORCALL_ARGUMENTS_OFFSET,
                             names_.get());
}

PyObject* ArgumentStack::call_method(PyObject* self, PyObject* name) {
  slots_[0] = self;
  return PyObject_VectorcallMethod(name, slots_.data(), positional_ + 1, names_.get());
}

Owned ArgumentStack::positional() const {
  Owned tuple(PyTuple_New(static_cast<Py_ssize_t>(positional_)));
  for (size_t i = 0; tuple && i < positional_; ++i) {
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), Py_NewRef(slots_[i + 1]));
  }
  return tuple;
}

Owned ArgumentStack::keywords() const {
  Owned dict(PyDict_New());
  Py_ssize_t count = names_ ? PyTuple_GET_SIZE(names_.get()) : 0;
  for (Py_ssize_t i = 0; dict && i < count; ++i) {
    PyObject* value = slots_[1 + positional_ + static_cast<size_t>(i)];
    if (PyDict_SetItem(dict.get(), PyTuple_GET_ITEM(names_.get(), i), value) < 0) return Owned();
  }
  return dict;
}

CallScope::CallScope(const Assignment& assignment) : before_(std::exchange(assignment_now, &assignment)) {}
CallScope::~CallScope() { assignment_now = before_; }
const Assignment* assignment_here() { return assignment_now; }

bool answer_result(Session* current, const Assignment& assignment, PyObject* result, bool plainly,
                   Answer* out) {
  if (assignment.returns == 0 || assignment.returns == kStreaming) return true;
  if (assignment.returns > 1) return answer_many(current, assignment, result, plainly, out);
  if (!PyGen_CheckExact(result)) return add_value(current, assignment, result, plainly, out);
  Owned dynamic(call_hook(Hook::kSplitDynamic, {result}));
  return dynamic && add_value(current, assignment, dynamic.get(), plainly, out);
}

Outcome cancelled_outcome(const Assignment& assignment) {
  Outcome outcome;
  outcome.values.push_back(plain_error(PayloadKind::kCancelled, assignment.name + " was cancelled"));
  return outcome;
}

Answer answer_error(Session* current, const Assignment& assignment, bool cancelled) {
  Answer answer;
  Owned error = take_exception();
  if (cancelled) {
    answer.outcome = cancelled_outcome(assignment);
    return answer;
  }
  Failure failure = fail(current, assignment, error.get(), &answer.kept);
  answer.outcome.values.push_back(std::move(failure.value));
  answer.outcome.retriable = failure.retriable;
  answer.outcome.exit_after = failure.exits;
  answer.outcome.exit_reason = failure.exit_reason;
  return answer;
}

PyObject* describe(const Assignment& assignment) {
  Owned out(PyDict_New());
  Owned gpus(PyList_New(0));
  if (!out || !gpus) return nullptr;
  for (int32_t id : assignment.gpu_ids) {
    Owned number(PyLong_FromLong(id));
    if (!number || PyList_Append(gpus.get(), number.get()) < 0) return nullptr;
  }
  Owned resources(PyDict_New());
  for (const auto& [name, units] : assignment.resources) {
    if (!put(resources.get(), name.c_str(), PyFloat_FromDouble(static_cast<double>(units) / kResourceUnit)))
      return nullptr;
  }
  bool done = put(out.get(), "task", to_str(to_hex(assignment.task.value))) &&
              put(out.get(), "name", to_str(assignment.name)) &&
              put(out.get(), "attempt", PyLong_FromUnsignedLong(assignment.attempt)) &&
              put(out.get(), "gpus", gpus.give()) && put(out.get(), "resources", resources.give()) &&
              put(out.get(), "group", PyLong_FromUnsignedLongLong(assignment.placement_group.value)) &&
              put(out.get(), "captures", PyBool_FromLong(assignment.captures)) &&
              put(out.get(), "number", PyLong_FromUnsignedLongLong(assignment.task.value));
  return done ? out.give() : nullptr;
}

}  // namespace mobula::python
