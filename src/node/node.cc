// The loop: who holds the token drains the rings and performs the effects. Callbacks run on the background
// thread alone, without the token, so that no caller of the engine meets them in the middle of something.
#include "node/node.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/metric_table.h"

namespace mobula {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kDrainRounds = 4;  // of one port before the others get a turn

uint64_t now_us() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count());
}

}  // namespace

Node::Node(NodeOptions options) : options_(std::move(options)) {}

Result<std::unique_ptr<Node>> Node::open(NodeOptions options) {
  std::unique_ptr<Node> node(new Node(std::move(options)));
  TRY(node->start());
  return node;
}

Status Node::start() {
  constexpr uint32_t slots = kSlotsMax, kEndingMax = 16;  // pages of a slot exist once it is used
  uint64_t metrics_offset = (segment_bytes(slots, options_.job_config.size()) + 4095) & ~4095ull;
  uint64_t bytes = metrics_offset + MetricTable::kBytes;
  ASSIGN_OR_RETURN(control_fd_, create_shared_memory("mobula-control", bytes));
  ASSIGN_OR_RETURN(control_, Mapping::open(control_fd_.get(), bytes, true));
  ASSIGN_OR_RETURN(arena_fd_, create_shared_memory("mobula-arena", options_.arena_bytes));
  ASSIGN_OR_RETURN(arena_rw_, Mapping::open(arena_fd_.get(), options_.arena_bytes, true));
  ASSIGN_OR_RETURN(arena_ro_, Mapping::open(arena_fd_.get(), options_.arena_bytes, false));
  segment_ = reinterpret_cast<SegmentHeader*>(control_.data());
  segment_->arena_bytes = options_.arena_bytes;
  segment_->session = options_.session;
  segment_->slots = slots;
  options_.node_id.copy(segment_->node_id, sizeof segment_->node_id);
  options_.job_id.copy(segment_->job_id, sizeof segment_->job_id);
  segment_->config_offset = segment_bytes(slots, 0);
  segment_->config_bytes = options_.job_config.size();
  segment_->metrics_offset = metrics_offset;
  segment_->metrics_bytes = MetricTable::kBytes;
  options_.job_config.copy(reinterpret_cast<char*>(control_.data() + segment_->config_offset),
                           options_.job_config.size());
  segment_->magic = kSegmentMagic;
  for (uint32_t i = slots; i-- > 0;) free_slots_.push_back(i);
  port_of_slot_.resize(slots);
  core_ = std::make_unique<NodeCore>(
      NodeCoreOptions{options_.resources, options_.arena_bytes, options_.session, options_.node_id,
                      options_.labels, options_.workers_max, slots - kEndingMax, options_.idle_workers_max});
  OutsideOptions outside{options_.zygote_command, options_.zygote_environment,
                         control_fd_.get(),       arena_fd_.get(),
                         arena_rw_.data(),        options_.spill_folder,
                         options_.log_to_driver,  [bell = &segment_->bell] { bell->ring(); }};
  core_->on_process(kDriver, getpid(), now_us());
  outside_ = std::make_unique<Outside>(std::move(outside));
  TRY(outside_->start());
  background_ = std::thread([this] { run_background(); });
  return Status::ok();
}

Node::~Node() { stop(); }

void Node::stop() {
  {
    std::lock_guard token(token_);  // whoever gets it after us leaves the rings and processes alone
    if (stopping_.exchange(true)) return;
  }
  if (segment_ != nullptr) segment_->bell.ring(Sleeper::kBackground);
  if (background_.joinable()) background_.join();
  if (outside_) outside_->stop();
  std::unique_lock token(token_);
  for (auto& [request, waiter] : waiters_) {
    answer(*waiter, ReplyMessage{request, Code::kCancelled, "the session was shut down", 0, {}, {}});
  }
  for (auto& [request, waiter] : std::exchange(async_waiters_, {})) {
    callbacks_.emplace_back(std::move(waiter->callback),
                            ReplyMessage{request, Code::kCancelled, "the session was shut down", 0, {}, {}});
  }
  waiters_.clear();
  run_callbacks(token);
}

bool Node::has_work() const {
  if (outside_->has_events() || stopping_.load(std::memory_order_relaxed)) return true;
  for (const auto& word : segment_->dirty) {
    if (word.load(std::memory_order_seq_cst) != 0) return true;
  }
  return false;
}

std::optional<std::chrono::nanoseconds> Node::tick_timeout() const {
  uint64_t after = core_->tick_after_us();
  if (after == 0) return std::nullopt;
  return std::chrono::microseconds(after);
}

