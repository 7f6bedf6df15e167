// Calls into messages, replies into results.
#include "engine/client.h"

#include <utility>

#include "wire/views.h"

namespace mobula {

Located to_located(Value value) {
  Located located;
  located.kind = value.kind;
  located.contained = std::move(value.contained);
  if (value.buffer.empty()) {
    located.size = value.bytes.size();
    located.bytes = std::make_shared<const std::string>(std::move(value.bytes));
    return located;
  }
  located.in_arena = true;
  located.offset = value.buffer.offset();
  located.size = value.buffer.data().size();
  value.buffer.sealed();
  return located;
}

Payload to_payload(const std::shared_ptr<Link>& link, ObjectId id, const Located& value) {
  Payload payload;
  payload.kind = value.kind;
  if (!value.in_arena) {
    if (!value.bytes) return payload;
    payload.data = {reinterpret_cast<const uint8_t*>(value.bytes->data()), value.bytes->size()};
    payload.owner = value.bytes;
    return payload;
  }
  const uint8_t* data = link->arena_readable() + value.offset;
  payload.data = {data, value.size};
  payload.owner =
      std::shared_ptr<const void>(data, [link, id](const void*) { link->send(UnpinMessage{{id}}, false); });
  return payload;
}

Client::Client(std::shared_ptr<Link> link, ClientId id, uint32_t session)
    : link_(std::move(link)), id_(id), session_(session) {}

Status Client::check_session(std::span<const ObjectId> ids) const {
  for (ObjectId id : ids) {
    if (id.session != session_) {
      return {Code::kLost,
              "reference " + to_hex(id) +
                  " belongs to an earlier session: what it named ended with that session's shutdown()"};
    }
  }
  return Status::ok();
}

Status Client::define_function(FunctionId id, Language language, std::string_view definition) {
  {
    std::lock_guard lock(mutex_);
    if (!defined_.insert(id).second) return Status::ok();
  }
  link_->send(DefineMessage{id, language, std::string(definition)}, false);
  return Status::ok();
}

void Client::count_fresh(ObjectId id) {
  std::lock_guard lock(mutex_);
  references_[id]++;
}

void Client::count_given(ObjectId id) {
  {
    std::lock_guard lock(mutex_);
    if (references_[id]++ == 0) return;
  }
  link_->send(ReleaseMessage{{id}}, false);  // one hold of the node is enough for all handles here
}

Result<std::vector<TaskId>> Client::submit(std::vector<TaskSpec> specs) {
  std::vector<TaskId> ids;
  ids.reserve(specs.size());
  for (TaskSpec& spec : specs) {
    TRY(check_session(spec.refs));
    if (spec.id.is_nil()) spec.id = next_task();
    ids.push_back(spec.id);
    for (int32_t i = 0; i < spec.returns; ++i) count_fresh({spec.id, static_cast<uint32_t>(i), session_});
  }
  link_->send(SubmitMessage{std::move(specs)}, true);
  return ids;
}

Result<FoundActor> Client::create_actor(ActorSpec spec) {
  TRY(check_session(spec.creation.refs));
  if (spec.creation.id.is_nil()) spec.creation.id = next_task();
  RequestId request = next_request();
  ASSIGN_OR_RETURN(ReplyMessage reply,
                   link_->ask(CreateActorMessage{request, std::move(spec)}, request, Deadline::never()));
  if (reply.code != Code::kOk) return Status(reply.code, std::move(reply.text));
  ActorId actor{reply.number};
  count_given(life_of(actor));
  return FoundActor{actor, std::move(reply.text)};
}

Result<FoundActor> Client::find_actor(std::string_view name, std::string_view space) {
  RequestId request = next_request();
  ASSIGN_OR_RETURN(ReplyMessage reply,
                   link_->ask(FindActorMessage{request, std::string(name), std::string(space)}, request,
                              Deadline::never()));
  if (reply.code != Code::kOk) return Status(reply.code, std::move(reply.text));
  ActorId actor{reply.number};
  count_given(life_of(actor));
  return FoundActor{actor, std::move(reply.text)};
}

Status Client::kill(ActorId actor, bool no_restart) {
  link_->send(KillMessage{actor, no_restart}, true);
  return Status::ok();
}

Status Client::cancel(ObjectId id, CancelOptions options) {
  TRY(check_session({&id, 1}));
  link_->send(CancelMessage{id, options.force, options.recursive}, true);
  return Status::ok();
}

Result<CreatedGroup> Client::create_group(GroupSpec spec) {
  RequestId request = next_request();
  CreateGroupMessage message{request, GroupId{next_task().value}, std::move(spec)};
  GroupId id = message.group;
  ASSIGN_OR_RETURN(ReplyMessage reply, link_->ask(std::move(message), request, Deadline::never()));
  if (reply.code != Code::kOk) return Status(reply.code, std::move(reply.text));
  return CreatedGroup{id, reply.number != 0};
}

Status Client::remove_group(GroupId group) {
  link_->send(RemoveGroupMessage{group}, true);
  return Status::ok();
}

Result<ObjectId> Client::watch_group(GroupId group, std::string value) {
  ObjectId id{next_task(), 0, session_};
  count_fresh(id);
  link_->send(WatchGroupMessage{group, id, std::move(value)}, true);
  return id;
}

Result<std::vector<GroupView>> Client::groups() {
  ASSIGN_OR_RETURN(ReplyMessage reply, query("groups"));
  return decode_groups(reply.text);
}

Result<ArenaBuffer> Client::allocate(size_t bytes, Deadline deadline) {
  RequestId request = next_request();
  ASSIGN_OR_RETURN(ReplyMessage reply, link_->ask(AllocateMessage{request, bytes}, request, deadline));
  if (reply.code != Code::kOk) return Status(reply.code, std::move(reply.text));
  uint64_t offset = reply.number;
  std::span<uint8_t> data(link_->arena_writable() + offset, bytes);
  return ArenaBuffer(data, offset, [link = link_, offset] { link->send(AbandonMessage{offset}, true); });
}

Result<ObjectId> Client::put(Value value) {
  ObjectId id{next_task(), 0, session_};
  count_fresh(id);
  link_->send(PutMessage{id, to_located(std::move(value))}, false);
  return id;
}

Result<std::vector<Payload>> Client::get(std::span<const ObjectId> ids, Deadline deadline) {
  if (ids.empty()) return std::vector<Payload>{};
  TRY(check_session(ids));
  RequestId request = next_request();
  GetMessage message{request, Interest::kValues, {ids.begin(), ids.end()}};
  ASSIGN_OR_RETURN(ReplyMessage reply, link_->ask(std::move(message), request, deadline));
  if (reply.code != Code::kOk) return Status(reply.code, std::move(reply.text));
  std::vector<Payload> payloads(ids.size());
  for (size_t i = 0; i < reply.values.size(); ++i) {
    size_t position = reply.positions.empty() ? i : reply.positions[i];
    if (position < ids.size()) payloads[position] = to_payload(link_, ids[position], reply.values[i]);
  }
  return payloads;
}

Result<std::vector<size_t>> Client::wait(std::span<const ObjectId> ids, size_t count, Deadline deadline,
                                         bool fetch) {
  if (ids.empty() || count == 0) return std::vector<size_t>{};
  TRY(check_session(ids));
  RequestId request = next_request();
  WaitMessage message{
      request, static_cast<uint32_t>(std::min(count, ids.size())), fetch, false, {ids.begin(), ids.end()}};
  message.poll = deadline.at <= std::chrono::steady_clock::now();
  Deadline limit = message.poll ? Deadline::never() : deadline;
  Result<ReplyMessage> reply = link_->ask(message, request, limit);
  if (!reply.is_ok() && reply.status().code() == Code::kTimeout) {
    message.request = next_request();
    message.poll = true;
    reply = link_->ask(message, message.request, Deadline::never());
  }
  if (!reply.is_ok()) return reply.status();
  return std::vector<size_t>(reply->positions.begin(), reply->positions.end());
}

void Client::on_ready(std::span<const ObjectId> ids, ReadyCallback callback) {
  RequestId request = next_request();
  link_->ask_async(GetMessage{request, Interest::kReady, {ids.begin(), ids.end()}}, request,
                   [callback = std::move(callback)](ReplyMessage) { callback(); });
}

Result<ObjectId> Client::stream_item(TaskId stream, uint32_t index) {
  ObjectId id{stream, index, session_};
  link_->send(TakeItemMessage{id}, true);
  count_given(id);
  return id;
}

void Client::drop_stream(TaskId stream) { link_->send(DropStreamMessage{stream}, true); }

void Client::add_reference(ObjectId id) {
  if (id.session != session_) return;
  {
    std::lock_guard lock(mutex_);
    if (references_[id]++ > 0) return;
  }
  link_->send(HoldMessage{id}, false);
}

void Client::release(ObjectId id) {
  {
    std::lock_guard lock(mutex_);
    auto found = references_.find(id);
    if (found == references_.end() || --found->second > 0) return;
    references_.erase(found);
  }
  link_->send(ReleaseMessage{{id}}, false);
}

Result<ReplyMessage> Client::query(std::string_view what) {
  RequestId request = next_request();
  ASSIGN_OR_RETURN(ReplyMessage reply,
                   link_->ask(QueryMessage{request, std::string(what)}, request, Deadline::never()));
  if (reply.code != Code::kOk) return Status(reply.code, std::move(reply.text));
  return reply;
}

ClusterView Client::cluster() {
  Result<ReplyMessage> reply = query("cluster");
  if (!reply.is_ok()) return {};
  Result<ClusterView> view = decode_cluster(reply->text);
  return view.is_ok() ? *std::move(view) : ClusterView{};
}

EngineStats Client::stats() {
  Result<ReplyMessage> reply = query("stats");
  if (!reply.is_ok()) return {};
  Result<EngineStats> stats = decode_stats(reply->text);
  return stats.is_ok() ? *stats : EngineStats{};
}

void Client::note_site(TaskId made, std::string site) {
  link_->send(MadeAtMessage{made, std::move(site)}, false);
}

Result<std::string> Client::snapshot(std::string_view table) {
  ASSIGN_OR_RETURN(ReplyMessage reply, query(table));
  return std::move(reply.text);
}

}  // namespace mobula
