// Running assignments on the main thread, and what lanes and event loops call back.
#include "worker/python_runner.h"

#include <pthread.h>
#include <signal.h>

#include <cctype>

#include "worker/python_hooks.h"

namespace mobula::python {
namespace {

constexpr size_t kCancelledMax = 4096;  // remembered cancellations; older ones have long ended
enum Mode { kMain = 0, kLanes = 1, kLoop = 2 };

/// The GIL for a thread that Python knows, where the main thread keeps its state between two tasks.
class MainGil {
 public:
  explicit MainGil(PyThreadState*& state) : state_(state) { PyEval_RestoreThread(state_); }
  ~MainGil() { state_ = PyEval_SaveThread(); }
  MainGil(const MainGil&) = delete;
  MainGil& operator=(const MainGil&) = delete;

 private:
  PyThreadState*& state_;
};

bool is_special(const std::string& method) { return method.starts_with("__ray_"); }

}  // namespace

int PythonRunner::serve() {
  main_thread_ = pthread_self();
  main_state_ = PyEval_SaveThread();
  int status = worker_.run(*this);
  PyEval_RestoreThread(main_state_);
  return status;
}

void PythonRunner::run_other(Assignment assignment) {
  if (!made_other_) {
    made_other_ = make_other_();
    other_ = made_other_.get();
  }
  bool ready = true;
  {
    MainGil gil(main_state_);
    CallScope scope(assignment);
    ready = set_up(assignment);
    if (!ready) send(assignment, answer_error(session(), assignment, false));
  }
  if (ready) made_other_->run(std::move(assignment));
}

void PythonRunner::run(Assignment assignment) {
  if (assignment.language != Language::kPython) return run_other(std::move(assignment));
  int mode = assignment.creates_actor ? kMain : mode_.load();
  if (mode == kLanes) return lanes_->add(std::move(assignment));
  if (mode == kLoop) return loop_->add({std::make_shared<Assignment>(std::move(assignment)), {}});
  MainGil gil(main_state_);
  main_ = &assignment;
  run_here(assignment);
  main_ = nullptr;
}

void PythonRunner::cancel(TaskId task) {
  {
    std::lock_guard lock(cancel_mutex_);
    if (cancelled_.size() >= kCancelledMax) cancelled_.clear();
    cancelled_.insert(task);
    cancelled_count_ = static_cast<int>(cancelled_.size());
  }
  if (mode_ == kLoop) return loop_->add({nullptr, task});
  if (TaskRunner* other = other_) other->cancel(task);
  if (interruptible_ == task.value) pthread_kill(main_thread_, SIGINT);
}

void PythonRunner::drain() {
  if (mode_ == kLanes) lanes_->close();
  if (mode_ == kLoop) loop_->drain();
  if (TaskRunner* other = other_) other->drain();
}

bool PythonRunner::interrupt_due() {
  TaskId task{interruptible_.load()};
  return !task.is_nil() && is_cancelled(task);
}

bool PythonRunner::is_cancelled(TaskId task) {
  if (cancelled_count_ == 0) return false;
  std::lock_guard lock(cancel_mutex_);
  return cancelled_.contains(task);
}

bool PythonRunner::take_cancelled(TaskId task) {
  if (cancelled_count_ == 0) return false;
  std::lock_guard lock(cancel_mutex_);
  bool was = cancelled_.erase(task) > 0;
  cancelled_count_ = static_cast<int>(cancelled_.size());
  return was;
}

void PythonRunner::finish_cancelled(const Assignment& assignment) {
  take_cancelled(assignment.task);
  worker_.finish(assignment.task, cancelled_outcome(assignment));
}

void PythonRunner::send(const Assignment& assignment, Answer answer) {
  take_cancelled(assignment.task);
  worker_.finish(assignment.task, std::move(answer.outcome));
}

void PythonRunner::run_here(const Assignment& assignment) {
  if (is_cancelled(assignment.task)) return finish_cancelled(assignment);
  CallScope scope(assignment);
  bool plain_task = assignment.actor.is_nil();
  if (plain_task) interruptible_ = assignment.task.value;
  Session* current = session();
  Answer answer;
  Owned result(set_up(assignment) ? invoke(assignment) : nullptr);
  if (result && assignment.returns == kStreaming) {
    stream(assignment, result.get());
    interruptible_ = 0;
    return;
  }
  bool ok = result && answer_result(current, assignment, result.get(), answers_plainly(assignment), &answer);
  if (!ok) {
    bool interrupted = plain_task && is_cancelled(assignment.task);
    interruptible_ = 0;
    answer = answer_error(current, assignment, interrupted);
  }
  interruptible_ = 0;
  send(assignment, std::move(answer));
}

bool PythonRunner::set_up(const Assignment& assignment) {
  if (!environment_applied_) {
    environment_applied_ = true;
    session()->runtime_env = assignment.runtime_env;
    if (!assignment.runtime_env.empty()) {
      Owned text(to_str(assignment.runtime_env));
      Owned done(call_hook(Hook::kApplyEnvironment, {text.get()}));
      if (!done) return environment_applied_ = false;
    }
  }
  bool leases = assignment.actor.is_nil() || assignment.creates_actor;
  if (!leases || assignment.gpu_ids == gpus_shown_) return true;
  Owned ids(PyList_New(0));
  for (int32_t id : assignment.gpu_ids) {
    Owned number(PyLong_FromLong(id));
    if (!number || PyList_Append(ids.get(), number.get()) < 0) return false;
  }
  Owned done(call_hook(Hook::kShowGpus, {ids.get()}));
  gpus_shown_ = assignment.gpu_ids;
  return static_cast<bool>(done);
}

PyObject* PythonRunner::function_of(const Assignment& assignment) {
  auto found = functions_.find(assignment.function);
  if (found != functions_.end()) return found->second.object.get();
  Owned definition(to_bytes(assignment.definition));
  Owned function(call_hook(Hook::kLoadFunction, {definition.get()}));
  if (!function) return nullptr;
  bool by_name =
      std::isalpha(static_cast<unsigned char>(assignment.definition[0])) || assignment.definition[0] == '_';
  return functions_.emplace(assignment.function, Target{std::move(function), by_name})
      .first->second.object.get();
}

bool PythonRunner::answers_plainly(const Assignment& assignment) const {
  FunctionId id = !assignment.actor.is_nil() && birth_ ? birth_->function : assignment.function;
  auto found = functions_.find(id);
  return found != functions_.end() && found->second.by_name;
}

PyObject* PythonRunner::target_of(const Assignment& assignment) const {
  FunctionId id = !assignment.actor.is_nil() && birth_ ? birth_->function : assignment.function;
  auto found = functions_.find(id);
  return found == functions_.end() ? nullptr : found->second.object.get();
}

PyObject* PythonRunner::invoke(const Assignment& assignment) {
  if (assignment.creates_actor) return create_actor(assignment) ? Py_NewRef(Py_None) : nullptr;
  if (assignment.actor.is_nil()) {
    PyObject* function = function_of(assignment);
    ArgumentStack arguments;
    return function && arguments.decode(assignment) ? arguments.call(function) : nullptr;
  }
  return start_call(assignment);
}

PyObject* PythonRunner::start_call(const Assignment& assignment) {
  auto found = method_names_.find(assignment.method);
  if (found == method_names_.end()) {
    PyObject* name = to_str(assignment.method);
    if (!name) return nullptr;
    PyUnicode_InternInPlace(&name);
    found = method_names_.emplace(assignment.method, Owned(name)).first;
  }
  if (is_special(assignment.method)) return invoke_special(assignment, found->second.get());
  ArgumentStack arguments;
  return arguments.decode(assignment) ? arguments.call_method(instance_.get(), found->second.get()) : nullptr;
}

PyObject* PythonRunner::invoke_special(const Assignment& assignment, PyObject* name) {
  ArgumentStack arguments;
  if (!arguments.decode(assignment)) return nullptr;
  Owned positional = arguments.positional(), keywords = arguments.keywords();
  return call_hook(Hook::kCallSpecial, {instance_.get(), name, positional.get(), keywords.get()});
}

bool PythonRunner::create_actor(const Assignment& assignment) {
  birth_ = std::make_unique<Assignment>();
  birth_->task = assignment.task;
  birth_->function = assignment.function;
  birth_->name = assignment.name;
  birth_->actor = assignment.actor;
  birth_->actor_name = assignment.actor_name;
  birth_->space = assignment.space;
  birth_->actor_restarted = assignment.actor_restarted;
  birth_->resources = assignment.resources;
  birth_->gpu_ids = assignment.gpu_ids;
  birth_->placement_group = assignment.placement_group;
  birth_->captures = assignment.captures;
  PyObject* actor_class = function_of(assignment);
  ArgumentStack arguments;
  if (!actor_class || !arguments.decode(assignment)) return false;
  Owned positional = arguments.positional(), keywords = arguments.keywords();
  Owned concurrency(PyLong_FromLong(assignment.max_concurrency));
  Owned groups(to_str(assignment.group));
  loop_ = std::make_unique<LoopQueue>();
  Owned made(call_hook(Hook::kCreateActor,
                       {actor_class, positional.get(), keywords.get(), concurrency.get(), groups.get()}));
  return made && open_lanes(assignment, made.get());
}

bool PythonRunner::open_lanes(const Assignment&, PyObject* description) {
  PyObject *instance, *lanes;
  int mode = kMain;
  if (!PyArg_ParseTuple(description, "OiO!", &instance, &mode, &PyList_Type, &lanes)) return false;
  instance_ = Owned::borrow(instance);
  std::vector<LaneOptions> options;
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lanes); ++i) {
    const char* name;
    LaneOptions one;
    if (!PyArg_ParseTuple(PyList_GET_ITEM(lanes, i), "si", &name, &one.threads_max)) return false;
    one.name = name;
    options.push_back(std::move(one));
  }
  if (mode == kLanes) {
    lanes_ = std::make_unique<Lanes>(std::move(options), [this](size_t lane) {
      MainGil gil(main_state_);
      Owned number(PyLong_FromSize_t(lane));
      Owned started(call_hook(Hook::kStartThread, {number.get()}));
      if (!started) PyErr_WriteUnraisable(number.get());
    });
  }
  if (mode != kLoop) loop_ = nullptr;
  mode_ = mode;
  return true;
}

