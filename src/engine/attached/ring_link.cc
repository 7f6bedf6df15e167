// Sending, and reading for all who wait.
#include "engine/attached/ring_link.h"

#include <unistd.h>

#include <chrono>
#include <vector>

namespace mobula {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kRoomWait = std::chrono::milliseconds(20);

}  // namespace

Result<std::shared_ptr<RingLink>> RingLink::open(int control_fd, int arena_fd, uint32_t slot) {
  std::shared_ptr<RingLink> link(new RingLink());
  ASSIGN_OR_RETURN(Mapping head, Mapping::open(control_fd, sizeof(SegmentHeader), false));
  SegmentHeader* header = reinterpret_cast<SegmentHeader*>(head.data());
  if (header->magic != kSegmentMagic || slot >= header->slots) {
    return Status(Code::kInvalid, "the node that started this worker speaks another version of the protocol");
  }
  uint64_t bytes = header->metrics_offset + header->metrics_bytes, arena_bytes = header->arena_bytes;
  ASSIGN_OR_RETURN(link->control_, Mapping::open(control_fd, bytes, true));
  ASSIGN_OR_RETURN(link->arena_rw_, Mapping::open(arena_fd, arena_bytes, true));
  ASSIGN_OR_RETURN(link->arena_ro_, Mapping::open(arena_fd, arena_bytes, false));
  link->segment_ = reinterpret_cast<SegmentHeader*>(link->control_.data());
  link->slot_.emplace(link->control_.data(), slot);
  link->index_ = slot;
  return link;
}

void RingLink::start(OnMessage on_message) {
  on_message_ = std::move(on_message);
  background_ = std::thread([this] { run_background(); });
  slot_->header->pid = getpid();
  segment_->set_awake(index_, true);
  slot_->header->ready.store(1, std::memory_order_seq_cst);
  tell();
}

RingLink::~RingLink() {
  stopping_.store(true);
  slot_->header->reply_bell.ring(Sleeper::kBackground);
  if (background_.joinable()) background_.join();
}

std::string RingLink::job_config() const {
  return {reinterpret_cast<const char*>(control_.data()) + segment_->config_offset, segment_->config_bytes};
}

// ---- sending
// ------------------------------------------------------------------------------------------------------

/// False when it was marked already: then the node knows, or is about to be told.
bool RingLink::mark_dirty() {
  uint64_t bit = uint64_t{1} << (index_ % 64);
  return (segment_->dirty[index_ / 64].fetch_or(bit, std::memory_order_seq_cst) & bit) == 0;
}

void RingLink::tell() {
  bool fresh = mark_dirty();
  if (owes_ring_.exchange(false) || fresh) segment_->bell.ring();
}

void RingLink::tell_patiently() {
  if (mark_dirty() && segment_->bell.ring_patiently()) owes_ring_.store(true);
}

void RingLink::pay_ring() {
  if (!owes_ring_.load() || !owes_ring_.exchange(false)) return;
  uint64_t bit = uint64_t{1} << (index_ % 64);
  bool seen = (segment_->dirty[index_ / 64].load(std::memory_order_seq_cst) & bit) == 0;
  if (!seen) segment_->bell.ring();
}

void RingLink::push(const std::string& bytes) {
  size_t done = 0;
  while (!slot_->up.push(bytes, &done)) {
    slot_->header->up.starved.store(1, std::memory_order_seq_cst);
    if (slot_->up.push(bytes, &done)) return;
    tell();
    slot_->header->room_bell.wait(Sleeper::kForeground, kRoomWait, [&] {
      return slot_->header->up.starved.load(std::memory_order_seq_cst) == 0;
    });
  }
}

void RingLink::send(UpMessage message, bool urgent) {
  std::string bytes = encode(message);
  std::lock_guard lock(send_mutex_);
  push(bytes);
  urgent |= main_idle_.load();  // nobody would flush it
  unseen_ |= !urgent;
  if (!urgent) return;
  unseen_ = false;
  tell();
}

void RingLink::send_result(UpMessage message) {
  std::string bytes = encode(message);
  std::lock_guard lock(send_mutex_);
  push(bytes);
  unseen_ = false;
  tell_patiently();
}

void RingLink::flush() {
  std::lock_guard lock(send_mutex_);
  if (std::exchange(unseen_, false))
    tell();
  else
    pay_ring();
}

// ---- replies
// ------------------------------------------------------------------------------------------------------

void RingLink::drained(RingHead& ring) {
  if (ring.starved.load(std::memory_order_seq_cst) == 0) return;
  ring.starved.store(0, std::memory_order_seq_cst);
  tell();
}

