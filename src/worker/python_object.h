// Small owners around the CPython API: a reference, a buffer, and the time without the GIL. What is named
// Owned or HeldBuffer is made and dropped with the GIL held.
#pragma once

#include <Python.h>

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace mobula::python {

/// A strong reference.
class Owned {
 public:
  Owned() = default;
  explicit Owned(PyObject* stolen) : object_(stolen) {}
  static Owned borrow(PyObject* object) { return Owned(Py_XNewRef(object)); }
  Owned(Owned&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    PyObject* old = std::exchange(object_, std::exchange(other.object_, nullptr));
    Py_XDECREF(old);
    return *this;
  }
  ~Owned() { Py_XDECREF(object_); }

  PyObject* get() const { return object_; }
  PyObject* give() { return std::exchange(object_, nullptr); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  PyObject* object_ = nullptr;
};

/// A buffer that an object lends.
class HeldBuffer {
 public:
  HeldBuffer() = default;
  HeldBuffer(HeldBuffer&& other) noexcept : view_(other.view_) { other.view_.obj = nullptr; }
  HeldBuffer& operator=(HeldBuffer&& other) noexcept {
    std::swap(view_, other.view_);
    return *this;
  }
  ~HeldBuffer() {
    if (view_.obj) PyBuffer_Release(&view_);
  }

  /// False with a Python error set: no buffer, or not contiguous.
  bool take(PyObject* object, int flags = PyBUF_ANY_CONTIGUOUS) {
    return PyObject_GetBuffer(object, &view_, flags) == 0;
  }
  const Py_buffer& view() const { return view_; }
  size_t size() const { return static_cast<size_t>(view_.len); }
  std::string_view bytes() const { return {static_cast<const char*>(view_.buf), size()}; }

 private:
  Py_buffer view_{};
};

/// Lets other Python threads run for as long as it lives.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() { PyEval_RestoreThread(state_); }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

/// The UTF-8 of a str; empty and false with a Python error set for anything else.
inline bool utf8_of(PyObject* text, std::string_view* out) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(text, &size);
  if (!data) return false;
  *out = {data, static_cast<size_t>(size)};
  return true;
}

inline PyObject* to_str(std::string_view text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

inline PyObject* to_bytes(std::string_view data) {
  return PyBytes_FromStringAndSize(data.data(), static_cast<Py_ssize_t>(data.size()));
}

}  // namespace mobula::python
