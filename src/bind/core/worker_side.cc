// The extension in a worker: the zygote's loop, opening the worker, and the calls of async actors, which
// Python's event loop starts and answers.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/core/driver.h"
#include "bind/core/object_ref.h"
#include "worker/python_hooks.h"
#include "worker/python_runner.h"
#include "worker/zygote.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::python {
namespace {

/// One per process: a worker never stops being one.
struct WorkerProcess {
  std::unique_ptr<Worker> worker;
  std::unique_ptr<PythonRunner> runner;
};
WorkerProcess* process = nullptr;
std::string cpp_space;  // namespace of the job

PythonRunner& runner() {
  if (!process) throw std::runtime_error("this process is no worker");
  return *process->runner;
}

WorkerBoot run_python_zygote(const nb::callable& preload, const nb::callable& at_end) {
  ZygoteHooks hooks;
  hooks.before_fork = PyOS_BeforeFork;
  hooks.after_fork_parent = PyOS_AfterFork_Parent;
  hooks.after_fork_child = PyOS_AfterFork_Child;
  hooks.preload = [&](const std::string& name) {
    Owned text(to_str(name));
    Owned done(PyObject_CallOneArg(preload.ptr(), text.get()));
    if (!done) PyErr_Clear();  // a hint: who needs the module learns what is wrong with it
  };
  hooks.at_end = [&] {
    Owned done(PyObject_CallNoArgs(at_end.ptr()));
    if (!done) PyErr_Clear();
  };
  return run_zygote(hooks);
}

nb::dict open_python_worker(const WorkerBoot& boot) {
  Result<std::unique_ptr<Worker>> opened = open_worker(boot);
  check(opened.status());
  process = new WorkerProcess{std::move(*opened), nullptr};
  Worker& worker = *process->worker;
  process->runner =
      std::make_unique<PythonRunner>(worker, [&worker] { return make_cpp_runner(worker, cpp_space); });
  auto next = std::make_unique<Session>();
  next->engine = &worker.engine();
  next->number = worker.engine().session();
  next->worker = &worker;
  open_session(std::move(next));
  nb::dict out;
  out["worker_id"] = worker.id().value;
  out["node_id"] = worker.node_id();
  out["job_id"] = worker.job_id();
  out["job_config"] = worker.job_config();
  out["client"] = worker.engine().client_id().value;
  return out;
}

/// What runs here now: this thread's task, or else the main thread's.
const Assignment* here() {
  if (const Assignment* mine = assignment_here()) return mine;
  return process ? process->runner->on_main_thread() : nullptr;
}

nb::object described(const Assignment* assignment) {
  if (!assignment) return nb::none();
  PyObject* out = describe(*assignment);
  if (!out) raise();
  return nb::steal(out);
}

/// (function or actor class, method) of what runs here.
nb::object current_target() {
  const Assignment* assignment = here();
  PyObject* target = assignment && process ? process->runner->target_of(*assignment) : nullptr;
  if (!target) return nb::none();
  return nb::make_tuple(nb::borrow(target), assignment->method);
}

nb::object actor_info() {
  const Assignment* birth = process ? process->runner->birth() : nullptr;
  if (!birth) return nb::none();
  auto out = nb::cast<nb::dict>(described(birth));
  out["actor"] = birth->actor.value;
  out["actor_name"] = birth->actor_name;
  out["space"] = birth->space;
  out["restarted"] = birth->actor_restarted;
  return out;
}

// ---- calls of async actors
// ----------------------------------------------------------------------------------------

struct ActorCall {
  std::shared_ptr<Assignment> assignment;
};

nb::list take_calls() {
  nb::list out;
  LoopQueue* queue = runner().loop_queue();
  if (!queue) return out;
  for (LoopEvent& event : queue->take()) {
    if (event.start)
      out.append(nb::cast(ActorCall{std::move(event.start)}));
    else
      out.append(nb::int_(event.cancel.value));
  }
  return out;
}

nb::object start(const ActorCall& call) {
  CallScope scope(*call.assignment);
  PyObject* result = runner().start_call(*call.assignment);
  if (!result) raise();
  return nb::steal(result);
}

/// Answers with an exception.
void set_exception(const nb::handle& error) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
}

