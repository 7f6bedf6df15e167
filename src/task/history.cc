// Two rings that overwrite what is oldest.
#include "task/history.h"

#include "base/check.h"

namespace mobula {

PastAttempt::Kind kind_of(const TaskRecord& task) {
  if (task.spec.actor.is_nil()) return PastAttempt::Kind::kTask;
  return task.creates_actor ? PastAttempt::Kind::kActorCreation : PastAttempt::Kind::kCall;
}

PastAttempt& TaskHistory::add(const TaskRecord& task) {
  if (attempts_.size() < kAttemptsMax) attempts_.emplace_back();
  PastAttempt& past = attempts_[next_];
  if (++next_ == kAttemptsMax) next_ = 0;
  ++total_;
  past.task = task.spec.id;
  past.parent = task.parent;
  past.actor = task.spec.actor;
  past.worker = task.times.given_to;
  past.cls = task.cls;
  past.group = task.spec.placement_group;
  past.times = task.times;
  past.begun_ns = past.ended_ns = 0;
  past.text = 0;
  past.attempt = task.attempt;
  past.outcome = PayloadKind::kValue;
  past.kind = kind_of(task);
  past.language = task.spec.language;
  past.name.assign(task.spec.name);  // into the room of the name that was there
  return past;
}

void TaskHistory::add_text(PastAttempt& attempt, std::string_view text) {
  if (text.empty()) return;
  if (texts_.size() < kTextsMax) texts_.emplace_back();
  std::string& kept = texts_[texts_total_++ % kTextsMax];
  attempt.text = texts_total_;
  kept.clear();
  if (text.size() > kTextBytesMax) {
    text.remove_prefix(text.size() - kTextBytesMax);
    while (!text.empty() && (static_cast<uint8_t>(text.front()) & 0xC0) == 0x80) text.remove_prefix(1);
    kept = "...";
  }
  kept += text;
}

std::string_view TaskHistory::text_of(const PastAttempt& attempt) const {
  if (attempt.text == 0 || attempt.text + kTextsMax <= texts_total_) return {};
  return texts_[(attempt.text - 1) % kTextsMax];
}

const PastAttempt& TaskHistory::newest(size_t back) const {
  CHECK(back < attempts_.size());
  return attempts_[(next_ + kAttemptsMax - 1 - back) % kAttemptsMax];
}

}  // namespace mobula
