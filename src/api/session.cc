// The one session of a process, the task of each thread, and what references do to the engine. These
// variables are global because ObjectRef and Get are: a lock guards the session, the task belongs to its
// thread.
#include "api/session.h"

#include <algorithm>
#include <chrono>

namespace mobula::inline v1::internal {
namespace {

struct Current {
  std::mutex lock;
  std::shared_ptr<Session> session;
};

/// Never destroyed: references in static variables may outlive everything else.
Current& current() {
  static Current& only = *new Current;
  return only;
}

thread_local const RunningTask* running_now = nullptr;

ObjectId id_of(const ObjectKey& key) { return {TaskId{key.task}, key.index, key.session}; }

}  // namespace

std::shared_ptr<Session> current_session() {
  std::lock_guard held(current().lock);
  return current().session;
}

std::shared_ptr<Session> require_session() {
  auto session = current_session();
  if (session == nullptr)
    throw RaySystemException("Mobula is not running in this process: call mobula::Init() first");
  return session;
}

bool open_session(std::shared_ptr<Session> session) {
  std::lock_guard held(current().lock);
  if (current().session != nullptr) return false;
  current().session = std::move(session);
  return true;
}

std::shared_ptr<Session> take_session() {
  std::lock_guard held(current().lock);
  return std::exchange(current().session, nullptr);
}

const RunningTask* running_task() { return running_now; }

RunningScope::RunningScope(const RunningTask& task) : before_(std::exchange(running_now, &task)) {}
RunningScope::~RunningScope() { running_now = before_; }

Session::Session(std::unique_ptr<EmbeddedEngine> engine, std::string space, bool runs_python)
    : owned_(std::move(engine)), engine_(owned_.get()), space_(std::move(space)), runs_python_(runs_python) {}

Session::Session(Engine& engine, std::string space, bool runs_python)
    : engine_(&engine), space_(std::move(space)), runs_python_(runs_python) {}

Status Session::define(const RemoteFunction& function) {
  const FunctionId id = digest_of(function);
  {
    std::lock_guard held(lock_);
    if (defined_.contains(id)) return Status::ok();
  }
  TRY(engine_->define_function(id, function.python ? Language::kPython : Language::kCpp,
                               definition_of(function)));
  std::lock_guard held(lock_);
  defined_.insert(id);
  return Status::ok();
}

void Session::hold_named(ActorPtr actor) {
  std::lock_guard held(lock_);
  named_.push_back(std::move(actor));
}

void Session::drop_named(uint64_t actor) {
  std::vector<ActorPtr> dropped;  // released without the lock
  std::lock_guard held(lock_);
  auto first =
      std::partition(named_.begin(), named_.end(), [&](const auto& held) { return held->key().id != actor; });
  std::move(first, named_.end(), std::back_inserter(dropped));
  named_.erase(first, named_.end());
}

void Session::stop() {
  std::vector<ActorPtr> dropped;
  {
    std::lock_guard held(lock_);
    dropped.swap(named_);
  }
  dropped.clear();
  if (owned_ != nullptr) owned_->stop();
}

ObjectPtr Session::adopt(const ObjectId& counted) {
  ObjectKey key{counted.task.value, counted.index, counted.session};
  return std::make_shared<ObjectHold>(key, weak_from_this());
}

ObjectPtr Session::share(const ObjectId& id) {
  if (id.session != engine_->session()) {
    throw RaySystemException("object " + mobula::to_hex(id) +
                             " belongs to an earlier Init(), which has been shut down");
  }
  engine_->add_reference(id);
  return adopt(id);
}

ActorPtr Session::share(ActorKey key) {
  if (key.session != engine_->session()) {
    throw RaySystemException("actor " + mobula::to_hex(key.id) +
                             " belongs to an earlier Init(), which has been shut down");
  }
  engine_->add_actor_reference(ActorId{key.id});
  return std::make_shared<ActorHold>(std::move(key), weak_from_this());
}

ObjectHold::ObjectHold(const ObjectKey& key, std::weak_ptr<Session> session)
    : key_(key), session_(std::move(session)) {}

ObjectHold::~ObjectHold() {
  if (auto session = session_.lock()) session->engine().release(id_of(key_));
}

ActorHold::ActorHold(ActorKey key, std::weak_ptr<Session> session)
    : key_(std::move(key)), session_(std::move(session)) {}

ActorHold::~ActorHold() {
  if (auto session = session_.lock()) session->engine().release_actor(ActorId{key_.id});
}

StreamHold::StreamHold(const ObjectKey& first, std::weak_ptr<Session> session)
    : key_(first), session_(std::move(session)) {}

StreamHold::~StreamHold() {
  asked_.reset();
  if (auto session = session_.lock()) session->engine().drop_stream(TaskId{key_.task});
}

const ObjectPtr& StreamHold::asked() {
  if (asked_ != nullptr) return asked_;
  auto session = session_.lock();
  if (session == nullptr || session != current_session())
    throw RaySystemException("the generator belongs to an earlier Init(), which has been shut down");
  asked_ = session->adopt(unwrap(session->engine().stream_item(TaskId{key_.task}, index_), "a generator"));
  return asked_;
}

ObjectPtr StreamHold::next(int timeout_ms) {
  const ObjectId id = id_of(asked()->key());
  const Deadline until =
      timeout_ms < 0 ? Deadline::never() : Deadline::after(std::chrono::milliseconds(timeout_ms));
  auto found = unwrap(require_session()->engine().get({&id, 1}, until), "Next");
  if (found.front().kind == PayloadKind::kStreamEnd) return nullptr;  // and stays asked for
  ++index_;
  return std::exchange(asked_, nullptr);
}

ObjectPtr asked_item(const StreamPtr& stream) {
  if (stream == nullptr) throw RayException("Wait: a generator refers to no task: it comes from no Remote");
  return stream->asked();
}

ObjectPtr next_item(const StreamPtr& stream, int timeout_ms) {
  if (stream == nullptr) throw RayException("Next: the generator refers to no task: it comes from no Remote");
  return stream->next(timeout_ms);
}

std::string to_hex(const StreamPtr& stream) {
  return stream == nullptr ? "" : mobula::to_hex(id_of(stream->key()));
}

std::string to_hex(const ObjectPtr& object) {
  return object == nullptr ? "" : mobula::to_hex(id_of(object->key()));
}

std::string to_hex(const ActorPtr& actor) { return actor == nullptr ? "" : mobula::to_hex(actor->key().id); }

PlainActor plain_of(const ActorKey& key) {
  return {.id = {key.id},
          .session = key.session,
          .language = static_cast<uint8_t>(key.python ? Language::kPython : Language::kCpp),
          .max_task_retries = key.max_task_retries,
          .definition = {key.definition_high, key.definition_low},
          .class_name = key.class_name,
          .handle = key.handle};
}

ActorKey key_of(const PlainActor& actor) {
  return {.id = actor.id.value,
          .session = actor.session,
          .python = actor.language == static_cast<uint8_t>(Language::kPython),
          .max_task_retries = actor.max_task_retries,
          .definition_high = actor.definition.high,
          .definition_low = actor.definition.low,
          .class_name = std::string(actor.class_name),
          .handle = std::string(actor.handle)};
}

ObjectId life_of(const ActorKey& actor) { return {TaskId{actor.id}, 0, actor.session}; }

FunctionId digest_of(const RemoteFunction& function) { return {function.digest_high, function.digest_low}; }

std::string definition_of(const RemoteFunction& function) {
  return function.library.empty() ? function.name : function.name + "\n" + function.library;
}

}  // namespace mobula::inline v1::internal