void Node::run_background() {
  std::unique_lock token(token_);
  while (!stopping_.load()) {
    drain();
    run_callbacks(token);
    std::chrono::nanoseconds timeout = tick_timeout().value_or(std::chrono::nanoseconds(-1));
    bool ticks = timeout.count() >= 0;
    tick_armed_.store(ticks);
    token.unlock();
    segment_->bell.wait(Sleeper::kBackground, timeout, [this, ticks] {
      return has_callbacks_.load() || tick_armed_.load() != ticks || (!leading_.load() && has_work());
    });
    token.lock();
  }
}

void Node::arm_tick() {
  if (core_->tick_after_us() == 0 || tick_armed_.exchange(true)) return;
  segment_->bell.ring(Sleeper::kBackground);
}

void Node::pass_on() {
  arm_tick();
  if (has_work()) segment_->bell.ring();  // drain() leaves some of a long queue to the next turn
}

// ---- the driver's client
// ------------------------------------------------------------------------------------------

void Node::send(UpMessage message) {
  std::unique_lock token(token_);
  if (stopping_.load() || !fatal_.empty()) return;
  core_->on_message(kDriver, std::move(message), now_us(), effects_);
  perform();
  drain();
  pass_on();
}

Result<ReplyMessage> Node::ask(UpMessage message, RequestId request, Deadline deadline) {
  std::unique_lock token(token_);
  if (stopping_.load()) return Status(Code::kCancelled, "the session was shut down");
  if (!fatal_.empty()) return Status(Code::kInternal, fatal_);
  Waiter waiter;
  waiters_.emplace(request, &waiter);
  core_->on_message(kDriver, std::move(message), now_us(), effects_);
  perform();
  while (!waiter.reply && !stopping_.load()) {
    if (Clock::now() >= deadline.at) break;
    if (leader_ != nullptr) {
      if (deadline.at == Clock::time_point::max())
        waiter.wake.wait(token);
      else
        waiter.wake.wait_until(token, deadline.at);
    } else {
      lead(token, waiter, deadline);
    }
  }
  if (!waiter.reply && !stopping_.load()) {  // answers it: that it is late, or that the node cannot go on
    core_->on_message(kDriver, ForgetMessage{request}, now_us(), effects_);
    perform();
  }
  waiters_.erase(request);
  if (!waiter.reply) return Status(Code::kCancelled, "the session was shut down");
  if (waiter.reply->code == Code::kTimeout) return Status(Code::kTimeout, std::move(waiter.reply->text));
  return std::move(*waiter.reply);
}

void Node::lead(std::unique_lock<std::mutex>& token, Waiter& waiter, Deadline deadline) {
  leader_ = &waiter;
  leading_.store(true);
  leader_answered_.store(false);
  segment_->bell.watch();
  while (!waiter.reply) {
    drain();
    if (waiter.reply || stopping_.load()) break;
    auto now = Clock::now();
    if (now >= deadline.at) break;
    std::chrono::nanoseconds timeout(-1);
    if (deadline.at != Clock::time_point::max()) timeout = deadline.at - now;
    if (auto tick = tick_timeout(); tick && (timeout.count() < 0 || *tick < timeout)) timeout = *tick;
    token.unlock();
    auto awaited = [this] { return leader_answered_.load() || has_work(); };
    if (!leader_spin_.run(segment_->has_cpu_to_spin(), awaited))
      segment_->bell.wait(Sleeper::kForeground, timeout, awaited);
    token.lock();
  }
  leader_ = nullptr;
  leading_.store(false);
  segment_->bell.unwatch();
  drain();  // what was rung for us, and came too late for us
  pass_on();
  for (auto& [request, other] : waiters_) {
    if (other == &waiter || other->reply) continue;
    other->wake.notify_one();  // the next leader
    break;
  }
}

void Node::ask_async(UpMessage message, RequestId request, ReplyCallback callback) {
  std::unique_lock token(token_);
  if (stopping_.load()) {  // there is no thread any more that would call back
    token.unlock();
    return callback({request, Code::kCancelled, "the session was shut down", 0, {}, {}});
  }
  if (!fatal_.empty()) {
    callbacks_.emplace_back(std::move(callback), ReplyMessage{request, Code::kInternal, fatal_, 0, {}, {}});
    return hand_over_callbacks();
  }
  auto waiter = std::make_unique<Waiter>();
  waiter->callback = std::move(callback);
  async_waiters_.emplace(request, std::move(waiter));
  segment_->bell.set_impatient(true);
  core_->on_message(kDriver, std::move(message), now_us(), effects_);
  perform();
  arm_tick();
}

void Node::preload(std::string_view module) {
  std::lock_guard token(token_);
  if (!stopping_.load()) outside_->preload(module);
}

void Node::hand_over_callbacks() {
  if (callbacks_.empty()) return;
  has_callbacks_.store(true);
  segment_->bell.ring(Sleeper::kBackground);
}

