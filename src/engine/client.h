// The Engine that drivers and workers hold: it makes ids, counts this process's references, and turns each
// call into messages over a Link. Only the Link differs: a direct call into the node (embedded), or rings
// (attached, workers). Thread-safe. Tests: tests/contract.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/engine.h"
#include "wire/message.h"

namespace mobula {

/// The way to a node, and the arena's two mappings.
class Link {
 public:
  virtual ~Link() = default;
  /// In order for each thread. `urgent`: the node is to see it now, not with the next urgent one.
  virtual void send(UpMessage message, bool urgent) = 0;
  virtual Result<ReplyMessage> ask(UpMessage message, RequestId request, Deadline deadline) = 0;
  virtual void ask_async(UpMessage message, RequestId request,
                         std::function<void(ReplyMessage)> callback) = 0;
  virtual uint8_t* arena_writable() const = 0;
  virtual const uint8_t* arena_readable() const = 0;
};

/// Moves a value into the form in which it travels.
Located to_located(Value value);
/// A value as it arrived. Those in the arena are unpinned when the last copy of `owner` goes.
Payload to_payload(const std::shared_ptr<Link>& link, ObjectId id, const Located& value);

class Client : public Engine {
 public:
  Client(std::shared_ptr<Link> link, ClientId id, uint32_t session);

  Status define_function(FunctionId id, Language language, std::string_view definition) override;
  Result<std::vector<TaskId>> submit(std::vector<TaskSpec> specs) override;
  Result<FoundActor> create_actor(ActorSpec spec) override;
  Result<std::vector<TaskId>> call(std::vector<TaskSpec> calls) override { return submit(std::move(calls)); }
  Result<FoundActor> find_actor(std::string_view name, std::string_view space) override;
  Status kill(ActorId actor, bool no_restart) override;
  Status cancel(ObjectId id, CancelOptions options) override;
  Result<CreatedGroup> create_group(GroupSpec spec) override;
  Status remove_group(GroupId group) override;
  Result<ObjectId> watch_group(GroupId group, std::string value) override;
  Result<std::vector<GroupView>> groups() override;
  Result<ArenaBuffer> allocate(size_t bytes, Deadline deadline) override;
  Result<ObjectId> put(Value value) override;
  Result<std::vector<Payload>> get(std::span<const ObjectId> ids, Deadline deadline) override;
  Result<std::vector<size_t>> wait(std::span<const ObjectId> ids, size_t count, Deadline deadline,
                                   bool fetch) override;
  void on_ready(std::span<const ObjectId> ids, ReadyCallback callback) override;
  Result<ObjectId> stream_item(TaskId stream, uint32_t index) override;
  void drop_stream(TaskId stream) override;
  void add_reference(ObjectId id) override;
  void release(ObjectId id) override;
  void add_actor_reference(ActorId id) override { add_reference(life_of(id)); }
  void release_actor(ActorId id) override { release(life_of(id)); }
  ClusterView cluster() override;
  EngineStats stats() override;
  Result<std::string> snapshot(std::string_view table) override;
  void note_site(TaskId made, std::string site) override;
  ClientId client_id() const override { return id_; }
  uint32_t session() const override { return session_; }

 private:
  ObjectId life_of(ActorId actor) const { return {TaskId{actor.value}, 0, session_}; }
  RequestId next_request() { return ++requests_; }
  TaskId next_task() { return make_task_id(id_, ++tasks_); }
  Result<ReplyMessage> query(std::string_view what);
  Status check_session(std::span<const ObjectId> ids) const;
  void count_fresh(ObjectId id);  // the first handle of an object that this process makes
  void count_given(ObjectId id);  // a handle that came with a hold of the node's

  std::shared_ptr<Link> link_;
  ClientId id_;
  uint32_t session_;
  std::atomic<uint64_t> requests_ = 0, tasks_ = 0;
  std::mutex mutex_;                                   // guards the two below; no call leaves with it held
  std::unordered_map<ObjectId, uint32_t> references_;  // living handles in this process
  std::unordered_set<FunctionId> defined_;
};

}  // namespace mobula
