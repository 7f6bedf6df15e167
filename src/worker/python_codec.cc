// Encoding and decoding of values; the note of references met on the way.
#include "worker/python_codec.h"

#include <cstdlib>
#include <cstring>

#include "bind/core/plain.h"
#include "worker/python_hooks.h"
#include "worker/python_pickle.h"

namespace mobula::python {
namespace {

thread_local Encoded* noting_now = nullptr;

/// Directs note_contained for as long as it lives.
class Noting {
 public:
  explicit Noting(Encoded* target) : before_(std::exchange(noting_now, target)) {}
  ~Noting() { noting_now = before_; }
  Noting(const Noting&) = delete;
  Noting& operator=(const Noting&) = delete;

 private:
  Encoded* before_;
};

template <typename T>
void set_number(Encoded* out, Tag tag, T value) {
  out->tag = tag;
  out->scratch.assign(reinterpret_cast<const char*>(&value), sizeof value);
}

/// True when `value` has a tag of its own and was encoded.
bool encode_plainly(PyObject* value, Encoded* out) {
  PyTypeObject* type = Py_TYPE(value);
  if (value == Py_None) return out->tag = Tag::kNone, true;
  if (value == Py_True) return out->tag = Tag::kTrue, true;
  if (value == Py_False) return out->tag = Tag::kFalse, true;
  if (type == &PyLong_Type) {
    int overflow = 0;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) return false;
    return set_number(out, Tag::kInt, static_cast<int64_t>(number)), true;
  }
  if (type == &PyFloat_Type) return set_number(out, Tag::kFloat, PyFloat_AS_DOUBLE(value)), true;
  if (type == &PyUnicode_Type) {
    std::string_view text;
    if (!utf8_of(value, &text)) return PyErr_Clear(), false;
    out->tag = Tag::kString;
    out->scratch.assign(text);
    return true;
  }
  if (type == &PyBytes_Type) {
    out->tag = Tag::kBytes;
    auto size = static_cast<size_t>(PyBytes_GET_SIZE(value));
    if (size <= kInlineBytesMax) return out->scratch.assign(PyBytes_AS_STRING(value), size), true;
    HeldBuffer held;
    if (!held.take(value)) return PyErr_Clear(), false;
    out->buffers.push_back(std::move(held));
    return true;
  }
  return false;
}

bool is_pickling_trouble() {
  return !PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) && !PyErr_ExceptionMatches(PyExc_SystemExit) &&
         !PyErr_ExceptionMatches(PyExc_MemoryError);
}

/// Turns the pickler's error into one that says what could not be pickled, and where it sits.
void explain_failure(PyObject* value, std::string_view where) {
  if (!is_pickling_trouble()) return;
  PyObject *type, *error, *trace;
  PyErr_Fetch(&type, &error, &trace);
  PyErr_NormalizeException(&type, &error, &trace);
  Owned held_type(type), held_error(error), held_trace(trace);
  Owned place(to_str(where));
  Owned better(call_hook(Hook::kExplainPickling, {value, place.get(), error}));
  if (better) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(better.get())), better.get());
}

template <typename T>
bool read_number(std::string_view meta, T* out) {
  if (meta.size() != sizeof *out) return false;
  std::memcpy(out, meta.data(), sizeof *out);
  return true;
}

std::shared_ptr<const void> aligned_copy(std::span<const uint8_t>* bytes) {
  size_t room = (bytes->size() + kBufferAlignment) & ~(kBufferAlignment - 1);
  std::shared_ptr<void> copy(std::aligned_alloc(kBufferAlignment, room), std::free);
  if (!copy) return nullptr;
  std::memcpy(copy.get(), bytes->data(), bytes->size());
  *bytes = {static_cast<const uint8_t*>(copy.get()), bytes->size()};
  return copy;
}

PyObject* decode_pickle(const EnvelopeView& view, const std::shared_ptr<const void>& owner) {
  if (view.buffers.empty()) return unpickle(view.meta, nullptr);
  Owned buffers(PyList_New(static_cast<Py_ssize_t>(view.buffers.size())));
  if (!buffers) return nullptr;
  for (size_t i = 0; i < view.buffers.size(); ++i) {
    PyObject* one = view_of(view.buffers[i], owner);
    if (!one) return nullptr;
    PyList_SET_ITEM(buffers.get(), static_cast<Py_ssize_t>(i), one);
  }
  return unpickle(view.meta, buffers.get());
}

PyObject* damaged(const char* what) {
  PyErr_Format(PyExc_ValueError, "an encoded value is damaged: %s", what);
  return nullptr;
}

PyObject* decode_bytes(const EnvelopeView& view) {
  if (view.buffers.empty()) return to_bytes(view.meta);
  if (view.buffers.size() > 1) return damaged("bytes in more than one buffer");
  return to_bytes({reinterpret_cast<const char*>(view.buffers[0].data()), view.buffers[0].size()});
}

PyObject* decode_arrow(const EnvelopeView& view, const std::shared_ptr<const void>& owner) {
  if (view.buffers.size() != 1) return damaged("an Arrow table not in one buffer");
  Owned buffer(view_of(view.buffers[0], owner));
  return call_hook(Hook::kReadArrow, {buffer.get()});
}

}  // namespace

PyObject* view_of(std::span<const uint8_t> bytes, const std::shared_ptr<const void>& owner) {
  bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % kBufferAlignment == 0;
  if (owner && aligned) return make_view(bytes, owner);
  std::shared_ptr<const void> copy = aligned_copy(&bytes);
  if (!copy) return PyErr_NoMemory();
  return make_view(bytes, std::move(copy));
}

