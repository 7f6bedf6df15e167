// Assignments from the ring to the runner, outcomes back; streams wait for their readers.
#include "worker/worker.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "engine/attached/ring_link.h"

namespace mobula {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kQuietMax =
    std::chrono::microseconds(300);  // so long may a finished task go untold while others run

class RingWorker : public Worker {
 public:
  explicit RingWorker(const WorkerBoot& boot) : id_(boot.id) {}

  Status open(const WorkerBoot& boot) {
    ASSIGN_OR_RETURN(link_, RingLink::open(boot.control_fd, boot.arena_fd, boot.slot));
    const SegmentHeader& segment = link_->segment();
    node_id_.assign(segment.node_id, sizeof segment.node_id);
    job_id_.assign(segment.job_id, sizeof segment.job_id);
    job_config_ = link_->job_config();
    client_ = std::make_unique<Client>(link_, ClientId{boot.id.value}, segment.session);
    link_->start([this](DownMessage message) { on_message(message); });
    return Status::ok();
  }

  Engine& engine() override { return *client_; }
  WorkerId id() const override { return id_; }
  const std::string& node_id() const override { return node_id_; }
  const std::string& job_id() const override { return job_id_; }
  const std::string& job_config() const override { return job_config_; }
  std::span<uint8_t> metric_memory() override { return link_->metric_memory(); }

  int run(TaskRunner& runner) override;
  void finish(TaskId task, Outcome outcome) override;
  Status stream_item(TaskId task, uint32_t index, Value item) override;

 private:
  struct Running {
    uint32_t attempt = 0;
    Clock::time_point since;
    int32_t ahead_max = -1;  // items a stream may be ahead of its reader
    uint32_t consumed = 0;
    bool dropped = false;
  };

  void on_message(DownMessage& message);
  Assignment to_assignment(RunMessage message);

