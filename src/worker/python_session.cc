// The process's one session.
#include "worker/python_session.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cmath>
#include <thread>

#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

std::unique_ptr<Session> current;

constexpr auto kCloseWait = std::chrono::seconds(5);
constexpr double kForeverSeconds = 1e8;

}  // namespace

Session* session() { return current.get(); }

Session* require_session() {
  if (current) return current.get();
  Owned done(call_hook(Hook::kAutoInit, {}));
  if (!done) return nullptr;
  if (!current) PyErr_SetString(PyExc_RuntimeError, "mobula.init() left no engine");
  return current.get();
}

void open_session(std::unique_ptr<Session> next) {
  CHECK(!current);
  current = std::move(next);
}

void close_session() {
  if (!current) return;
  std::unique_ptr<Session> ended = std::move(current);
  if (ended->driver) {
    WithoutGil released;
    ended->driver->stop();
  }
  auto give_up = std::chrono::steady_clock::now() + kCloseWait;
  while (ended->waiting > 0 && std::chrono::steady_clock::now() < give_up) {
    WithoutGil released;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (ended->waiting > 0) {
    ended.release();  // a thread never came back: leak the engine rather than pull it away
    return;
  }
  WithoutGil released;
  ended->driver.reset();
}

void forget_session() { current.release(); }

bool on_main_thread() {
  static thread_local const bool main = syscall(SYS_gettid) == getpid();
  return main;
}

bool to_deadline(PyObject* seconds, Deadline* out) {
  *out = Deadline::never();
  if (!seconds || seconds == Py_None) return true;
  double value = PyFloat_AsDouble(seconds);
  if (value == -1.0 && PyErr_Occurred()) return false;
  if (std::isnan(value) || value < 0) {
    PyErr_Format(PyExc_ValueError, "timeout must be >= 0 seconds or None, not %R", seconds);
    return false;
  }
  if (value < kForeverSeconds) *out = Deadline::after(std::chrono::nanoseconds(std::llround(value * 1e9)));
  return true;
}

}  // namespace mobula::python
