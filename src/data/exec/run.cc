// Facts: from the engine and the consumer to the executor.
#include "data/exec/run.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace mobula::data {
namespace {

constexpr size_t kToleratedMax = 1000;  // failures that are listed; all are counted

double clock_ms() {
  auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(since).count();
}

/// Did the world fail, so that another try may do better?
bool is_retriable(PayloadKind kind) {
  return kind == PayloadKind::kWorkerCrashed || kind == PayloadKind::kActorDied ||
         kind == PayloadKind::kActorUnavailable || kind == PayloadKind::kObjectLost ||
         kind == PayloadKind::kOutOfMemory;
}

}  // namespace

void Run::Inbox::post(Fact fact) {
  {
    std::lock_guard lock(mutex);
    facts.push_back(std::move(fact));
  }
  wake.notify_one();
}

std::deque<Run::Fact> Run::Inbox::take() {
  std::unique_lock lock(mutex);
  wake.wait(lock, [this] { return !facts.empty(); });
  return std::exchange(facts, {});
}

Run::Run(Engine& engine, RunSetup setup)
    : engine_(engine),
      plan_(std::move(setup.plan)),
      bindings_(std::move(setup.bindings)),
      factory_(std::move(setup.actors)),
      codec_(std::move(setup.codec)),
      started_ms_(clock_ms()),
      executor_(plan_, std::move(setup.options), std::move(setup.inputs)) {
  totals_.resize(plan_.operators.size());
}

Run::~Run() {
  stop();
  for (const auto& [number, detail] : details_) {
    if (!detail.object.is_nil()) engine_.release(detail.object);
  }
}

double Run::now_ms() const { return clock_ms() - started_ms_; }

void Run::start() {
  thread_ = std::thread([this] { work(); });
}

void Run::work() {
  Effects effects;
  {
    std::lock_guard lock(mutex_);
    executor_.start(now_ms(), effects);
  }
  perform(std::move(effects));
  while (handle(inbox_->take())) {
  }
  Effects last;
  {
    std::lock_guard lock(mutex_);
    executor_.stop(last);
  }
  perform(std::move(last));
}

/// False after kStop.
bool Run::handle(std::deque<Fact> facts) {
  for (Fact& fact : facts) {
    if (fact.kind == Fact::Kind::kStop) return false;
    if (fact.kind == Fact::Kind::kItems) read_records(fact.number);
    if (fact.kind == Fact::Kind::kActor) take_actor(fact.number);
    if (fact.kind != Fact::Kind::kTaken) continue;
    Effects effects;
    {
      std::lock_guard lock(mutex_);
      executor_.on_taken(fact.block, now_ms(), effects);
    }
    perform(std::move(effects));
  }
  return true;
}

/// All that was asked of a task is there, or an error is among it.
void Run::read_records(uint64_t task) {
  auto at = live_.find(task);
  if (at == live_.end()) return;
  OpIndex op = at->second.op;
  std::vector<Pair> pairs = std::exchange(at->second.asked, {});
  std::vector<ObjectId> ids;
  for (const Pair& pair : pairs) ids.push_back(pair.record);
  Result<std::vector<Payload>> payloads = engine_.get(ids, Deadline::never());
  bool complete =
      payloads.is_ok() && std::all_of(payloads->begin(), payloads->end(), [](const Payload& payload) {
        return payload.kind == PayloadKind::kValue && !payload.data.empty();
      });
  bool goes_on = true;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (!goes_on || !live_.contains(task)) {  // it ended with what came before
      engine_.release(pairs[i].block);
      engine_.release(pairs[i].record);
    } else if (complete) {
      goes_on = take_record(task, op, pairs[i], (*payloads)[i]);
    } else {
      Result<std::vector<Payload>> one = engine_.get({&ids[i], 1}, Deadline::never());
      Payload payload = one.is_ok() ? std::move((*one)[0]) : Payload{PayloadKind::kSystemError, {}, nullptr};
      goes_on = take_record(task, op, pairs[i], payload);
    }
  }
}

/// False if the task is lost.
bool Run::take_record(uint64_t task, OpIndex op, const Pair& pair, const Payload& payload) {
  Result<Record> record = Status(Code::kInvalid, "");
  if (payload.kind == PayloadKind::kValue) {
    Result<std::string_view> bytes = codec_.bytes_of(payload);
    if (bytes.is_ok()) record = parse_record(*bytes);
  }
  if (!record.is_ok()) return take_lost(task, op, pair, payload), false;
  engine_.release(pair.record);
  Item item;
  Effects effects;
  {
    std::lock_guard lock(mutex_);
    item = count(*record, op);
    item.object = pair.block;
    executor_.on_item(task, item, now_ms(), effects);
    memory_bytes_peak_ = std::max(memory_bytes_peak_, executor_.memory_bytes());
  }
  if (item.kind != ItemKind::kBlock) engine_.release(pair.block);
  perform(std::move(effects));
  return true;
}

/// Adds a record to the totals. Holds mutex_.
Item Run::count(const Record& record, OpIndex op) {
  OpView& view = totals_[op];
  view.busy_ms += record.busy_ms;
  view.held_up_ms += record.held_up_ms;
  view.rss_bytes_peak = std::max(view.rss_bytes_peak, record.rss_bytes);
  if (view.stages.size() < record.stages.size()) view.stages.resize(record.stages.size());
  for (size_t i = 0; i < record.stages.size(); ++i) {
    view.stages[i].busy_ms += record.stages[i].busy_ms;
    view.stages[i].rows += record.stages[i].rows;
  }
  Item item;
  item.kind = record.kind;
  item.last = record.last;
  item.bundle = record.bundle;
  item.rows = record.rows;
  item.bytes = record.bytes;
  item.busy_ms = record.busy_ms;
  if (record.kind == ItemKind::kFailure) {
    item.detail = note_failure({op, std::string(record.failure), {}, {}});
  }
  return item;
}

