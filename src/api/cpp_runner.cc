// Threads and cancellation of a C++ worker; the running itself is executor.cc's.
#include "api/cpp_runner.h"

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "api/session.h"

namespace mobula::inline v1::internal {
namespace {

/// Gives the process what the task's lease and runtime environment say. Such processes are not shared with
/// others.
void set_environment(const Assignment& assignment) {
  if (!assignment.gpu_ids.empty()) {
    std::string list;
    for (int32_t gpu : assignment.gpu_ids) list += (list.empty() ? "" : ",") + std::to_string(gpu);
    setenv("CUDA_VISIBLE_DEVICES", list.c_str(), 1);
  }
  if (assignment.runtime_env.empty()) return;
  const auto document = nlohmann::json::parse(assignment.runtime_env, nullptr, false);
  if (!document.is_object() || !document.contains("env_vars")) return;
  for (const auto& [name, value] : document["env_vars"].items()) {
    if (value.is_string()) setenv(name.c_str(), value.get_ref<const std::string&>().c_str(), 1);
  }
}

}  // namespace

CppRunner::CppRunner(Worker& worker, CppRunnerOptions options)
    : worker_(worker), sets_environment_(!options.runs_python), executor_(&worker.engine()) {
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
    set_environment(assignment);
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
