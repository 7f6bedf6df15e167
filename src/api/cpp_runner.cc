// Threads and cancellation of a C++ worker; the running itself is executor.cc's.
#include "api/cpp_runner.h"

#include <cstdlib>

#include <nlohmann/json.hpp>
#include <sstream>

#include "api/session.h"
#include "sys/environment.h"

namespace mobula::inline v1::internal {
namespace {

/// Shows the process its logical GPUs: each stands for one of the devices that this job may use.
void show_gpus(const std::vector<int32_t>& gpus, const std::vector<std::string>& devices) {
  if (gpus.empty() || environment_variable("RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES")) return;
  std::string list;
  for (int32_t gpu : gpus) {
    const auto at = static_cast<size_t>(gpu);
    list += (list.empty() ? "" : ",") + (at < devices.size() ? devices[at] : std::to_string(gpu));
  }
  setenv("CUDA_VISIBLE_DEVICES", list.c_str(), 1);
}

std::vector<std::string> devices_of_job() {
  std::vector<std::string> devices;
  std::istringstream listed(environment_variable("CUDA_VISIBLE_DEVICES").value_or(""));
  for (std::string device; std::getline(listed, device, ',');) devices.push_back(device);
  return devices;
}

/// Gives the process what the task's lease and runtime environment say. Such processes are not shared with
/// others.
void set_environment(const Assignment& assignment, const std::vector<std::string>& devices) {
  show_gpus(assignment.gpu_ids, devices);
  if (assignment.runtime_env.empty()) return;
  const auto document = nlohmann::json::parse(assignment.runtime_env, nullptr, false);
  if (!document.is_object() || !document.contains("env_vars")) return;
  for (const auto& [name, value] : document["env_vars"].items()) {
    if (value.is_string()) setenv(name.c_str(), value.get_ref<const std::string&>().c_str(), 1);
  }
}

}  // namespace

CppRunner::CppRunner(Worker& worker, CppRunnerOptions options)
    : worker_(worker),
      sets_environment_(!options.runs_python),
      devices_(devices_of_job()),
      executor_(&worker.engine(), [&worker](TaskId stream, uint32_t index, Value item) {
        return worker.stream_item(stream, index, std::move(item));
      }) {
  open_session(std::make_shared<Session>(worker.engine(), std::move(options.space), options.runs_python));
}

CppRunner::~CppRunner() {
  drain();
  executor_.drop_actors();
  take_session();
}

CppRunner::Flag CppRunner::flag_for(TaskId task) {
  std::lock_guard held(lock_);
  return flags_[task] = std::make_shared<std::atomic<bool>>(false);
}

void CppRunner::run_here(const Assignment& assignment, const Flag& cancelled) {
  Executed executed = executor_.execute(assignment, *cancelled);
  {
    std::lock_guard held(lock_);
    flags_.erase(assignment.task);
  }
  worker_.finish(assignment.task, std::move(executed.outcome));
}

void CppRunner::run(Assignment assignment) {
  Flag cancelled = flag_for(assignment.task);
  if (sets_environment_ && (assignment.actor.is_nil() || assignment.creates_actor))
    set_environment(assignment, devices_);
  if (assignment.creates_actor) {
    std::lock_guard held(lock_);
    threads_max_ = static_cast<size_t>(std::max(1, assignment.max_concurrency));
  }
  if (assignment.actor.is_nil() || assignment.creates_actor || threads_max_ == 1)
    return run_here(assignment, cancelled);
  std::lock_guard held(lock_);
  waiting_.push_back({std::move(assignment), std::move(cancelled)});
  if (waiting_.size() > idle_ && threads_.size() < threads_max_)
    threads_.emplace_back([this] { serve_calls(); });
  work_.notify_one();
}

void CppRunner::serve_calls() {
  std::unique_lock held(lock_);
  while (true) {
    ++idle_;
    work_.wait(held, [this] { return !waiting_.empty() || draining_; });
    --idle_;
    if (waiting_.empty()) return;
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    held.unlock();
    run_here(next.assignment, next.cancelled);
    next = {};
    held.lock();
  }
}

void CppRunner::cancel(TaskId task) {
  std::lock_guard held(lock_);
  auto found = flags_.find(task);
  if (found != flags_.end()) found->second->store(true, std::memory_order_relaxed);
}

void CppRunner::drain() {
  std::vector<std::thread> ending;
  {
    std::lock_guard held(lock_);
    draining_ = true;
    ending.swap(threads_);
  }
  work_.notify_all();
  for (std::thread& thread : ending) thread.join();
}

}  // namespace mobula::inline v1::internal
