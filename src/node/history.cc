// What the node remembers of tasks that ended: called once for each attempt, so it costs little.
#include <algorithm>

#include "node/node_core.h"
#include "wire/envelope.h"
#include "wire/plain.h"

namespace mobula {
namespace {

/// What a person reads of an error that user code raised: Python's has its text as its last buffer.
std::string text_of(const Located& error) {
  if (error.in_arena || !error.bytes) return "the error is too large to be shown here";
  if (error.kind != PayloadKind::kTaskError) return *error.bytes;
  std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(error.bytes->data()), error.bytes->size());
  auto view = parse_envelope(bytes);
  if (view.is_ok() && view->tag == Tag::kPickle && !view->buffers.empty()) {
    std::span<const uint8_t> text = view->buffers.back();
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }
  Result<PlainError> plain = decode_error(bytes);
  if (!plain.is_ok()) return "an exception";
  std::string text = plain->type + ": " + plain->message;
  return plain->traceback.empty() ? text : text + "\n" + plain->traceback;
}

}  // namespace

/// The worker says when it began; what it says is held against what the node knows.
void NodeCore::remember(const TaskRecord& task, const DoneMessage& message) {
  PastAttempt& past = history_.add(task);
  uint64_t now_ns = now_us_ * 1000, sent_ns = std::min(task.times.sent_us * 1000, now_ns);
  uint64_t ran_ns = std::min(message.run_ns, now_ns - sent_ns);
  past.begun_ns = std::clamp(message.begun_ns == 0 ? now_ns - ran_ns : message.begun_ns, sent_ns, now_ns);
  past.ended_ns = std::min(past.begun_ns + ran_ns, now_ns);
  if (message.values.empty() || message.values[0].kind == PayloadKind::kValue) return;
  past.outcome = message.values[0].kind;
  history_.add_text(past, text_of(message.values[0]));
}

void NodeCore::remember_failure(const TaskRecord& task, uint32_t attempt, PayloadKind kind,
                                std::string_view text) {
  PastAttempt& past = history_.add(task);
  past.attempt = attempt;
  past.outcome = kind;
  past.ended_ns = now_us_ * 1000;
  if (!past.worker.is_nil()) past.begun_ns = std::min(task.times.sent_us * 1000, past.ended_ns);
  history_.add_text(past, text);
}

void NodeCore::on_process(ClientId client, int pid, uint64_t now_us) {
  LoggedWorker& worker = worker_log_.at(WorkerId{client.value});
  worker.pid = pid;
  worker.started_us = now_us;
}

}  // namespace mobula