void Node::run_callbacks(std::unique_lock<std::mutex>& token) {
  has_callbacks_.store(false);
  while (!callbacks_.empty()) {
    auto callbacks = std::exchange(callbacks_, {});
    token.unlock();
    for (auto& [callback, reply] : callbacks) callback(std::move(reply));
    token.lock();
  }
}

// ---- with the token held
// ------------------------------------------------------------------------------------------

void Node::drain() {
  if (stopping_.load()) return;
  if (outside_->has_events()) handle_events();
  for (uint32_t w = 0; w < kSlotsMax / 64; ++w) {
    if (segment_->dirty[w].load(std::memory_order_relaxed) == 0) continue;
    uint64_t bits = segment_->dirty[w].exchange(0, std::memory_order_seq_cst);
    for (; bits != 0; bits &= bits - 1) {
      auto index = static_cast<uint32_t>(w * 64 + static_cast<uint32_t>(__builtin_ctzll(bits)));
      WorkerId worker = index < port_of_slot_.size() ? port_of_slot_[index] : WorkerId{};
      auto port = ports_.find(worker);
      if (port == ports_.end()) continue;
      if (drain_port(worker, *port->second)) segment_->dirty[w].fetch_or(uint64_t{1} << (index % 64));
    }
  }
  uint64_t now = now_us(), after = core_->tick_after_us();
  if (after != 0 && now - last_tick_us_ >= after) {
    last_tick_us_ = now;
    drain_quiet_ports();
    core_->on_tick(now, effects_);
    perform();
  }
}

void Node::drain_quiet_ports() {
  std::vector<WorkerId> workers;
  for (const auto& [worker, port] : ports_) workers.push_back(worker);
  for (WorkerId worker : workers) {
    if (auto port = ports_.find(worker); port != ports_.end()) drain_port(worker, *port->second);
  }
}

bool Node::drain_port(WorkerId worker, Port& port) {
  SlotHeader& header = *port.slot.header;
  if (!port.ready && header.ready.load(std::memory_order_acquire) != 0) {
    port.ready = true;
    core_->on_process(ClientId{worker.value}, header.pid, now_us());
    core_->on_worker_started(worker, now_us(), effects_);
  }
  for (size_t i = 0; i < kDrainRounds * 64; ++i) {
    std::optional<std::string> bytes = port.slot.up.pop();
    if (header.up.starved.load(std::memory_order_relaxed) !=
        0) {  // even if only pieces of a message were there
      header.up.starved.store(0, std::memory_order_seq_cst);
      header.room_bell.ring();
    }
    if (!bytes) {
      if (port.slot.up.damaged()) outside_->kill(worker);
      break;
    }
    Result<UpMessage> message = decode_up(*bytes);
    if (!message.is_ok()) {
      outside_->kill(worker);  // it writes nonsense: its memory is damaged
      break;
    }
    core_->on_message(ClientId{worker.value}, std::move(*message), now_us(), effects_);
    if (i % 16 == 15) perform();
  }
  perform();
  auto again = ports_.find(worker);
  if (again == ports_.end()) return false;
  if (port.assignments.is_waiting()) push_tasks(port);
  if (!port.replies_waiting.empty()) push_replies(port);
  return !port.slot.up.empty() && !port.slot.up.damaged();
}

void Node::handle_events() {
  for (OutsideEvent& event : outside_->take_events()) {
    if (auto* exited = std::get_if<WorkerExited>(&event)) {
      on_worker_exit(exited->worker, exited->cause);
    } else if (auto* lost = std::get_if<ZygoteLost>(&event)) {
      fatal_ = lost->cause;
      std::vector<WorkerId> workers;
      for (const auto& [worker, port] : ports_) workers.push_back(worker);
      for (WorkerId worker : workers) on_worker_exit(worker, fatal_);
      for (auto& [request, waiter] : waiters_) {
        answer(*waiter, ReplyMessage{request, Code::kInternal, fatal_, 0, {}, {}});
      }
      for (auto& [request, waiter] : std::exchange(async_waiters_, {})) {
        callbacks_.emplace_back(std::move(waiter->callback),
                                ReplyMessage{request, Code::kInternal, fatal_, 0, {}, {}});
      }
    } else if (auto* spilled = std::get_if<Spilled>(&event)) {
      core_->on_spilled(spilled->id, spilled->place, spilled->error, now_us(), effects_);
    } else if (auto* restored = std::get_if<Restored>(&event)) {
      core_->on_restored(restored->id, restored->ok, restored->error, now_us(), effects_);
    }
    perform();
  }
}

