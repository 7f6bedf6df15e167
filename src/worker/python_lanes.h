// Calls that wait for a thread of their actor: threaded actors and concurrency groups have lanes (a queue and
// a limit of threads each), async actors one queue that their event loop empties. Any thread; no GIL, but
// where it says so.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "worker/worker.h"

namespace mobula::python {

struct LaneOptions {
  std::string name;  // empty: calls without a group
  int threads_max = 1;
};

class Lanes {
 public:
  /// `start_thread(lane)` makes a thread that calls serve(lane); called without a lock.
  Lanes(std::vector<LaneOptions> options, std::function<void(size_t)> start_thread);

  void add(Assignment assignment);
  /// The body of a lane's thread: runs calls until close().
  void serve(size_t lane, const std::function<void(Assignment)>& run);
  /// Waits until nothing is queued or running, then lets the threads go.
  void close();

 private:
  struct Lane {
    LaneOptions options;
    std::deque<Assignment> queue;
    int threads = 0, idle = 0;
    std::condition_variable wake;
  };

  size_t lane_of(const std::string& group) const;

  std::mutex mutex_;
  std::condition_variable quiet_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::function<void(size_t)> start_thread_;
  int busy_ = 0;  // queued or running
  bool closed_ = false;
};

/// Something for an event loop: a call to start, or (without one) a call to cancel.
struct LoopEvent {
  std::shared_ptr<Assignment> start;
  TaskId cancel;
};

/// Wakes an event loop by an eventfd that it reads.
class LoopQueue {
 public:
  LoopQueue();
  ~LoopQueue();
  LoopQueue(const LoopQueue&) = delete;
  LoopQueue& operator=(const LoopQueue&) = delete;

  int wake_fd() const { return wake_fd_; }
  void add(LoopEvent event);
  std::vector<LoopEvent> take();
  /// A call that take() gave has been answered.
  void done();
  /// Waits until every call has been answered.
  void drain();

 private:
  std::mutex mutex_;
  std::condition_variable quiet_;
  std::vector<LoopEvent> events_;
  int open_ = 0;
  int wake_fd_;
};

}  // namespace mobula::python