void RingLink::read_replies(std::unique_lock<std::mutex>& lock) {
  while (std::optional<std::string> bytes = slot_->replies.pop()) {
    drained(slot_->header->replies);
    Result<DownMessage> message = decode_down(*bytes);
    if (!message.is_ok()) continue;
    auto* reply = std::get_if<ReplyMessage>(&*message);
    if (reply == nullptr) {
      lock.unlock();
      on_message_(std::move(*message));
      lock.lock();
      continue;
    }
    if (auto waiter = waiters_.find(reply->request); waiter != waiters_.end()) {
      waiter->second->reply = std::move(*reply);
      waiter->second->wake.notify_one();
    } else if (auto async = async_waiters_.find(reply->request); async != async_waiters_.end()) {
      auto callback = std::move(async->second->callback);
      async_waiters_.erase(async);
      lock.unlock();
      callback(std::move(*reply));
      lock.lock();
    }
  }
  drained(slot_->header->replies);
}

Result<ReplyMessage> RingLink::ask(UpMessage message, RequestId request, Deadline deadline) {
  Waiter waiter;
  {
    std::lock_guard lock(mutex_);
    waiters_.emplace(request, &waiter);
  }
  send(std::move(message), true);
  std::unique_lock lock(mutex_);
  bool forever = deadline.at == Clock::time_point::max();
  while (!waiter.reply) {
    if (!forever &&
        Clock::now() >= deadline.at) {  // the node answers once more: with the value, or that it is late
      lock.unlock();
      send(ForgetMessage{request}, true);
      lock.lock();
      forever = true;
      continue;
    }
    if (reading_) {
      if (forever)
        waiter.wake.wait(lock);
      else
        waiter.wake.wait_until(lock, deadline.at);
      continue;
    }
    reading_ = true;
    read_replies(lock);
    while (!waiter.reply) {
      std::chrono::nanoseconds timeout(-1);
      if (!forever) timeout = deadline.at - Clock::now();
      if (!forever && timeout.count() <= 0) break;
      lock.unlock();
      auto awaited = [&] { return !slot_->replies.empty(); };
      if (!reply_spin_.run(segment_->has_cpu_to_spin(), awaited))
        slot_->header->reply_bell.wait(Sleeper::kForeground, timeout, awaited);
      lock.lock();
      read_replies(lock);
    }
    reading_ = false;
    if (!slot_->replies.empty()) slot_->header->reply_bell.ring(Sleeper::kBackground);
    for (auto& [other_request, other] : waiters_) {
      if (other == &waiter || other->reply) continue;
      other->wake.notify_one();  // the next reader
      break;
    }
  }
  waiters_.erase(request);
  if (waiter.reply->code == Code::kTimeout) return Status(Code::kTimeout, std::move(waiter.reply->text));
  return std::move(*waiter.reply);
}

void RingLink::ask_async(UpMessage message, RequestId request, std::function<void(ReplyMessage)> callback) {
  {
    std::lock_guard lock(mutex_);
    auto waiter = std::make_unique<Waiter>();
    waiter->callback = std::move(callback);
    async_waiters_.emplace(request, std::move(waiter));
  }
  send(std::move(message), true);
}

void RingLink::run_background() {
  std::unique_lock lock(mutex_);
  while (!stopping_.load()) {
    if (!reading_) {
      reading_ = true;
      read_replies(lock);
      reading_ = false;
      for (auto& [request, waiter] : waiters_) {
        if (waiter->reply) continue;
        waiter->wake.notify_one();
        break;
      }
    }
    bool idle = !reading_;
    lock.unlock();
    slot_->header->reply_bell.wait(Sleeper::kBackground, std::chrono::nanoseconds(-1),
                                   [&] { return stopping_.load() || (idle && !slot_->replies.empty()); });
    lock.lock();
  }
}

// ---- assignments
// --------------------------------------------------------------------------------------------------

std::optional<DownMessage> RingLink::next_assignment() {
  std::optional<std::string> bytes = slot_->tasks.pop();
  drained(slot_->header->tasks);
  if (!bytes) return std::nullopt;
  Result<DownMessage> message = decode_down(*bytes);
  if (!message.is_ok()) return std::nullopt;
  pay_ring();
  return std::move(*message);
}

void RingLink::wait_for_assignment(const std::atomic<bool>& stop) {
  auto has_work = [&] { return stop.load() || !slot_->tasks.empty(); };
  main_idle_.store(true);
  {
    std::lock_guard lock(send_mutex_);
    if (std::exchange(unseen_, false)) tell_patiently();
  }
  if (!assignment_spin_.run(segment_->has_cpu_to_spin(), has_work, [&] { pay_ring(); })) {
    segment_->set_awake(index_, false);
    slot_->header->task_bell.wait(Sleeper::kForeground, std::chrono::nanoseconds(-1), has_work);
    segment_->set_awake(index_, true);
  }
  main_idle_.store(false);
}

}  // namespace mobula
