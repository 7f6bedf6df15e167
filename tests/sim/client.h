// A client of the simulated node: its references, its views, its questions. What engine/client.h does for
// real programs, with fibers instead of threads.
#pragma once

#include <list>
#include <map>
#include <optional>
#include <vector>

#include "fiber.h"
#include "world.h"

namespace mobula::sim {

/// One value as a client sees it.
struct Seen {
  ObjectId id;
  PayloadKind kind = PayloadKind::kValue;
  uint64_t tag = 0;
  bool pinned = false;
  uint64_t offset = 0, bytes = 0;
};

struct Got {
  bool late = false;  // the deadline came first
  std::vector<Seen> values;
  std::optional<Seen> error;
};

class Client {
 public:
  Client(World& world, ClientId id) : world_(world), id_(id), random_(world.random().next()) {}
  virtual ~Client() = default;

  ClientId id() const { return id_; }
  World& world() { return world_; }
  Random& random() { return random_; }

  // References: one for each handle of this process
  void count_fresh(ObjectId id);
  void hold(ObjectId id);
  void release(ObjectId id);
  bool holds(ObjectId id) const { return references_.contains(id); }

  // Calls
  TaskId next_task() { return make_task_id(id_, ++tasks_); }
  void send(UpMessage message);
  void define(FunctionId function);
  Fiber<Got> get(std::vector<ObjectId> ids, uint64_t timeout_us = 0);
  Fiber<std::vector<uint32_t>> wait(std::vector<ObjectId> ids, uint32_t count, uint64_t timeout_us);
  Fiber<> ready(std::vector<ObjectId> ids);
  /// Nothing when there was no room in time, or never will be.
  Fiber<std::optional<uint64_t>> allocate(uint64_t bytes, uint64_t timeout_us);
  Fiber<Located> make_value(ObjectId id, std::vector<ObjectId> contained, uint64_t pages);
  Fiber<ReplyMessage> ask(UpMessage message, RequestId request, uint64_t timeout_us);
  RequestId next_request() { return ++requests_; }
  /// Looks at a value that came, which has to be what its id says.
  Seen look_at(ObjectId id, const Located& value);
  void unpin(const Seen& seen);

  // Fibers
  void start(Fiber<> fiber);
  bool is_idle() const;
  size_t waiting() const { return waiting_.size(); }

  struct Pause {
    Client& client;
    uint64_t delay_us;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { client.wake_after(delay_us, handle); }
    void await_resume() const {}
  };
  Pause sleep(uint64_t delay_us) { return {*this, delay_us}; }
  /// The process is gone; what it has sent arrives first, then `last`.
  void end(Timeline::Event last);
  /// A reply has come.
  void on_reply(ReplyMessage reply);
  virtual void on_message(DownMessage message);

  bool alive = true;

 protected:
  void wake_after(uint64_t delay_us, std::coroutine_handle<> handle);

  World& world_;
  ClientId id_;
  Random random_;
  Channel up_;
  std::list<Fiber<>> fibers_;

 private:
  struct Waiting {
    std::coroutine_handle<> handle;
    ReplyMessage* reply;
  };
  struct Answer {
    Client& client;
    UpMessage message;
    RequestId request;
    uint64_t timeout_us;
    ReplyMessage reply;
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) { client.post(*this, handle); }
    ReplyMessage await_resume() { return std::move(reply); }
  };
  void post(Answer& answer, std::coroutine_handle<> handle);

  uint64_t tasks_ = 0, requests_ = 0, naps_ = 0;
  std::map<ObjectId, int> references_;
  std::set<FunctionId> defined_;
  std::map<RequestId, Waiting> waiting_;
  std::map<uint64_t, std::coroutine_handle<>> napping_;
  std::shared_ptr<bool> life_ = std::make_shared<bool>(true);  // gone: what was planned does not happen
};

}  // namespace mobula::sim