void Node::on_worker_exit(WorkerId worker, const std::string& cause) {
  auto found = ports_.find(worker);
  if (found == ports_.end()) return;
  Port& port = *found->second;
  while (drain_port(worker, port)) {  // its last words come first
  }
  core_->on_worker_lost(worker, port.assignments.unstarted(), cause, now_us(), effects_);
  port_of_slot_[port.index] = {};
  segment_->set_awake(port.index, false);
  release_pages(control_fd_.get(), kSlotsOffset + port.index * kSlotBytes, kSlotBytes);
  free_slots_.push_back(port.index);
  ports_.erase(worker);
  perform();
}

void Node::perform() {
  while (!effects_.empty()) {
    NodeEffects effects = std::exchange(effects_, {});
    for (WorkerId worker : effects.spawned) start_worker(worker);
    for (auto& [worker, run] : effects.runs) {
      auto port = ports_.find(worker);
      if (port == ports_.end()) continue;  // its end is being reported
      TaskId task = run.spec.id;
      port->second->assignments.add(task, encode(DownMessage(std::move(run))));
      push_tasks(*port->second);
    }
    for (auto& [client, message] : effects.replies) deliver(client, std::move(message));
    for (const auto& kill : effects.kills) outside_->kill(kill.worker);
    for (const auto& asked : effects.output_asked) {
      std::string text = outside_->output_of(asked.worker);
      deliver(asked.client, ReplyMessage{asked.request, Code::kOk, std::move(text), 0, {}, {}});
    }
    for (const auto& write : effects.writes) outside_->write(write);
    for (const auto& read : effects.reads) outside_->read(read);
    for (const auto& [place, bytes] : effects.forgotten) outside_->forget(place, bytes);
    for (WorkerId worker : effects.take_back) take_back(worker);
  }
  hand_over_callbacks();
}

void Node::answer(Waiter& waiter, ReplyMessage reply) {
  waiter.reply = std::move(reply);
  if (&waiter != leader_) return waiter.wake.notify_one();
  leader_answered_.store(true);  // by another thread: the leader sleeps at the bell
  segment_->bell.ring(Sleeper::kForeground);
}

void Node::deliver(ClientId client, DownMessage message) {
  if (client == kDriver) {
    auto* reply = std::get_if<ReplyMessage>(&message);
    if (reply == nullptr) return;
    RequestId request = reply->request;
    if (auto waiter = waiters_.find(request); waiter != waiters_.end()) {
      answer(*waiter->second, std::move(*reply));
    } else if (auto async = async_waiters_.find(request); async != async_waiters_.end()) {
      callbacks_.emplace_back(std::move(async->second->callback), std::move(*reply));
      async_waiters_.erase(async);
      if (async_waiters_.empty()) segment_->bell.set_impatient(false);
    }
    return;
  }
  auto port = ports_.find(WorkerId{client.value});
  if (port == ports_.end()) return;
  port->second->replies_waiting.push_back(encode(message));
  push_replies(*port->second);
}

void Node::push_tasks(Port& port) {
  if (port.assignments.push()) port.slot.header->task_bell.ring();
}

void Node::push_replies(Port& port) {
  bool pushed = false;
  auto push_first = [&] {
    size_t before = port.replies_done_bytes;
    bool all = port.slot.replies.push(port.replies_waiting.front(), &port.replies_done_bytes);
    pushed |= all || port.replies_done_bytes > before;
    if (!all) return false;
    port.replies_done_bytes = 0;
    port.replies_waiting.pop_front();
    return true;
  };
  while (!port.replies_waiting.empty()) {
    if (push_first()) continue;
    port.slot.header->replies.starved.store(1, std::memory_order_seq_cst);
    if (!push_first()) break;  // it may have made room before it could see that we wait
  }
  if (pushed) port.slot.header->reply_bell.ring();
}

void Node::take_back(WorkerId worker) {
  auto found = ports_.find(worker);
  std::vector<TaskId> tasks;
  if (found != ports_.end()) {
    tasks = found->second->assignments.take_back();
    push_tasks(*found->second);
  }
  core_->on_taken_back(worker, tasks, now_us(), effects_);
}

void Node::start_worker(WorkerId worker) {
  if (free_slots_.empty()) {
    core_->on_worker_lost(worker, {}, "no place is free for another worker", now_us(), effects_);
    return;
  }
  uint32_t index = free_slots_.back();
  free_slots_.pop_back();
  auto port = std::make_unique<Port>(control_.data(), index);
  new (port->slot.header) SlotHeader();
  port_of_slot_[index] = worker;
  ports_.emplace(worker, std::move(port));
  Status spawned = outside_->spawn(worker, index);
  if (!spawned.is_ok()) on_worker_exit(worker, spawned.message());
}

}  // namespace mobula
