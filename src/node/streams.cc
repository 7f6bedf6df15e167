// Streams of generator tasks: items come in order, the consumer asks for them one by one and may go away.
#include <algorithm>

#include "node/node_core.h"

namespace mobula {
namespace {

using State = TaskRecord::State;

Located end_of(const StreamRecord& stream) {
  return located_bytes(PayloadKind::kStreamEnd,
                       "the stream has " + std::to_string(stream.produced) + " items");
}

}  // namespace

// ------------------------------------------------------------------------------------------------------

void NodeCore::on(ClientId from, ItemMessage& message) {
  TaskRecord* task = tasks_.find(message.task);
  StreamRecord* stream = tasks_.find_stream(message.task);
  bool current = task != nullptr && stream != nullptr && task->worker == WorkerId{from.value} &&
                 task->attempt == message.attempt;
  // The reader was ahead of a task that had not begun, or is: what we told its worker then was not heard.
  if (current && (stream->dropped || stream->taken > uint64_t{message.index} + 1)) {
    out_->replies.emplace_back(from, ConsumedMessage{message.task, stream->consumed(), stream->dropped});
  }
  if (current) {
    stream->attempted = message.index + 1;
    lend_if_ahead(*task, *stream);
  }
  if (!current || stream->dropped ||
      message.index < stream->produced) {  // a repeated attempt gives items again
    std::vector<Located> values{std::move(message.value)};
    return discard(values);
  }
  ObjectId id = object_of(message.task, message.index);
  if (message.index >= stream->taken) store_.create(id, 1);
  stream->produced = message.index + 1;
  store_.seal(id, std::move(message.value), effects_);
}

void NodeCore::on(ClientId from, TakeItemMessage& message) {
  TaskId id = message.id.task;
  StreamRecord* stream = tasks_.find_stream(id);
  uint32_t index = message.id.index;
  if (stream == nullptr) {
    store_.hold(message.id, effects_);  // the item itself, if somebody keeps it; else an error says so
    return hold_for(from, message.id);
  }
  if (index < stream->taken && index < stream->produced) {  // once more
    store_.hold(message.id, effects_);
    return hold_for(from, message.id);
  }
  bool was_held = index != kStreamEndIndex && index >= stream->taken && index < stream->produced;
  store_.create(message.id, was_held ? 0 : 1);  // the stream's own hold becomes the consumer's
  hold_for(from, message.id);
  if (index == kStreamEndIndex) {
    if (stream->ended)
      store_.seal(message.id, located_bytes(PayloadKind::kValue, std::string(16, '\0')), effects_);
    return;
  }
  for (uint32_t i = stream->taken; i < std::min(index, stream->produced); ++i)
    store_.release(object_of(id, i), effects_);  // passed over
  stream->taken = std::max(stream->taken, index + 1);
  if (stream->ended && index >= stream->produced) {
    store_.seal(message.id, end_of(*stream), effects_);
  }
  TaskRecord* task = tasks_.find(id);
  if (task != nullptr && task->state == State::kRunning && task->spec.backpressure_items >= 0) {
    lend_if_ahead(*task, *stream);
    out_->replies.emplace_back(ClientId{task->worker.value}, ConsumedMessage{id, index, false});
  }
}

/// A producer that is as far ahead of its reader as it may be waits, and others need its CPU: the reader too,
/// perhaps, before it can go on.
void NodeCore::lend_if_ahead(const TaskRecord& task, StreamRecord& stream) {
  int64_t ahead = int64_t{stream.attempted} - stream.consumed();
  bool waits = !stream.dropped && task.spec.backpressure_items >= 0 &&
               ahead >= std::max(task.spec.backpressure_items, 1);
  if (!waits)
    return_cpu(stream.lending);
  else if (stream.lending.worker.is_nil())
    lend_later(task.worker, stream.lending);
}

void NodeCore::end_stream(TaskRecord& task, std::vector<Located>& values) {
  TaskId id = task.spec.id;
  StreamRecord* stream = tasks_.find_stream(id);
  bool failed = !values.empty() && values[0].kind != PayloadKind::kValue;
  if (stream == nullptr || stream->dropped || !failed) discard(values);
  if (stream == nullptr) return;
  Located end = located_bytes(PayloadKind::kValue, std::string(16, '\0'));
  if (failed && !values[0].in_arena) end = values[0];
  if (failed && !stream->dropped) {
    ObjectId item = object_of(id, stream->produced);
    if (stream->produced >= stream->taken) store_.create(item, 1);
    ++stream->produced;
    store_.seal(item, std::move(values[0]), effects_);
  }
  stream->ended = true;
  return_cpu(stream->lending);
  for (uint32_t i = stream->produced; i < stream->taken; ++i) {
    store_.seal(object_of(id, i), end_of(*stream), effects_);
  }
  if (store_.find(object_of(id, kStreamEndIndex)) != nullptr) {
    store_.seal(object_of(id, kStreamEndIndex), std::move(end), effects_);
  }
  if (stream->dropped) tasks_.erase_stream(id);
}

void NodeCore::on(ClientId, DropStreamMessage& message) {
  StreamRecord* stream = tasks_.find_stream(message.task);
  if (stream != nullptr) release_stream(message.task, *stream);
}

void NodeCore::release_stream(TaskId id, StreamRecord& stream) {
  if (stream.dropped) return;
  stream.dropped = true;
  return_cpu(stream.lending);
  uint32_t first = stream.taken, last = stream.produced;
  TaskRecord* task = tasks_.find(id);
  if (stream.ended || task == nullptr) tasks_.erase_stream(id);
  for (uint32_t i = first; i < last; ++i) store_.release(object_of(id, i), effects_);
  if (task == nullptr) return;
  if (task->state == State::kRunning)
    out_->replies.emplace_back(ClientId{task->worker.value}, ConsumedMessage{id, 0, true});
  else
    fail(id, PayloadKind::kCancelled, task->spec.name + " was dropped by its reader before it ran");
}

}  // namespace mobula
