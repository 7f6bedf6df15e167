// Runs the C++ tasks of a worker: plain tasks and ordinary actors on the thread that reads the ring, an actor
// with max_concurrency > 1 on threads of its own. A Python worker hands its assignments of Language::kCpp
// here and answers nothing itself. Constructing it opens the process's C++ session over the worker's engine.
// Tests: tests/contract/cpp_actors_test.cc.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "api/executor.h"
#include "worker/worker.h"

namespace mobula::inline v1::internal {

struct CppRunnerOptions {
  std::string space;         // namespace of the job
  bool runs_python = false;  // the worker is a Python process
};

class CppRunner : public TaskRunner {
 public:
  CppRunner(Worker& worker, CppRunnerOptions options);
  ~CppRunner() override;

  void run(Assignment assignment) override;
  void cancel(TaskId task) override;
  void drain() override;

 private:
  using Flag = std::shared_ptr<std::atomic<bool>>;
  struct Waiting {
    Assignment assignment;
    Flag cancelled;
  };

  void run_here(const Assignment& assignment, const Flag& cancelled);
  void serve_calls();
  Flag flag_for(TaskId task);

  Worker& worker_;
  const bool sets_environment_;  // a Python host sets it itself
  const std::vector<std::string>
      devices_;  // GPUs that the job may use, in the order of their logical numbers
  Executor executor_;
  std::mutex lock_;  // guards all below
  std::condition_variable work_;
  std::unordered_map<TaskId, Flag> flags_;
  std::deque<Waiting> waiting_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0, threads_max_ = 1;
  bool draining_ = false;
};

}  // namespace mobula::inline v1::internal