size_t Encoded::meta_bytes() const {
  size_t total = scratch.size();
  for (const HeldBuffer& piece : meta) total += piece.size();
  return total;
}

EnvelopePlan Encoded::plan() const {
  std::vector<size_t> sizes;
  sizes.reserve(buffers.size());
  for (const HeldBuffer& buffer : buffers) sizes.push_back(buffer.size());
  return EnvelopePlan(tag, meta_bytes(), sizes);
}

void Encoded::write(const EnvelopePlan& plan, std::span<uint8_t> out) const {
  plan.write_head(out, scratch);
  uint8_t* at = plan.meta(out).data() + scratch.size();
  for (const HeldBuffer& piece : meta) {
    std::memcpy(at, piece.bytes().data(), piece.size());
    at += piece.size();
  }
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (buffers[i].size() > 0)
      std::memcpy(plan.buffer(out, i).data(), buffers[i].bytes().data(), buffers[i].size());
  }
}

bool encode(PyObject* value, std::string_view where, Encoded* out) {
  if (encode_plainly(value, out) || encode_array(value, out)) return true;
  Noting noting(out);
  out->tag = Tag::kPickle;
  if (pickle_into(value, out)) return true;
  explain_failure(value, where);
  return false;
}

bool encode_value(Session* current, PyObject* value, std::string_view where, Value* out,
                  std::vector<Owned>* kept) {
  Encoded encoded;
  if (!encode(value, where, &encoded) || !to_value(current, encoded, out)) return false;
  for (Owned& handle : encoded.kept) kept->push_back(std::move(handle));
  return true;
}

bool to_value(Session* current, Encoded& encoded, Value* out) {
  out->kind = PayloadKind::kValue;
  if (encoded.meta.empty() && encoded.buffers.empty()) {
    out->bytes = small_envelope(encoded.tag, encoded.scratch);
    if (out->bytes.size() <= kInlineBytesMax) return true;
    out->bytes.clear();
  }
  EnvelopePlan plan = encoded.plan();
  size_t total = plan.total_bytes();
  out->contained = std::move(encoded.contained);
  if (total <= kInlineBytesMax) {
    out->bytes.resize(total);
    encoded.write(plan, {reinterpret_cast<uint8_t*>(out->bytes.data()), total});
    return true;
  }
  auto room = wait_interruptibly(current, Deadline::never(),
                                 [&](Deadline until) { return current->engine->allocate(total, until); });
  if (!room) return false;
  if (!room->is_ok()) return set_error(room->status()), false;
  out->buffer = std::move(**room);
  {
    WithoutGil released;
    encoded.write(plan, out->buffer.data().first(total));
  }
  return true;
}

PyObject* decode(std::span<const uint8_t> envelope, const std::shared_ptr<const void>& owner) {
  Result<EnvelopeView> parsed = parse_envelope(envelope);
  if (!parsed.is_ok()) return damaged(parsed.status().message().c_str());
  const EnvelopeView& view = *parsed;
  switch (view.tag) {
    case Tag::kNone:
      Py_RETURN_NONE;
    case Tag::kFalse:
      Py_RETURN_FALSE;
    case Tag::kTrue:
      Py_RETURN_TRUE;
    case Tag::kInt: {
      int64_t number;
      return read_number(view.meta, &number) ? PyLong_FromLongLong(number)
                                             : damaged("an int of another size");
    }
    case Tag::kFloat: {
      double number;
      return read_number(view.meta, &number) ? PyFloat_FromDouble(number)
                                             : damaged("a float of another size");
    }
    case Tag::kString:
      return PyUnicode_DecodeUTF8(view.meta.data(), static_cast<Py_ssize_t>(view.meta.size()), nullptr);
    case Tag::kBytes:
      return decode_bytes(view);
    case Tag::kPickle:
      return decode_pickle(view, owner);
    case Tag::kArrow:
      return decode_arrow(view, owner);
    case Tag::kPlain:
      return decode_plain(envelope, owner);
  }
  return damaged("its kind is not known to Python");
}

PyObject* decode_payload(const Payload& payload) {
  if (payload.kind == PayloadKind::kValue) return decode(payload.data, payload.owner);
  Owned error;
  if (payload.kind == PayloadKind::kTaskError) {
    Owned what(decode(payload.data, payload.owner));
    if (!what) return nullptr;
    error = Owned(call_hook(Hook::kTaskError, {what.get()}));
  } else {
    Owned kind(PyLong_FromLong(static_cast<long>(payload.kind)));
    Owned message(to_str({reinterpret_cast<const char*>(payload.data.data()), payload.data.size()}));
    error = Owned(call_hook(Hook::kPayloadError, {kind.get(), message.get()}));
  }
  if (error) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
  return nullptr;
}

void set_error(const Status& status) {
  Owned code(PyLong_FromLong(static_cast<long>(status.code())));
  Owned message(to_str(status.message()));
  Owned error(call_hook(Hook::kStatusError, {code.get(), message.get()}));
  if (error) PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.get())), error.get());
}

bool note_contained(ObjectId id, PyObject* handle) {
  if (!noting_now) return false;
  noting_now->contained.push_back(id);
  noting_now->kept.push_back(Owned::borrow(handle));
  return true;
}

bool add_codec_types(PyObject* module) { return add_pickle_types(module); }

}  // namespace mobula::python
