// References, questions and the fibers that ask them.
#include "client.h"

#include <algorithm>

namespace mobula::sim {

// ---- references -------------------------------------------------------------------------------------

void Client::count_fresh(ObjectId id) {
  if (references_[id]++ > 0) send(ReleaseMessage{{id}});
}

void Client::hold(ObjectId id) {
  if (references_[id]++ == 0) send(HoldMessage{id});
}

void Client::release(ObjectId id) {
  auto found = references_.find(id);
  world_.expect(found != references_.end(), "the simulated program releases what it does not hold");
  if (--found->second > 0) return;
  references_.erase(found);
  send(ReleaseMessage{{id}});
}

Seen Client::look_at(ObjectId id, const Located& value) {
  Seen seen{id, value.kind, 0, value.in_arena, value.offset, value.size};
  ++world_.counts["values of kind " + std::to_string(static_cast<int>(value.kind))];
  if (value.kind != PayloadKind::kValue) {
    world_.expect(world_.is_explained(id, value.kind),
                  "object " + to_hex(id) + " is an error of kind " +
                      std::to_string(static_cast<int>(value.kind)) +
                      " without a reason: " + (value.bytes ? *value.bytes : ""));
    return seen;
  }
  seen.tag = value.in_arena ? world_.read_pages(value.offset, value.size) : std::stoull(*value.bytes);
  world_.expect(world_.content(seen.tag).id == id,
                "object " + to_hex(id) + " shows the value of " + to_hex(world_.content(seen.tag).id));
  return seen;
}

void Client::unpin(const Seen& seen) {
  if (!seen.pinned) return;
  if (seen.kind == PayloadKind::kValue) {
    world_.expect(world_.read_pages(seen.offset, seen.bytes) == seen.tag,
                  "the value of " + to_hex(seen.id) + " changed under a view of it");
  }
  send(UnpinMessage{{seen.id}});
}

// ---- questions --------------------------------------------------------------------------------------

void Client::send(UpMessage message) {
  if (!alive) return;
  up_.send(world_.timeline(), world_.delay(),
           [world = &world_, id = id_, message = std::move(message)]() mutable {
             world->on_message(id, std::move(message));
           });
}

void Client::define(FunctionId function) {
  if (defined_.insert(function).second) send(DefineMessage{function, Language::kCpp, to_hex(function.low)});
}

void Client::post(Answer& answer, std::coroutine_handle<> handle) {
  waiting_[answer.request] = {handle, &answer.reply};
  send(std::move(answer.message));
  if (answer.timeout_us == 0) return;
  world_.timeline().after(answer.timeout_us, [this, alive = std::weak_ptr(life_), request = answer.request] {
    if (!alive.expired() && waiting_.contains(request)) send(ForgetMessage{request});
  });
}

Fiber<ReplyMessage> Client::ask(UpMessage message, RequestId request, uint64_t timeout_us) {
  Answer answer{*this, std::move(message), request, timeout_us, {}};
  ReplyMessage reply = co_await answer;
  co_return reply;
}

void Client::on_reply(ReplyMessage reply) {
  auto found = waiting_.find(reply.request);
  world_.expect(found != waiting_.end(),
                "client " + std::to_string(id_.value) +
                    " is answered twice, or unasked: " + std::to_string(reply.request));
  Waiting waiting = found->second;
  waiting_.erase(found);
  *waiting.reply = std::move(reply);
  waiting.handle.resume();
}

void Client::on_message(DownMessage message) {
  if (auto* reply = std::get_if<ReplyMessage>(&message)) on_reply(std::move(*reply));
}

Fiber<Got> Client::get(std::vector<ObjectId> ids, uint64_t timeout_us) {
  RequestId request = next_request();
  UpMessage message = GetMessage{request, Interest::kValues, ids};
  ReplyMessage reply = co_await ask(std::move(message), request, timeout_us);
  Got got;
  if (reply.code == Code::kTimeout) {
    world_.expect(timeout_us > 0, "a get without deadline came too late");
    got.late = true;
    ++world_.counts["late gets"];
    co_return got;
  }
  world_.expect(reply.code == Code::kOk, "a get failed: " + reply.text);
  if (!reply.positions.empty()) {
    world_.expect(reply.positions.size() == 1 && reply.values.size() == 1, "an error comes alone");
    world_.expect(reply.values[0].kind != PayloadKind::kValue, "only an error comes alone");
    got.error = look_at(ids.at(reply.positions[0]), reply.values[0]);
    co_return got;
  }
  world_.expect(reply.values.size() == ids.size(), "a get gives as many values as were asked for");
  for (size_t i = 0; i < ids.size(); ++i) {
    world_.expect(reply.values[i].kind == PayloadKind::kValue, "an error is no value");
    got.values.push_back(look_at(ids[i], reply.values[i]));
  }
  co_return got;
}

Fiber<std::vector<uint32_t>> Client::wait(std::vector<ObjectId> ids, uint32_t count, uint64_t timeout_us) {
  RequestId request = next_request();
  UpMessage message = WaitMessage{request, count, true, false, ids};
  ReplyMessage reply = co_await ask(std::move(message), request, timeout_us);
  if (reply.code == Code::kTimeout) {
    request = next_request();
    message = WaitMessage{request, count, true, true, ids};
    reply = co_await ask(std::move(message), request, 0);
  } else {
    world_.expect(reply.positions.size() == count, "a wait that was in time finds as many as it wanted");
  }
  world_.expect(reply.positions.size() <= count, "a wait finds no more than it wanted");
  world_.expect(std::is_sorted(reply.positions.begin(), reply.positions.end()), "positions come in order");
  co_return reply.positions;
}

Fiber<> Client::ready(std::vector<ObjectId> ids) {
  RequestId request = next_request();
  UpMessage message = GetMessage{request, Interest::kReady, std::move(ids)};
  ReplyMessage reply = co_await ask(std::move(message), request, 0);
  world_.expect(reply.code == Code::kOk && reply.values.empty(), "readiness is only a word");
}

Fiber<std::optional<uint64_t>> Client::allocate(uint64_t bytes, uint64_t timeout_us) {
  RequestId request = next_request();
  UpMessage message = AllocateMessage{request, bytes};
  ReplyMessage reply = co_await ask(std::move(message), request, timeout_us);
  if (reply.code == Code::kOk) co_return reply.number;
  world_.expect(reply.code == Code::kFull || (reply.code == Code::kTimeout && timeout_us > 0),
                "an allocation failed: " + reply.text);
  co_return std::nullopt;
}

Fiber<Located> Client::make_value(ObjectId id, std::vector<ObjectId> contained, uint64_t pages) {
  uint64_t tag = world_.add_content(id, contained);
  Located value;
  if (pages > 0) {
    uint64_t bytes = pages * kPage - random_.below(kPage);
    std::optional<uint64_t> offset = co_await allocate(bytes, random_.chance(0.2) ? 50'000 : 0);
    if (offset) {
      if (random_.chance(0.3)) co_await sleep(random_.below(2'000));
      world_.write_pages(*offset, bytes, tag);
      value.in_arena = true;
      value.offset = *offset;
      value.size = bytes;
    }
  }
  if (!value.in_arena) value = located_bytes(PayloadKind::kValue, std::to_string(tag));
  value.contained = std::move(contained);
  co_return value;
}

// ---- fibers -----------------------------------------------------------------------------------------

void Client::start(Fiber<> fiber) {
  std::erase_if(fibers_, [](const Fiber<>& one) { return one.is_done(); });
  fibers_.push_back(std::move(fiber));
  fibers_.back().start();
}

bool Client::is_idle() const {
  return std::all_of(fibers_.begin(), fibers_.end(), [](const Fiber<>& one) { return one.is_done(); });
}

void Client::end(Timeline::Event last) {
  alive = false;
  up_.send(world_.timeline(), world_.delay(), std::move(last));
  waiting_.clear();
  napping_.clear();
  fibers_.clear();
  life_.reset();
}

void Client::wake_after(uint64_t delay_us, std::coroutine_handle<> handle) {
  uint64_t nap = ++naps_;
  napping_[nap] = handle;
  world_.timeline().after(delay_us, [this, alive = std::weak_ptr(life_), nap] {
    if (alive.expired()) return;
    auto found = napping_.find(nap);
    if (found == napping_.end()) return;
    std::coroutine_handle<> sleeper = found->second;
    napping_.erase(found);
    sleeper.resume();
  });
}

}  // namespace mobula::sim