int stream(const ActorCall& call, uint32_t index, const nb::handle& item) {
  int sent = runner().stream_item(*call.assignment, index, item.ptr());
  if (sent < 0) raise();
  return sent;
}

void add_actor_call(nb::module_& module) {
  nb::class_<ActorCall>(module, "ActorCall", "A call that an event loop runs.")
      .def_prop_ro(
          "task", [](const ActorCall& c) { return c.assignment->task.value; }, "The task's number.")
      .def_prop_ro(
          "group", [](const ActorCall& c) { return c.assignment->group; }, "Its concurrency group.")
      .def_prop_ro(
          "method", [](const ActorCall& c) { return c.assignment->method; }, "The method's name.")
      .def_prop_ro(
          "streams", [](const ActorCall& c) { return c.assignment->returns == kStreaming; },
          "Whether its items are sent one by one.")
      .def_prop_ro(
          "may_block", [](const ActorCall& c) { return c.assignment->backpressure_items >= 0; },
          "Whether sending an item may wait for the consumer.")
      .def_prop_ro(
          "cancelled", [](const ActorCall& c) { return runner().is_cancelled(c.assignment->task); },
          "Whether somebody asked for its end.")
      .def(
          "describe", [](const ActorCall& c) { return described(c.assignment.get()); },
          "For get_runtime_context().")
      .def("start", start, "Calls the method: a coroutine, an async generator or a value.")
      .def(
          "finish",
          [](const ActorCall& c, const nb::handle& result) {
            runner().finish_call(*c.assignment, result.ptr());
          },
          "result"_a.none(), "Answers with a value.")
      .def(
          "fail",
          [](const ActorCall& c, const nb::handle& error, bool cancelled) {
            set_exception(error);
            runner().fail_call(*c.assignment, cancelled);
          },
          "error"_a, "cancelled"_a, "Answers with an exception.")
      .def("stream", stream, "index"_a, "item"_a.none(), "Sends an item; 0 when nobody reads any more.")
      .def("end_stream", [](const ActorCall& c) { runner().end_stream(*c.assignment); }, "Ends the stream.");
}

}  // namespace

void add_worker(nb::module_& module) {
  nb::class_<WorkerBoot>(module, "WorkerBoot", "What a forked child needs to become a worker.");
  add_actor_call(module);
  module.def("is_zygote", is_zygote_process, "Whether this process was started as a zygote.");
  module.def("run_zygote", run_python_zygote, "preload"_a, "at_end"_a,
             "Forks workers until the node is gone; returns in each child.");
  module.def("open_worker", open_python_worker, "boot"_a, "Makes this process a worker.");
  module.def(
      "run_worker", [] { return runner().serve(); }, "Serves tasks until told to exit; the exit status.");
  module.def(
      "set_namespace", [](const std::string& space) { cpp_space = space; }, "space"_a,
      "The namespace that C++ tasks look for actors in.");
  module.def(
      "serve_lane", [](size_t lane) { runner().serve_lane(lane); }, "lane"_a,
      "The body of an actor's thread.");
  module.def("take_calls", take_calls, "Calls for the event loop, and the numbers of those to cancel.");
  module.def(
      "loop_fd", [] { return runner().loop_queue()->wake_fd(); },
      "Readable when take_calls() has something.");
  module.def(
      "interrupt_due", [] { return process && runner().interrupt_due(); },
      "Whether the main thread's task is to get a KeyboardInterrupt.");
  module.def(
      "is_cancelled", [](uint64_t task) { return process && runner().is_cancelled({task}); }, "task"_a,
      "Whether somebody asked for the end of the task.");
  module.def(
      "current_call", [] { return described(here()); },
      "What get_runtime_context() knows of the running task.");
  module.def("current_target", current_target,
             "(function or actor class, method) of the running task; None: none.");
  module.def(
      "current_task", [] { return here() ? here()->task.value : 0; }, "The running task's number; 0: none.");
  module.def("actor_info", actor_info, "What created this actor; None elsewhere.");
}

}  // namespace mobula::python
