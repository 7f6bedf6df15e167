// What became of tasks, for those who look at a running program: one record for each attempt that has ended,
// of the newest kAttemptsMax. A record is written over an old one, so that remembering allocates nothing once
// the history is full. Texts of errors are kept for the newest kTextsMax failures. Pure. Owned by the node's
// loop. Tests: history_test.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "task/task.h"

namespace mobula {

struct PastAttempt {
  enum class Kind : uint8_t { kTask, kActorCreation, kCall };
  TaskId task, parent;
  ActorId actor;
  WorkerId worker;  // nil: it never reached one
  ClassId cls;      // of plain tasks and creations
  GroupId group;
  TaskTimes times;
  uint64_t begun_ns = 0, ended_ns = 0;  // begun: 0 when it never ran
  uint64_t text = 0;                    // the number of its error's text; 0: none
  uint32_t attempt = 0;
  PayloadKind outcome = PayloadKind::kValue;
  Kind kind = Kind::kTask;
  Language language = Language::kPython;
  std::string name;
};

PastAttempt::Kind kind_of(const TaskRecord& task);

class TaskHistory {
 public:
  static constexpr size_t kAttemptsMax = 10'000, kTextsMax = 1'000, kTextBytesMax = 4 << 10;

  /// The record of the task's attempt; outcome and times of running are the caller's to fill in.
  PastAttempt& add(const TaskRecord& task);
  /// What users read of a failed attempt; of a long text its end is kept.
  void add_text(PastAttempt& attempt, std::string_view text);
  /// Empty when there is none, or it has been forgotten.
  std::string_view text_of(const PastAttempt& attempt) const;

  size_t size() const { return attempts_.size(); }
  uint64_t total() const { return total_; }
  uint64_t forgotten() const { return total_ - attempts_.size(); }
  /// The `back`-th newest: 0 is the one that ended last.
  const PastAttempt& newest(size_t back) const;

 private:
  std::vector<PastAttempt> attempts_;  // a ring once it is full: the oldest at next_
  std::deque<std::string> texts_;      // the same, the oldest at texts_total_ % kTextsMax
  size_t next_ = 0;
  uint64_t total_ = 0, texts_total_ = 0;
};

}  // namespace mobula
