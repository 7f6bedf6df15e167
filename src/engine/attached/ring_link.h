// The Link of a process that talks to its node through a slot of the control segment. Any thread may send; a
// thread that waits for an answer reads the ring of replies itself, for all who wait, so that an answer costs
// one wake-up; a background thread reads it when nobody waits. Tests: tests/contract, tests/process.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>

#include "engine/client.h"
#include "sys/shm.h"
#include "sys/spin.h"
#include "wire/segment.h"

namespace mobula {

class RingLink : public Link {
 public:
  /// What arrives that is no reply: cancellations, progress of readers, the order to end. Runs on whichever
  /// thread reads; must not block or ask.
  using OnMessage = std::function<void(DownMessage)>;

  static Result<std::shared_ptr<RingLink>> open(int control_fd, int arena_fd, uint32_t slot);
  /// Begins to read, and tells the node that this process is there.
  void start(OnMessage on_message);
  ~RingLink() override;

  void send(UpMessage message, bool urgent) override;
  /// A result, sent by the main thread: who waits for it learns at once, but where nobody waits the node's
  /// background is woken only when no new assignment has come a moment later.
  void send_result(UpMessage message);
  Result<ReplyMessage> ask(UpMessage message, RequestId request, Deadline deadline) override;
  void ask_async(UpMessage message, RequestId request, std::function<void(ReplyMessage)> callback) override;
  uint8_t* arena_writable() const override { return arena_rw_.data(); }
  const uint8_t* arena_readable() const override { return arena_ro_.data(); }

  const SegmentHeader& segment() const { return *segment_; }
  std::string job_config() const;
  std::span<uint8_t> metric_memory() const {
    return {control_.data() + segment_->metrics_offset, segment_->metrics_bytes};
  }
  /// The worker's main thread: the next assignment, or nothing when there is none now.
  std::optional<DownMessage> next_assignment();
  /// Sleeps until there is an assignment or `stop` is set (and wake_main() was called).
  void wait_for_assignment(const std::atomic<bool>& stop);
  void wake_main() { slot_->header->task_bell.ring(); }
  bool has_assignments() const { return !slot_->tasks.empty(); }
  /// Lets the node see everything sent so far, and wakes it.
  void flush();

 private:
  struct Waiter {
    std::optional<ReplyMessage> reply;
    std::condition_variable wake;
    std::function<void(ReplyMessage)> callback;
  };

  RingLink() = default;
  void push(const std::string& bytes);
  bool mark_dirty();
  void tell();
  void tell_patiently();
  void pay_ring();
  void read_replies(std::unique_lock<std::mutex>& lock);
  void run_background();
  void drained(RingHead& ring);

  Mapping control_, arena_rw_, arena_ro_;
  SegmentHeader* segment_ = nullptr;
  std::optional<Slot> slot_;
  uint32_t index_ = 0;
  OnMessage on_message_;
  std::mutex send_mutex_;                // one producer at a time
  bool unseen_ = false;                  // something was sent that the node was not told of
  std::atomic<bool> main_idle_ = false;  // the main thread sleeps: it will not flush what others send
  std::atomic<bool> owes_ring_ = false;  // the node's background was not woken for the last result yet
  AdaptiveSpin assignment_spin_;         // of the main thread
  std::mutex mutex_;                     // guards the waiters and who reads
  AdaptiveSpin reply_spin_;              // of the thread that reads
  bool reading_ = false;                 // some thread reads the ring of replies
  std::unordered_map<RequestId, Waiter*> waiters_;
  std::unordered_map<RequestId, std::unique_ptr<Waiter>> async_waiters_;
  std::atomic<bool> stopping_ = false;
  std::thread background_;
};

}  // namespace mobula
