// The machine: performs what the node wants done, some time later, and sometimes not at all.
#include "world.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "program.h"
#include "worker.h"

namespace mobula::sim {

const World* running_world = nullptr;

namespace {

constexpr size_t kLinesMax = 400;
constexpr uint64_t kStepsMax = 400'000;

NodeCoreOptions options_of(const Shape& shape) {
  NodeCoreOptions options;
  options.resources = {
      {"CPU", shape.cpus * kResourceUnit}, {"special", 1 * kResourceUnit}, {"slot", 3 * kResourceUnit}};
  options.arena_bytes = shape.arena_pages * kPage;
  options.session = kSession;
  options.node_id = "simulated";
  options.workers_max = shape.workers_max;
  options.idle_workers_max = shape.idle_workers_max;
  return options;
}

}  // namespace

Shape shape_of(uint64_t seed) {
  Random random(seed);
  Shape shape;
  shape.seed = seed;
  shape.cpus = static_cast<int64_t>(random.between(1, 4));
  shape.tight = random.chance(0.6);
  shape.arena_pages = shape.tight ? random.between(6, 60) : random.between(40, 400);
  if (random.chance(0.5)) shape.workers_max = random.between(1, 6);
  shape.idle_workers_max = random.between(1, 4);
  shape.delay_us_max = random.chance(0.3) ? 0 : random.between(1, 3'000);
  shape.disk_us_max = random.between(1, 20'000);
  shape.threads = static_cast<int>(random.between(1, 3));
  shape.actions = static_cast<int>(random.chance(0.2) ? random.between(30, 80) : random.between(4, 25));
  shape.tasks_max = static_cast<int>(random.chance(0.2) ? random.between(100, 300) : random.between(5, 100));
  shape.big = random.chance(0.3) ? 0 : 0.4;
  if (Random(seed ^ 0x6702).chance(0.4)) shape.groups = 0.2;
  if (random.chance(0.25)) return shape;  // nothing goes wrong
  if (random.chance(0.5)) shape.crash = 0.05;
  if (random.chance(0.5)) shape.kill = 0.3;
  if (random.chance(0.3)) shape.disk_fault = 0.2;
  if (random.chance(0.2)) shape.failed_start = 0.2;
  if (random.chance(0.5)) shape.cancel = 0.5;
  return shape;
}

World::World(Shape shape)
    : shape_(shape), random_(shape.seed ^ 0xABCDEF), core_(options_of(shape)), pages_(shape.arena_pages) {
  running_world = this;
  driver_ = std::make_unique<Client>(*this, kDriver);
}

World::~World() { running_world = nullptr; }

// ---- facts ------------------------------------------------------------------------------------------

void World::on_message(ClientId from, UpMessage message) {
  trace("client " + std::to_string(from.value) + " sends message " + std::to_string(message.index()));
  core_.on_message(from, std::move(message), timeline_.now_us(), effects_);
  settle();
}

void World::on_worker_end(WorkerId id, const std::string& cause) {
  std::vector<TaskId> unstarted;
  auto worker = workers_.find(id);
  if (worker != workers_.end()) {
    for (const RunMessage& run : worker->second->ring()) {
      TaskFacts& task = tasks.at(run.spec.id);
      if (!random_.chance(0.1)) {
        unstarted.push_back(run.spec.id);
        continue;
      }
      ++task.crashes;  // a message in pieces: nobody knows whether it has begun
      if (!task.actor.is_nil()) actors.at(task.actor).crashed = true;
    }
  }
  trace("worker " + std::to_string(id.value) + " is lost, " + std::to_string(unstarted.size()) +
        " not begun");
  core_.on_worker_lost(id, unstarted, cause, timeline_.now_us(), effects_);
  settle();
}

void World::kill(WorkerId id, const std::string& cause) {
  auto found = workers_.find(id);
  if (found == workers_.end() || !found->second->alive) return;
  Worker& worker = *found->second;
  trace("worker " + std::to_string(id.value) + " dies: " + cause);
  ++counts["ends: " + (cause.starts_with("its placement group") ? "its placement group was removed" : cause)];
  for (const auto& execution : worker.executions()) {
    if (!execution->done) ++tasks.at(execution->task()).crashes;
  }
  if (!worker.actor().is_nil() && !worker.is_told_to_end()) actors.at(worker.actor()).crashed = true;
  worker.end([this, id, cause] { on_worker_end(id, cause); });
}

void World::settle() {
  core_.check();
  perform();
  core_.check();
  plan_tick();
}

void World::perform() {
  if (performing_) return;
  performing_ = true;
  while (!effects_.empty()) {
    NodeEffects effects = std::exchange(effects_, {});
    for (WorkerId worker : effects.spawned) start_worker(worker);
    for (auto& [id, run] : effects.runs) {
      auto worker = workers_.find(id);
      expect(worker != workers_.end(), "a task is given to a worker that was never started");
      worker->second->give(std::move(run));
    }
    for (auto& [client, message] : effects.replies) deliver(client, std::move(message));
    for (const auto& order : effects.kills) {
      timeline_.after(delay(),
                      [this, worker = order.worker, reason = order.reason] { kill(worker, reason); });
    }
    for (const auto& one : effects.writes) write(one);
    for (const auto& one : effects.reads) read(one);
    for (const auto& [place, bytes] : effects.forgotten) {
      expect(disk_.erase(place.offset) == 1, "what is forgotten on disk was there");
    }
    for (WorkerId worker : effects.take_back) take_back(worker);
  }
  performing_ = false;
}

void World::start_worker(WorkerId id) {
  if (random_.chance(shape_.failed_start)) {
    any_start_failed = true;
    timeline_.after(delay(), [this, id] { on_worker_end(id, "it could not start"); });
    return;
  }
  timeline_.after(delay() + random_.below(8'000), [this, id] {
    workers_.emplace(id, std::make_unique<Worker>(*this, id));
    trace("worker " + std::to_string(id.value) + " is ready");
    core_.on_worker_started(id, timeline_.now_us(), effects_);
    settle();
  });
}

void World::deliver(ClientId to, DownMessage message) {
  down_[to].send(timeline_, delay(), [this, to, message = std::move(message)]() mutable {
    if (to == kDriver) return driver_->on_message(std::move(message));
    auto worker = workers_.find(WorkerId{to.value});
    if (worker != workers_.end() && worker->second->alive) worker->second->on_message(std::move(message));
  });
}

void World::take_back(WorkerId id) {
  auto worker = workers_.find(id);
  std::vector<TaskId> taken;
  if (worker != workers_.end()) taken = worker->second->take_back();
  counts["tasks taken back"] += taken.size();
  trace("node takes back " + std::to_string(taken.size()) + " from worker " + std::to_string(id.value));
  core_.on_taken_back(id, taken, timeline_.now_us(), effects_);
  core_.check();
}

void World::plan_tick() {
  uint64_t after = core_.tick_after_us();
  if (after == 0) return;
  uint64_t at = timeline_.now_us() + after;
  if (tick_at_ > timeline_.now_us() && tick_at_ <= at) return;
  tick_at_ = at;
  timeline_.at(at, [this] {
    core_.on_tick(timeline_.now_us(), effects_);
    settle();
  });
}

void World::plan_kill() {
  timeline_.after(random_.between(1'000, 60'000), [this] {
    std::vector<WorkerId> living;
    for (auto& [id, worker] : workers_) {
      if (worker->alive) living.push_back(id);
    }
    if (closing_ || driver_->is_idle()) return;
    if (!living.empty() && random_.chance(shape_.kill)) kill(random_.pick(living), "killed from outside");
    plan_kill();
  });
}

// ---- the disk and the arena -------------------------------------------------------------------------

void World::write(const StoreEffects::Write& order) {
  uint64_t tag = read_pages(order.offset, order.bytes);
  timeline_.after(random_.below(shape_.disk_us_max), [this, order, tag] {
    expect(read_pages(order.offset, order.bytes) == tag, "a value changed while it was written to disk");
    if (random_.chance(shape_.disk_fault)) {
      any_disk_fault = true;
      core_.on_spilled(order.id, std::nullopt, "the simulated disk is full", timeline_.now_us(), effects_);
    } else {
      ++counts["spills"];
      disk_[++next_place_] = tag;
      core_.on_spilled(order.id, DiskPlace{1, next_place_}, "", timeline_.now_us(), effects_);
    }
    settle();
  });
}

void World::read(const StoreEffects::Read& order) {
  timeline_.after(random_.below(shape_.disk_us_max), [this, order] {
    auto found = disk_.find(order.from.offset);
    expect(found != disk_.end(), "what is read from disk is there");
    bool ok = !random_.chance(shape_.disk_fault / 2);
    any_disk_fault |= !ok;
    ++counts["restores"];
    write_pages(order.offset, order.bytes, found->second);
    core_.on_restored(order.id, ok, ok ? "" : "the simulated disk is broken", timeline_.now_us(), effects_);
    settle();
  });
}

uint64_t World::add_content(ObjectId id, std::vector<ObjectId> contained) {
  contents_.push_back({id, std::move(contained)});
  return contents_.size();
}

const Content& World::content(uint64_t tag) {
  expect(tag > 0 && tag <= contents_.size(), "a view shows memory that nobody wrote");
  return contents_[tag - 1];
}

void World::write_pages(uint64_t offset, uint64_t bytes, uint64_t tag) {
  for (uint64_t page = offset / kPage; page * kPage < offset + bytes; ++page) pages_.at(page) = tag;
}

uint64_t World::read_pages(uint64_t offset, uint64_t bytes) {
  uint64_t tag = pages_.at(offset / kPage);
  for (uint64_t page = offset / kPage; page * kPage < offset + bytes; ++page) {
    expect(pages_.at(page) == tag, "two values lie in the same place");
  }
  return tag;
}

// ---- the whole --------------------------------------------------------------------------------------

void World::run() {
  for (int i = 0; i < shape_.threads; ++i) driver_->start(driver_thread(*driver_, i));
  if (shape_.kill > 0) plan_kill();
  while (timeline_.step()) expect(timeline_.steps() < kStepsMax, "it does not come to rest");
  expect(driver_->is_idle(), "the driver waits for ever");
  closing_ = true;
  driver_->start(last_thread(*driver_));
  while (timeline_.step()) expect(timeline_.steps() < 2 * kStepsMax, "it does not come to rest at the end");
  expect(driver_->is_idle(), "the driver's last thread waits for ever");
  expect_empty();
}

void World::expect_empty() {
  for (const auto& [id, worker] : workers_) {
    if (!worker->alive) continue;
    expect(worker->is_idle() && worker->ring().empty(),
           "worker " + std::to_string(id.value) + " is still at work");
  }
  auto none = [&](uint64_t count, const char* what) {
    expect(count == 0, std::to_string(count) + " " + what + " are left at the end");
  };
  none(core_.tasks().size(), "tasks");
  none(core_.tasks().streams(), "streams");
  none(core_.requests(), "requests");
  none(core_.actors().living(), "living actors");
  none(core_.sched().queued(), "queued tasks");
  for (const auto& [id, group] : core_.sched().groups().all())
    expect(group.state == GroupState::kRemoved && group.bundles.empty(),
           "a placement group is left at the end");
  none(core_.store().size(), "objects");
  none(core_.store().arena().used_bytes(), "bytes of the arena");
  none(disk_.size(), "values on disk");
  expect(core_.sched().ledger().available() == core_.sched().ledger().total(),
         "resources are missing at the end");
}

bool World::is_explained(ObjectId id, PayloadKind kind) const {
  std::set<TaskId> seen;
  return is_explained(id, kind, seen);
}

bool World::is_explained(ObjectId id, PayloadKind kind, std::set<TaskId>& seen) const {
  if (kind == PayloadKind::kStoreFull) return shape_.tight || any_disk_fault;
  if (kind == PayloadKind::kObjectLost) return any_disk_fault;
  bool of_group = kind == PayloadKind::kGroupRemoved || kind == PayloadKind::kActorGroupRemoved ||
                  kind == PayloadKind::kUnschedulable || kind == PayloadKind::kActorUnschedulable;
  if (of_group) return any_group;
  auto found = tasks.find(id.task);
  if (found == tasks.end() || !seen.insert(id.task).second) return false;
  const TaskFacts& task = found->second;
  const ActorFacts* actor = task.actor.is_nil() ? nullptr : &actors.at(task.actor);
  bool explained = false;
  if (kind == PayloadKind::kTaskError) explained = task.raised;
  if (kind == PayloadKind::kWorkerCrashed) {
    bool exhausted = task.max_retries >= 0 && task.crashes > static_cast<uint32_t>(task.max_retries);
    explained = any_start_failed || (actor == nullptr && exhausted);
  }
  if (kind == PayloadKind::kActorDied)
    explained = actor != nullptr && (actor->ended || actor->crashed || any_group);
  if (kind == PayloadKind::kActorUnavailable) explained = actor != nullptr && actor->crashed;
  if (kind == PayloadKind::kCancelled) explained = any_cancelled || task.dropped;
  for (ObjectId ref : task.refs) explained = explained || is_explained(ref, kind, seen);
  if (actor == nullptr || kind != PayloadKind::kActorDied) return explained;
  for (ObjectId ref : tasks.at(TaskId{task.actor.value}).refs) {  // its constructor could not run
    for (auto one = PayloadKind::kTaskError; one < PayloadKind::kStreamEnd; one = PayloadKind(int(one) + 1)) {
      explained = explained || is_explained(ref, one);
    }
  }
  return explained || any_start_failed;
}

void World::trace(const std::string& line) {
  std::string text = std::to_string(timeline_.now_us()) + " " + line;
  if (verbose) std::printf("%s\n", text.c_str());
  if (lines_.size() >= kLinesMax) lines_.erase(lines_.begin(), lines_.begin() + kLinesMax / 2);
  lines_.push_back(std::move(text));
}

void World::dump_node() {
  auto name = [](uint64_t id) {
    return std::to_string(id >> kClientShift) + "." + std::to_string(id & 0xFFFFFF);
  };
  for (const auto& [id, task] : core_.tasks().all()) {
    std::fprintf(stderr,
                 "  task %s: state %d, missing %u, worker %llu, actor %s, attempt %u, cancelled %d, refs",
                 name(id.value).c_str(), static_cast<int>(task.state), task.missing,
                 static_cast<unsigned long long>(task.worker.value), name(task.spec.actor.value).c_str(),
                 task.attempt, task.cancelled);
    for (ObjectId ref : task.spec.refs)
      std::fprintf(stderr, " %s/%u", name(ref.task.value).c_str(), ref.index);
    std::fprintf(stderr, "\n");
  }
  for (const auto& [id, actor] : core_.actors().all()) {
    std::fprintf(stderr, "  actor %s: state %d, worker %llu, pending %zu, sent %zu, unreferenced %d\n",
                 name(id.value).c_str(), static_cast<int>(actor.state),
                 static_cast<unsigned long long>(actor.worker.value), actor.pending(), actor.sent.size(),
                 actor.unreferenced);
  }
  for (const auto& [id, worker] : core_.sched().workers()) {
    std::fprintf(stderr, "  worker %llu: phase %d, in flight %zu, blocked %u, take back %d\n",
                 static_cast<unsigned long long>(id.value), static_cast<int>(worker.phase),
                 worker.inflight.size(), worker.blocked, worker.expects_take_back);
  }
  for (const auto& [id, entry] : core_.store().entries()) {
    std::fprintf(stderr,
                 "  object %s/%u: place %d, holds %u, pins %u, waiters %zu, spilling %d, restoring %d\n",
                 name(id.task.value).c_str(), id.index, static_cast<int>(entry.place), entry.holds,
                 entry.pins, entry.waiters.size(), entry.spilling, entry.restoring);
  }
  for (const auto& [id, worker] : workers_) {
    for (const auto& execution : worker->executions()) {
      std::fprintf(stderr, "  worker %llu alive %d runs %s, waits %zu, paused %d\n",
                   static_cast<unsigned long long>(id.value), worker->alive,
                   name(execution->task().value).c_str(), worker->waiting(),
                   static_cast<bool>(execution->paused));
    }
  }
  for (const auto& [name, amount] : core_.sched().ledger().available())
    std::fprintf(stderr, "  available %s %lld\n", name.c_str(), static_cast<long long>(amount));
  std::fprintf(stderr, "  arena %llu of %llu, waits for room %d\n",
               static_cast<unsigned long long>(core_.store().arena().used_bytes()),
               static_cast<unsigned long long>(core_.store().arena().bytes()),
               core_.store().is_waiting_for_room());
}

void World::dump() const {
  size_t from = lines_.size() > 60 ? lines_.size() - 60 : 0;
  for (size_t i = from; i < lines_.size(); ++i) std::fprintf(stderr, "  %s\n", lines_[i].c_str());
}

void World::fail(const std::string& what) {
  dump_node();
  std::fprintf(stderr, "simulation: %s\n", what.c_str());
  std::abort();
}

}  // namespace mobula::sim
