// The engine that this Python process uses: none, the driver's own, or its worker's. One at a time; set and
// cleared with the GIL held. Whoever waits in the engine without the GIL holds a Waiting, and closing waits
// for them.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "engine/embedded/embedded.h"
#include "engine/engine.h"
#include "worker/python_object.h"
#include "worker/worker.h"

namespace mobula::python {

struct Session {
  Engine* engine = nullptr;
  uint32_t number = 0;                     // ObjectId::session of everything that belongs to it
  Worker* worker = nullptr;                // in a worker
  std::unique_ptr<EmbeddedEngine> driver;  // in a driver
  std::string runtime_env;                 // what nested tasks inherit
  std::string own_folder;                  // of this package, when call sites are recorded
  int waiting = 0;
};

/// The current one, or nullptr. GIL held.
Session* session();
/// The current one; starts an engine as Ray does when there is none. nullptr with a Python error set.
Session* require_session();
/// Makes `next` current (there must be none).
void open_session(std::unique_ptr<Session> next);
/// Ends the engine and forgets it. No-op without one.
void close_session();
/// In a forked child: the engine belongs to the parent, so it is dropped without being ended.
void forget_session();

/// Counts a thread that is inside the engine without the GIL.
class Waiting {
 public:
  explicit Waiting(Session* session) : session_(session) { ++session_->waiting; }
  ~Waiting() { --session_->waiting; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Session* session_;
};

/// True on the thread on which Python runs signal handlers.
bool on_main_thread();

constexpr std::chrono::milliseconds kSignalSlice{100};

/// Calls `wait(deadline)` of the engine without the GIL; on the main thread in slices, so that Ctrl-C and
/// cancel get through. nullptr with a Python error set when a signal handler raised.
template <typename Wait>
auto wait_interruptibly(Session* current, Deadline deadline, Wait wait)
    -> std::unique_ptr<decltype(wait(deadline))> {
  using Answer = decltype(wait(deadline));
  Waiting waiting(current);
  bool sliced = on_main_thread();
  while (true) {
    auto slice_end = std::chrono::steady_clock::now() + kSignalSlice;
    Deadline until = sliced && slice_end < deadline.at ? Deadline{slice_end} : deadline;
    std::unique_ptr<Answer> answer;
    {
      WithoutGil released;
      answer = std::make_unique<Answer>(wait(until));
    }
    bool again = !answer->is_ok() && answer->status().code() == Code::kTimeout && until.at < deadline.at;
    if (!again) return answer;
    if (PyErr_CheckSignals() < 0) return nullptr;
  }
}

/// A deadline from a timeout in seconds; None waits for ever. False with a Python error set.
bool to_deadline(PyObject* seconds, Deadline* out);

}  // namespace mobula::python
