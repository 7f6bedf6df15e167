// Lanes and the event loop's queue.
#include "worker/python_lanes.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace mobula::python {

Lanes::Lanes(std::vector<LaneOptions> options, std::function<void(size_t)> start_thread)
    : start_thread_(std::move(start_thread)) {
  for (LaneOptions& one : options) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->options = std::move(one);
  }
}

size_t Lanes::lane_of(const std::string& group) const {
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i]->options.name == group) return i;
  }
  return 0;
}

void Lanes::add(Assignment assignment) {
  size_t at = lane_of(assignment.group);
  bool start = false;
  {
    std::lock_guard lock(mutex_);
    Lane& lane = *lanes_[at];
    lane.queue.push_back(std::move(assignment));
    ++busy_;
    start = static_cast<int>(lane.queue.size()) > lane.idle && lane.threads < lane.options.threads_max;
    if (start)
      ++lane.threads;
    else
      lane.wake.notify_one();
  }
  if (start) start_thread_(at);
}

void Lanes::serve(size_t at, const std::function<void(Assignment)>& run) {
  std::unique_lock lock(mutex_);
  Lane& lane = *lanes_[at];
  while (true) {
    ++lane.idle;
    lane.wake.wait(lock, [&] { return !lane.queue.empty() || closed_; });
    --lane.idle;
    if (lane.queue.empty()) return;
    Assignment next = std::move(lane.queue.front());
    lane.queue.pop_front();
    lock.unlock();
    run(std::move(next));
    lock.lock();
    if (--busy_ == 0) quiet_.notify_all();
  }
}

void Lanes::close() {
  std::unique_lock lock(mutex_);
  quiet_.wait(lock, [&] { return busy_ == 0; });
  closed_ = true;
  for (auto& lane : lanes_) lane->wake.notify_all();
}

LoopQueue::LoopQueue() : wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

LoopQueue::~LoopQueue() { close(wake_fd_); }

void LoopQueue::add(LoopEvent event) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    wake = events_.empty();
    if (event.start) ++open_;
    events_.push_back(std::move(event));
  }
  uint64_t one = 1;
  if (wake && write(wake_fd_, &one, sizeof one) < 0) return;  // full: it is awake anyway
}

std::vector<LoopEvent> LoopQueue::take() {
  uint64_t count = 0;
  if (read(wake_fd_, &count, sizeof count) < 0) count = 0;  // nothing to read: taken by an earlier turn
  std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

void LoopQueue::done() {
  std::lock_guard lock(mutex_);
  if (--open_ == 0) quiet_.notify_all();
}

void LoopQueue::drain() {
  std::unique_lock lock(mutex_);
  quiet_.wait(lock, [&] { return open_ == 0; });
}

}  // namespace mobula::python