  WorkerId id_;
  std::shared_ptr<RingLink> link_;
  std::unique_ptr<Client> client_;
  std::string node_id_, job_id_, job_config_;
  std::atomic<bool> exit_ = false;
  std::mutex mutex_;  // guards the three below
  std::condition_variable progress_;
  std::unordered_map<TaskId, Running> running_;
  TaskRunner* runner_ = nullptr;
  std::thread::id main_thread_;  // which runs run()
  Clock::time_point told_ = Clock::now();
};

Assignment RingWorker::to_assignment(RunMessage message) {
  Assignment assignment;
  TaskSpec& spec = message.spec;
  assignment.task = spec.id;
  assignment.attempt = message.attempt;
  assignment.function = spec.function;
  assignment.language = spec.language;
  assignment.definition = std::move(message.definition);
  assignment.name = std::move(spec.name);
  assignment.method = std::move(spec.method);
  assignment.args = std::move(spec.args);
  assignment.retry_on = std::move(spec.retry_on);
  assignment.runtime_env = std::move(spec.runtime_env);
  assignment.group = std::move(spec.group);
  for (size_t i = 0; i < message.values.size(); ++i) {
    assignment.refs.push_back(to_payload(link_, message.value_ids[i], message.values[i]));
  }
  assignment.returns = spec.returns;
  assignment.backpressure_items = spec.backpressure_items;
  assignment.retry_exceptions = spec.retry_exceptions;
  assignment.creates_actor = message.creates_actor;
  assignment.actor_restarted = message.actor_restarted;
  assignment.actor = spec.actor;
  assignment.actor_name = std::move(message.actor_name);
  assignment.space = std::move(message.space);
  assignment.max_concurrency = message.max_concurrency;
  assignment.resources = std::move(spec.resources);
  assignment.gpu_ids = std::move(message.gpu_ids);
  assignment.placement_group = spec.placement_group;
  assignment.captures = spec.captures == 1;
  return assignment;
}

int RingWorker::run(TaskRunner& runner) {
  {
    std::lock_guard lock(mutex_);
    runner_ = &runner;
    main_thread_ = std::this_thread::get_id();
  }
  while (!exit_.load()) {
    std::optional<DownMessage> message = link_->next_assignment();
    if (!message) {
      link_->wait_for_assignment(exit_);
      continue;
    }
    auto* run = std::get_if<RunMessage>(&*message);
    if (run == nullptr) continue;
    {
      std::lock_guard lock(mutex_);
      running_[run->spec.id] = {run->attempt, Clock::now(), run->spec.backpressure_items, 0, false};
    }
    runner.run(to_assignment(std::move(*run)));
  }
  runner.drain();
  std::lock_guard lock(mutex_);
  runner_ = nullptr;
  link_->flush();
  return 0;
}

void RingWorker::finish(TaskId task, Outcome outcome) {
  DoneMessage done;
  done.task = task;
  done.retriable = outcome.retriable;
  done.exit_after = outcome.exit_after;
  done.exit_reason = std::move(outcome.exit_reason);
  for (Value& value : outcome.values) done.values.push_back(to_located(std::move(value)));
  auto now = Clock::now();
  bool urgent = false;
  {
    std::lock_guard lock(mutex_);
    auto running = running_.find(task);
    if (running == running_.end()) return;
    done.attempt = running->second.attempt;
    done.run_ns = static_cast<uint64_t>((now - running->second.since).count());
    done.begun_ns = static_cast<uint64_t>(running->second.since.time_since_epoch().count());
    running_.erase(running);
    urgent = !link_->has_assignments() || now - told_ > kQuietMax || outcome.exit_after;
    if (urgent) told_ = now;
  }
  if (urgent && !outcome.exit_after && std::this_thread::get_id() == main_thread_)
    link_->send_result(std::move(done));
  else
    link_->send(std::move(done), urgent);
  if (!outcome.exit_after) return;
  exit_.store(true);
  link_->wake_main();
}

Status RingWorker::stream_item(TaskId task, uint32_t index, Value item) {
  ItemMessage message;
  message.task = task;
  message.index = index;
  message.value = to_located(std::move(item));
  std::unique_lock lock(mutex_);
  auto running = running_.find(task);
  if (running == running_.end()) return {Code::kInvalid, "task " + to_hex(task.value) + " does not run here"};
  message.attempt = running->second.attempt;
  lock.unlock();
  link_->send(std::move(message), true);
  lock.lock();
  auto may_go_on = [&] {
    Running& stream = running_.at(task);
    if (stream.dropped || stream.ahead_max < 0) return true;
    return static_cast<int64_t>(index) + 1 - stream.consumed < std::max(stream.ahead_max, 1);
  };
  progress_.wait(lock, may_go_on);
  if (running_.at(task).dropped) return {Code::kCancelled, "nobody reads this stream any more"};
  return Status::ok();
}

void RingWorker::on_message(DownMessage& message) {
  if (auto* consumed = std::get_if<ConsumedMessage>(&message)) {
    std::lock_guard lock(mutex_);
    auto running = running_.find(consumed->task);
    if (running == running_.end()) return;
    running->second.consumed = std::max(running->second.consumed, consumed->index);
    running->second.dropped |= consumed->dropped;
    progress_.notify_all();
  } else if (auto* cancel = std::get_if<CancelTaskMessage>(&message)) {
    std::unique_lock lock(mutex_);
    if (running_.contains(cancel->task)) {
      running_[cancel->task].dropped = true;  // a stream that waits for its reader ends
      progress_.notify_all();
    }
    TaskRunner* runner = runner_;
    lock.unlock();
    if (runner != nullptr) runner->cancel(cancel->task);
  } else if (std::holds_alternative<ExitMessage>(message)) {
    exit_.store(true);
    link_->wake_main();
  }
}

}  // namespace

Result<std::unique_ptr<Worker>> open_worker(const WorkerBoot& boot) {
  auto worker = std::make_unique<RingWorker>(boot);
  TRY(worker->open(boot));
  return std::unique_ptr<Worker>(std::move(worker));
}

}  // namespace mobula
