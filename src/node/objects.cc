// References of clients, and the requests that wait for objects.
#include <algorithm>

#include "base/check.h"
#include "node/node_core.h"

namespace mobula {
namespace {

// A worker that waits for an actor, or for the reader of its stream, keeps its CPU for so long.
constexpr uint64_t kLendAfterUs = 20'000;

}  // namespace

void NodeCore::reply(ClientId client, ReplyMessage message) {
  if (clients_.contains(client)) out_->replies.emplace_back(client, std::move(message));
}

void NodeCore::hold_for(ClientId client, ObjectId id) { clients_.at(client).holds[id]++; }

void NodeCore::on(ClientId from, HoldMessage& message) {
  store_.hold(message.id, effects_);
  hold_for(from, message.id);
}

void NodeCore::on(ClientId from, ReleaseMessage& message) {
  auto& holds = clients_.at(from).holds;
  for (ObjectId id : message.ids) {
    auto held = holds.find(id);
    if (held == holds.end()) continue;
    if (--held->second == 0) holds.erase(held);
    store_.release(id, effects_);
  }
}

void NodeCore::on(ClientId from, UnpinMessage& message) {
  auto& pins = clients_.at(from).pins;
  for (ObjectId id : message.ids) {
    auto pin = pins.find(id);
    if (pin == pins.end()) continue;
    if (--pin->second == 0) pins.erase(pin);
    store_.unpin(id, effects_);
  }
}

void NodeCore::on(ClientId from, PutMessage& message) {
  store_.create(message.id, 1);
  hold_for(from, message.id);
  store_.seal(message.id, std::move(message.value), effects_);
}

void NodeCore::on(ClientId from, AllocateMessage& message) {
  store_.allocate({.client = from, .request = message.request, .restore = {}, .bytes = message.bytes},
                  effects_);
}

void NodeCore::on(ClientId, AbandonMessage& message) { store_.abandon(message.offset, effects_); }

void NodeCore::on(ClientId from, GetMessage& message) {
  uint64_t key = key_of(from, message.request);
  Request& request = requests_[key];
  request = {};
  request.kind = message.interest == Interest::kValues ? Request::Kind::kValues : Request::Kind::kReady;
  request.client = from;
  request.number = message.request;
  request.ids = std::move(message.ids);
  for (size_t i = 0; i < request.ids.size(); ++i) {
    const ObjectEntry* entry = store_.find(request.ids[i]);
    if (entry == nullptr || entry->is_error()) return answer_error(key, request, i);
  }
  for (ObjectId id : request.ids) {
    if (store_.find(id)->is_ready()) continue;
    store_.add_waiter(id, {Waiter::Kind::kRequest, key});
    ++request.missing;
  }
  if (request.missing == 0) stage_request(key, request);
  block_if_waiting(key);
}

void NodeCore::stage_request(uint64_t key, Request& request) {
  if (request.kind == Request::Kind::kReady) return answer_values(key, request);
  request.staging = true;
  for (size_t i = 0; i < request.ids.size();
       ++i) {  // what is there first, so that it does not go to disk now
    const ObjectEntry* entry = store_.find(request.ids[i]);
    if (entry == nullptr || entry->is_error()) return answer_error(key, request, i);
    if (entry->value.in_arena && store_.pin(request.ids[i])) request.pinned.push_back(request.ids[i]);
  }
  for (ObjectId id : request.ids) {
    const ObjectEntry* entry = store_.find(id);
    if (entry == nullptr || entry->place != ObjectEntry::Place::kDisk) continue;
    store_.add_waiter(id, {Waiter::Kind::kRequest, key});
    ++request.missing;
    store_.restore(id, effects_);
  }
  if (request.missing == 0) answer_values(key, request);
}

void NodeCore::on_request_woken(uint64_t key, ObjectId id, std::string no_room) {
  auto found = requests_.find(key);
  if (found == requests_.end()) return;
  Request& request = found->second;
  if (request.kind == Request::Kind::kWait) {
    if (--request.missing == 0) answer_wait(key, request);
    return;
  }
  auto position =
      static_cast<size_t>(std::find(request.ids.begin(), request.ids.end(), id) - request.ids.begin());
  if (!no_room.empty())
    return answer_with(key, request, position, located_bytes(PayloadKind::kStoreFull, std::move(no_room)));
  const ObjectEntry* entry = store_.find(id);
  if (entry == nullptr || entry->is_error()) return answer_error(key, request, position);
  if (request.staging) {
    if (store_.pin(id)) {
      request.pinned.push_back(id);
    } else {  // spilled again before we looked
      store_.add_waiter(id, {Waiter::Kind::kRequest, key});
      store_.restore(id, effects_);
      return;
    }
  }
  if (--request.missing > 0) return;
  if (request.staging)
    answer_values(key, request);
  else
    stage_request(key, request);
}

void NodeCore::answer_values(uint64_t key, Request& request) {
  ReplyMessage message{
      .request = request.number, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  if (request.kind == Request::Kind::kValues) {
    message.values.reserve(request.ids.size());
    for (size_t i = 0; i < request.ids.size(); ++i) {
      const ObjectEntry* entry = store_.find(request.ids[i]);
      if (entry == nullptr) return answer_error(key, request, i);  // released while the others came
      Located value = entry->value;
      value.contained.clear();
      message.values.push_back(std::move(value));
    }
    auto& pins = clients_.at(request.client).pins;
    for (ObjectId id : std::exchange(request.pinned, {})) pins[id]++;  // the client's views take them over
  }
  finish_request(key, request, std::move(message));
}

void NodeCore::answer_error(uint64_t key, Request& request, size_t position) {
  const ObjectEntry* entry = store_.find(request.ids[position]);
  Located error =
      entry != nullptr
          ? entry->value
          : located_bytes(PayloadKind::kObjectLost,
                          "object " + to_hex(request.ids[position]) +
                              " is not known to this node: it was freed, or belongs to another session");
  error.contained.clear();
  if (error.in_arena) {
    if (store_.pin(request.ids[position]))
      clients_.at(request.client).pins[request.ids[position]]++;
    else
      error = located_bytes(PayloadKind::kObjectLost,
                            "the error of object " + to_hex(request.ids[position]) + " is on disk");
  }
  answer_with(key, request, position, std::move(error));
}

void NodeCore::answer_with(uint64_t key, Request& request, size_t position, Located error) {
  for (ObjectId id : std::exchange(request.pinned, {})) store_.unpin(id, effects_);
  for (ObjectId id : request.ids) store_.remove_waiter(id, {Waiter::Kind::kRequest, key}, effects_);
  ReplyMessage message{
      .request = request.number, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  message.positions.push_back(static_cast<uint32_t>(position));
  if (request.kind == Request::Kind::kValues) message.values.push_back(std::move(error));
  finish_request(key, request, std::move(message));
}

void NodeCore::finish_request(uint64_t key, Request& request, ReplyMessage message) {
  return_cpu(request.lending);
  ClientId client = request.client;
  requests_.erase(key);
  reply(client, std::move(message));
}

void NodeCore::block_if_waiting(uint64_t key) {
  auto found = requests_.find(key);
  if (found == requests_.end() || found->second.client == kDriver) return;
  withdraw_tasks_of(found->second.client);
  if (found->second.kind == Request::Kind::kReady) return;
  const WorkerState* state = sched_.find(WorkerId{found->second.client.value});
  if (state == nullptr || state->inflight.empty())
    return;  // tasks and constructors lend, living actors do not
  // Waiting for tasks needs a CPU for them at once. An actor has its own process and answers soon, as a rule:
  // a worker that lent its CPU out for every short call would let in more tasks than there are CPUs.
  bool needs_cpu = std::any_of(found->second.ids.begin(), found->second.ids.end(), [&](ObjectId id) {
    const TaskRecord* producer = tasks_.find(id.task);
    return producer != nullptr && producer->spec.actor.is_nil();
  });
  Lending& lending = found->second.lending;
  lend_later(WorkerId{found->second.client.value}, lending);
  if (needs_cpu) lend_cpu(lending);
}

void NodeCore::lend_later(WorkerId worker, Lending& lending) {
  lending = {worker, now_us_ + kLendAfterUs, 0};
  ++lends_due_;
}

void NodeCore::lend_cpu(Lending& lending) {
  if (std::exchange(lending.due_us, 0) != 0) --lends_due_;
  SchedEffects sched;
  lending.lease = sched_.on_blocked(lending.worker, sched);
  out_->take_back.insert(out_->take_back.end(), sched.take_back.begin(), sched.take_back.end());
}

void NodeCore::lend_due() {
  if (lends_due_ == 0) return;
  auto is_due = [&](const Lending& lending) { return lending.due_us != 0 && lending.due_us <= now_us_; };
  for (auto& [key, request] : requests_) {
    if (is_due(request.lending)) lend_cpu(request.lending);
  }
  for (auto& [id, stream] : tasks_.all_streams()) {
    if (is_due(stream.lending)) lend_cpu(stream.lending);
  }
}

void NodeCore::return_cpu(Lending& lending) {
  if (lending.due_us != 0) --lends_due_;
  if (lending.lease != 0) sched_.on_unblocked(lending.worker, lending.lease);
  lending = {};
}

/// What waits for others does not keep them from the room that they need: its arguments count no more.
void NodeCore::withdraw_tasks_of(ClientId client) {
  if (TaskRecord* task = tasks_.find(running_on(client))) withdraw(*task);
  ActorRecord* actor = actors_.find(clients_.at(client).actor);
  if (actor == nullptr || actor->worker != WorkerId{client.value}) return;
  for (TaskId call : actor->sent) withdraw(*tasks_.find(call));
}

void NodeCore::on(ClientId from, WaitMessage& message) {
  uint64_t key = key_of(from, message.request);
  Request& request = requests_[key];
  request = {};
  request.kind = Request::Kind::kWait;
  request.client = from;
  request.number = message.request;
  request.ids = std::move(message.ids);
  request.count = message.count;
  size_t ready = 0;
  for (ObjectId id : request.ids) {
    const ObjectEntry* entry = store_.find(id);
    ready += entry == nullptr || entry->is_ready();
  }
  if (message.poll || ready >= request.count) return answer_wait(key, request);
  request.missing = request.count - ready;
  for (ObjectId id : request.ids) {
    const ObjectEntry* entry = store_.find(id);
    if (entry != nullptr && !entry->is_ready()) store_.add_waiter(id, {Waiter::Kind::kRequest, key});
  }
  block_if_waiting(key);
}

void NodeCore::answer_wait(uint64_t key, Request& request) {
  ReplyMessage message{
      .request = request.number, .code = Code::kOk, .text = {}, .number = 0, .positions = {}, .values = {}};
  for (size_t i = 0; i < request.ids.size(); ++i) {
    const ObjectEntry* entry = store_.find(request.ids[i]);
    bool ready = entry == nullptr || entry->is_ready();
    if (!ready) store_.remove_waiter(request.ids[i], {Waiter::Kind::kRequest, key}, effects_);
    if (ready && message.positions.size() < request.count)
      message.positions.push_back(static_cast<uint32_t>(i));
  }
  finish_request(key, request, std::move(message));
}

void NodeCore::on(ClientId from, ForgetMessage& message) {
  ReplyMessage answer{.request = message.request,
                      .code = Code::kTimeout,
                      .text = "not there in time",
                      .number = 0,
                      .positions = {},
                      .values = {}};
  if (store_.cancel_allocation(from, message.request, effects_)) return reply(from, std::move(answer));
  uint64_t key = key_of(from, message.request);
  auto found = requests_.find(key);
  if (found == requests_.end()) return;  // its answer is on its way
  Request& request = found->second;
  for (ObjectId id : request.ids) store_.remove_waiter(id, {Waiter::Kind::kRequest, key}, effects_);
  for (ObjectId id : std::exchange(request.pinned, {})) store_.unpin(id, effects_);
  finish_request(key, request, std::move(answer));
}

}  // namespace mobula