void PythonRunner::serve_lane(size_t lane) {
  PyThreadState* state = PyEval_SaveThread();
  lanes_->serve(lane, [&](Assignment assignment) {
    MainGil gil(state);
    run_here(assignment);
  });
  PyEval_RestoreThread(state);
}

void PythonRunner::finish_call(const Assignment& assignment, PyObject* result) {
  Answer answer;
  if (!answer_result(session(), assignment, result, answers_plainly(assignment), &answer))
    return fail_call(assignment, false);
  close_call(assignment, std::move(answer));
}

void PythonRunner::fail_call(const Assignment& assignment, bool cancelled) {
  close_call(assignment, answer_error(session(), assignment, cancelled));
}

/// The answer of a call, whichever thread or loop ran it.
void PythonRunner::close_call(const Assignment& assignment, Answer answer) {
  send(assignment, std::move(answer));
  if (mode_ == kLoop && !assignment.creates_actor) loop_->done();
}

// ---- streams
// ------------------------------------------------------------------------------------------------------

int PythonRunner::stream_item(const Assignment& assignment, uint32_t index, PyObject* item) {
  Value value;
  std::vector<Owned> kept;
  if (!encode_value(session(), item, "item " + std::to_string(index) + " of " + assignment.name, &value,
                    &kept))
    return -1;
  Status status;
  {
    WithoutGil released;
    status = worker_.stream_item(assignment.task, index, std::move(value));
  }
  if (status.is_ok()) return 1;
  if (status.code() == Code::kCancelled) return 0;
  set_error(status);
  return -1;
}

void PythonRunner::end_stream(const Assignment& assignment) { close_call(assignment, {}); }

void PythonRunner::stream(const Assignment& assignment, PyObject* result) {
  Owned items(PyObject_GetIter(result));
  uint32_t index = 0;
  int sent = 1;
  while (items && sent > 0) {
    Owned item(PyIter_Next(items.get()));
    if (!item) break;
    sent = stream_item(assignment, index, item.get());
    if (sent > 0) ++index;
  }
  if (sent == 0 && PyObject_HasAttrString(items.get(), "close")) {
    Owned closed(PyObject_CallMethod(items.get(), "close", nullptr));
    if (!closed) PyErr_Clear();
  }
  if (!PyErr_Occurred()) return end_stream(assignment);
  fail_call(assignment, assignment.actor.is_nil() && is_cancelled(assignment.task));
}

}  // namespace mobula::python
