// Pieces are all of the same length but the last, so a cursor says how much of a message was read.
#include "node/assignments.h"

#include <utility>

namespace mobula {

void Assignments::forget_begun() {
  uint64_t claimed = ring_.claimed();
  size_t keep = done_bytes_ > 0 ? 1 : 0;  // the last is not all in
  while (sent_.size() > keep && sent_.front().end <= claimed) sent_.pop_front();
}

bool Assignments::push_first(bool* pushed) {
  Waiting& first = waiting_.front();
  uint64_t cursor = ring_.pushed();
  size_t before = done_bytes_;
  bool all = ring_.push(first.message, &done_bytes_);
  bool some = all || done_bytes_ > before;
  *pushed |= some;
  if (before == 0 && some)
    sent_.push_back({first.task, cursor, cursor, ring_.pushed(), {}});
  else if (some)
    sent_.back().end = ring_.pushed();
  if (!all) return false;
  if (first.message.size() > ring_.piece_bytes_max()) sent_.back().message = std::move(first.message);
  done_bytes_ = 0;
  waiting_.pop_front();
  return true;
}

bool Assignments::push() {
  bool pushed = false;
  forget_begun();
  while (!waiting_.empty()) {
    if (push_first(&pushed)) continue;
    ring_.head().starved.store(1, std::memory_order_seq_cst);
    if (!push_first(&pushed)) break;  // it may have made room before it could see that we wait
  }
  return pushed;
}

std::vector<TaskId> Assignments::take_back() {
  uint64_t from = ring_.take_back();
  std::vector<TaskId> tasks;
  std::deque<Sent> begun;
  std::deque<Waiting> torn;  // a message of which pieces were read: it has to go on
  size_t torn_bytes = 0;
  for (size_t i = 0; i < sent_.size(); ++i) {
    Sent& sent = sent_[i];
    bool partly_in = done_bytes_ > 0 && i + 1 == sent_.size();  // it is the first that waits
    if (sent.cursor >= from) {
      if (!partly_in) tasks.push_back(sent.task);
      continue;
    }
    if (sent.end > from || partly_in) {
      uint64_t record = Ring::record_bytes(ring_.piece_bytes_max()),
               pieces = (from - sent.first_piece) / record;
      torn_bytes = pieces * ring_.piece_bytes_max();
      sent.end = ring_.pushed();  // there the rest will begin
      sent.first_piece = sent.end - pieces * record;
      torn.push_back(partly_in ? std::move(waiting_.front()) : Waiting{sent.task, std::move(sent.message)});
      if (partly_in) waiting_.pop_front();
    }
    begun.push_back(std::move(sent));
  }
  for (const Waiting& waiting : waiting_) tasks.push_back(waiting.task);
  sent_ = std::move(begun);
  waiting_ = std::move(torn);
  done_bytes_ = torn_bytes;
  return tasks;
}

std::vector<TaskId> Assignments::unstarted() const {
  std::vector<TaskId> tasks;
  uint64_t claimed = ring_.claimed();
  size_t whole = sent_.size() - (done_bytes_ > 0 ? 1 : 0);
  for (size_t i = 0; i < whole; ++i) {
    if (sent_[i].end > claimed) tasks.push_back(sent_[i].task);
  }
  for (const Waiting& waiting : waiting_) tasks.push_back(waiting.task);
  return tasks;
}

}  // namespace mobula
