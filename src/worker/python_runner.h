// The TaskRunner of Python. Tasks and calls of plain actors run on the thread that called serve(), one after
// the other; calls of threaded and async actors are passed on (python_lanes.h). Tests:
// tests/contract/test_core_*.py.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "worker/python_call.h"
#include "worker/python_lanes.h"
#include "worker/worker.h"

namespace mobula::python {

class PythonRunner final : public TaskRunner {
 public:
  using MakeRunner = std::function<std::unique_ptr<TaskRunner>()>;
  /// `make_other` makes the runner of tasks in other languages, when the first of them comes.
  PythonRunner(Worker& worker, MakeRunner make_other) : worker_(worker), make_other_(std::move(make_other)) {}

  /// Serves assignments until the worker is told to exit; the process's exit status. GIL held, released
  /// inside.
  int serve();

  void run(Assignment assignment) override;
  void cancel(TaskId task) override;
  void drain() override;

  // -- for the module's functions; GIL held --
  /// Whether the task on the main thread is to be interrupted.
  bool interrupt_due();
  bool is_cancelled(TaskId task);
  /// The body of a lane's thread.
  void serve_lane(size_t lane);
  LoopQueue* loop_queue() { return loop_.get(); }
  const Assignment* birth() const { return birth_.get(); }
  const Assignment* on_main_thread() const { return main_; }
  /// The function, or the actor's class, of an assignment; nullptr when it has not come yet.
  PyObject* target_of(const Assignment& assignment) const;

  /// Starts a call on the event loop: what the method returned, most often a coroutine.
  PyObject* start_call(const Assignment& assignment);
  void finish_call(const Assignment& assignment, PyObject* result);
  /// Answers with the Python error that is set; for streams it becomes the last item.
  void fail_call(const Assignment& assignment, bool cancelled);
  /// One more item: 1; 0: nobody reads any more; -1 with a Python error set.
  int stream_item(const Assignment& assignment, uint32_t index, PyObject* item);
  void end_stream(const Assignment& assignment);

 private:
  void run_here(const Assignment& assignment);
  bool set_up(const Assignment& assignment);
  PyObject* invoke(const Assignment& assignment);
  PyObject* invoke_special(const Assignment& assignment, PyObject* name);
  bool create_actor(const Assignment& assignment);
  bool open_lanes(const Assignment& assignment, PyObject* description);
  PyObject* function_of(const Assignment& assignment);
  bool answers_plainly(const Assignment& assignment) const;
  void stream(const Assignment& assignment, PyObject* result);
  void send(const Assignment& assignment, Answer answer);
  void close_call(const Assignment& assignment, Answer answer);
  void finish_cancelled(const Assignment& assignment);
  bool take_cancelled(TaskId task);

  void run_other(Assignment assignment);

  Worker& worker_;
  MakeRunner make_other_;
  std::unique_ptr<TaskRunner> made_other_;
  std::atomic<TaskRunner*> other_{nullptr};  // what made_other_ holds; also read by the reply thread
  PyThreadState* main_state_ = nullptr;
  unsigned long main_thread_ = 0;           // pthread_t of serve()
  const Assignment* main_ = nullptr;        // what runs on the main thread
  std::atomic<uint64_t> interruptible_{0};  // its task, while an interrupt may be raised in it
  struct Target {
    Owned object;          // the function or class
    bool by_name = false;  // C++ named it, and reads plain values alone
  };
  std::unordered_map<FunctionId, Target> functions_;
  std::unordered_map<std::string, Owned> method_names_;
  Owned instance_;
  std::unique_ptr<Assignment> birth_;  // what created the actor
  bool environment_applied_ = false;
  std::vector<int32_t> gpus_shown_;
  std::unique_ptr<Lanes> lanes_;
  std::unique_ptr<LoopQueue> loop_;
  std::atomic<int> mode_{0};  // 0: main thread, 1: lanes, 2: event loop

  std::mutex cancel_mutex_;
  std::unordered_set<TaskId> cancelled_;
  std::atomic<int> cancelled_count_{0};
};

}  // namespace mobula::python