/// In the record's place there is an error, or the end of the stream.
void Run::take_lost(uint64_t task, OpIndex op, const Pair& pair, const Payload& record) {
  FailureDetail detail{op, {}, pair.record, {}};
  PayloadKind kind = record.kind;
  ObjectId unused = pair.block;
  if (kind == PayloadKind::kStreamEnd || kind == PayloadKind::kValue) {
    Result<std::vector<Payload>> block = engine_.get({&pair.block, 1}, Deadline::never());
    bool explains = block.is_ok() && (*block)[0].kind != PayloadKind::kValue &&
                    (*block)[0].kind != PayloadKind::kStreamEnd;
    if (explains) {
      kind = (*block)[0].kind;
      std::swap(detail.object, unused);
    } else {
      engine_.release(detail.object);
      detail.object = {};
      detail.text = "a task of it ended before its output was complete";
    }
  }
  engine_.release(unused);
  ActorNumber actor = live_.at(task).actor;
  Effects of_actor, of_task;
  {
    std::lock_guard lock(mutex_);
    uint64_t number = note_failure(std::move(detail));
    bool died = actor != kNoActor && is_retriable(kind);
    if (died) executor_.on_actor_lost(actor, number, false, now_ms(), of_actor);
    executor_.on_task_lost(task, number, is_retriable(kind), now_ms(), of_task);
  }
  perform(std::move(of_actor));
  perform(std::move(of_task));
}

void Run::take_actor(uint64_t number) {
  auto at = actors_.find(number);
  if (at == actors_.end()) return;
  Standing& actor = at->second;
  Result<std::vector<Payload>> payload = engine_.get({&actor.ready, 1}, Deadline::never());
  bool stands = payload.is_ok() && (*payload)[0].kind == PayloadKind::kValue;
  Effects effects;
  {
    std::lock_guard lock(mutex_);
    if (stands) {
      executor_.on_actor_standing(number, now_ms(), effects);
    } else {
      uint64_t detail = note_failure({actor.op, {}, actor.ready, {}});
      executor_.on_actor_lost(number, detail, true, now_ms(), effects);
    }
  }
  if (stands) engine_.release(actor.ready);
  actor.ready = {};  // released above, or kept by the failure's detail
  perform(std::move(effects));
}

/// Keeps a failure under a number. Holds mutex_.
uint64_t Run::note_failure(FailureDetail detail) {
  if (details_.size() >= kToleratedMax) {
    if (!detail.object.is_nil()) engine_.release(detail.object);
    details_.rbegin()->second = {detail.op, std::move(detail.record), {}, std::move(detail.text)};
    return details_.rbegin()->first;
  }
  details_.emplace(next_detail_, std::move(detail));
  return next_detail_++;
}

// -- the consumer ----

Answer Run::next(Deadline deadline) {
  std::unique_lock lock(mutex_);
  auto something = [this] { return !outputs_.empty() || failed_ || finished_ || stopped_; };
  if (deadline.at == Deadline::never().at) {
    output_came_.wait(lock, something);
  } else if (!output_came_.wait_until(lock, deadline.at, something)) {
    return {};
  }
  Answer answer;
  if (failed_) {
    answer.kind = Answer::Kind::kFailed;
    answer.failure = details_[failed_->detail];
    answer.failure.op = failed_->op;
    return answer;
  }
  if (outputs_.empty()) {
    answer.kind = Answer::Kind::kEnd;
    return answer;
  }
  answer.kind = Answer::Kind::kBlock;
  answer.block = std::move(outputs_.front());
  outputs_.pop_front();
  lock.unlock();
  inbox_->post({Fact::Kind::kTaken, 0, answer.block});
  return answer;
}

void Run::stop() {
  if (!thread_.joinable()) return;
  inbox_->post({Fact::Kind::kStop, 0, {}});
  thread_.join();
  std::deque<BlockRef> untaken;
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    untaken = std::exchange(outputs_, {});
  }
  output_came_.notify_all();
  for (const BlockRef& block : untaken) engine_.release(block.object);
}

RunView Run::view() {
  std::lock_guard lock(mutex_);
  RunView out;
  for (OpIndex op = 0; op < plan_.operators.size(); ++op) {
    const OperatorState& state = executor_.state(op);
    OpView view = totals_[op];
    view.counters = state.counters;
    view.queued = static_cast<int64_t>(state.queue.size());
    view.running = static_cast<int64_t>(state.running.size());
    view.actors = static_cast<int64_t>(state.actors.size());
    view.done = state.done;
    out.operators.push_back(std::move(view));
  }
  out.memory_bytes = executor_.memory_bytes();
  out.memory_bytes_peak = memory_bytes_peak_;
  out.failures = executor_.failures();
  out.elapsed_ms = ended_ms_ >= 0 ? ended_ms_ : now_ms();
  if (!failed_) {
    for (const auto& [number, detail] : details_) out.tolerated.push_back(detail);
  }
  return out;
}

}  // namespace mobula::data
