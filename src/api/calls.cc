// What the templates of the API ask of the engine: put, get, wait, tasks, actors.
#include <mobula/api.h>
#include <mobula/session.h>

#include <chrono>
#include <cmath>

#include "api/registry.h"
#include "api/session.h"
#include "wire/envelope.h"
#include "wire/plain.h"

namespace mobula::inline v1::internal {
namespace {

constexpr int kTaskRetries = 3;  // as in Ray

ObjectId id_of(const ObjectPtr& object) {
  const ObjectKey& key = object->key();
  return {TaskId{key.task}, key.index, key.session};
}

Deadline deadline_of(int timeout_ms) {
  return timeout_ms < 0 ? Deadline::never() : Deadline::after(std::chrono::milliseconds(timeout_ms));
}

/// The ids of references, each of which has to refer to something of this session.
std::vector<ObjectId> ids_of(std::span<const ObjectPtr> objects, uint32_t session, const char* call) {
  std::vector<ObjectId> ids;
  ids.reserve(objects.size());
  for (const ObjectPtr& object : objects) {
    const std::string where = std::string(call) + ": reference " + std::to_string(ids.size());
    if (object == nullptr)
      throw RayException(where + " refers to nothing: it comes from no Put and no Remote");
    if (object->key().session != session) {
      throw RaySystemException(where + " belongs to an earlier Init(), which has been shut down");
    }
    ids.push_back(id_of(object));
  }
  return ids;
}

ResourceMap amounts_of(const Resources& resources) {
  ResourceMap amounts;
  for (const auto& [name, amount] : resources) {
    if (name.empty() || !std::isfinite(amount) || amount < 0) {
      throw RayException("resource '" + name + "' = " + std::to_string(amount) +
                         ": amounts have a name and are not negative");
    }
    const auto units = static_cast<int64_t>(std::llround(amount * static_cast<double>(kResourceUnit)));
    if (units > 0) amounts[name] = units;
  }
  return amounts;
}

void fill_arguments(TaskSpec& spec, ArgumentList& arguments) {
  spec.args = std::move(arguments.bytes);
  for (const ObjectPtr& object : arguments.references) spec.refs.push_back(id_of(object));
  for (const ObjectPtr& object : arguments.nested) spec.nested.push_back(id_of(object));
  for (const ActorPtr& actor : arguments.actors) spec.nested.push_back(life_of(actor->key()));
}

TaskSpec spec_of(const RemoteFunction& function, ArgumentList& arguments, const std::string& name,
                 const std::string& runtime_env, const GroupOptions& group) {
  TaskSpec spec;
  spec.function = digest_of(function);
  spec.name = name.empty() ? function.name : name;
  spec.language = function.python ? Language::kPython : Language::kCpp;
  spec.runtime_env = runtime_env;
  if (group.id != 0) {
    spec.placement = Placement::kGroup;
    spec.placement_group = GroupId{group.id};
    spec.bundle_index = group.bundle_index;
  }
  if (group.outside) spec.placement = Placement::kNoGroup;
  spec.captures = static_cast<int8_t>(group.captures);
  fill_arguments(spec, arguments);
  return spec;
}

/// How many results, and of a stream how far ahead it may be.
void set_results(TaskSpec& spec, const TaskOptions& options, int32_t returns) {
  spec.returns = returns;
  spec.backpressure_items = options.items_ahead_max;
  if (options.items_ahead_max == 0 || options.items_ahead_max < -1) {
    throw RayException("SetGeneratorBackpressure(" + std::to_string(options.items_ahead_max) +
                       "): 1 item at least, or -1 for any number");
  }
}

void check_python(const Session& session, const RemoteFunction& function) {
  if (function.python && !session.runs_python()) {
    throw RayException("Python function " + function.name +
                       " has no Python worker to run in: set Config::python (\"python3\") before Init");
  }
}

/// The handle that find_actor gives to others: all but the actor's id and session, which are told with it.
std::string handle_of(const ActorKey& key) {
  std::string meta;
  PlainWriter(meta).actor(plain_of(key));
  return small_envelope(Tag::kPlain, meta);
}

/// What a handle says that another process wrote; a Python actor's where it is in Python's own form.
ActorKey key_found(const FoundActor& found, uint32_t session) {
  ActorKey key{.python = true, .class_name = {}, .handle = found.handle};
  auto cursor =
      PlainCursor::open({reinterpret_cast<const uint8_t*>(found.handle.data()), found.handle.size()});
  if (cursor.is_ok() && cursor->peek() == PlainKind::kActor) key = key_of(cursor->item().actor);
  key.id = found.id.value;
  key.session = session;
  return key;
}

ActorPtr adopt(const std::shared_ptr<Session>& session, ActorKey key) {
  return std::make_shared<ActorHold>(std::move(key), session);
}

std::string class_of(const RemoteFunction& factory) {
  return factory.python ? factory.name.substr(factory.name.find(':') + 1) : type_name(factory.of_class);
}

}  // namespace

void ArgumentList::add_value(const ValueWriter& value) {
  auto session = require_session();
  Value made = unwrap(make_value(&session->engine(), value), "an argument");
  if (made.buffer.empty()) {
    ArgumentWriter(bytes).value({}, made.bytes);
    nested.insert(nested.end(), value.objects().begin(), value.objects().end());
    actors.insert(actors.end(), value.actors().begin(), value.actors().end());
    return;
  }
  add_reference(session->adopt(unwrap(session->engine().put(std::move(made)), "an argument")));
}

void ArgumentList::add_reference(const ObjectPtr& object) {
  if (object == nullptr) throw RayException("an argument is an ObjectRef that refers to nothing");
  ArgumentWriter(bytes).reference({});
  references.push_back(object);
}

ObjectPtr put(const ValueWriter& value) {
  auto session = require_session();
  Value made = unwrap(make_value(&session->engine(), value), "Put");
  return session->adopt(unwrap(session->engine().put(std::move(made)), "Put"));
}

namespace {

TaskId submit_task(Session& session, const RemoteFunction& function, ArgumentList& arguments,
                   const TaskOptions& options, int32_t returns) {
  check_python(session, function);
  TaskSpec spec = spec_of(function, arguments, options.name, options.runtime_env, options.group);
  spec.resources = amounts_of(options.resources);
  if (options.resources.empty()) spec.resources["CPU"] = kResourceUnit;
  spec.max_retries = options.max_retries.value_or(kTaskRetries);
  spec.retry_exceptions = options.retry_exceptions;
  if (spec.resources.contains("GPU")) spec.max_calls = 1;  // the GPU's memory is given back with the process
  set_results(spec, options, returns);
  if (Status known = session.define(function); !known.is_ok()) throw_status(known, function.name);
  std::vector<TaskSpec> specs;
  specs.push_back(std::move(spec));
  return unwrap(session.engine().submit(std::move(specs)), function.name).front();
}

StreamPtr stream_of(const std::shared_ptr<Session>& session, TaskId task) {
  return std::make_shared<StreamHold>(ObjectKey{task.value, 0, session->engine().session()}, session);
}

}  // namespace

ObjectPtr submit(const RemoteFunction& function, ArgumentList arguments, const TaskOptions& options) {
  auto session = require_session();
  const TaskId task = submit_task(*session, function, arguments, options, 1);
  return session->adopt({task, 0, session->engine().session()});
}

StreamPtr submit_stream(const RemoteFunction& function, ArgumentList arguments, const TaskOptions& options) {
  auto session = require_session();
  return stream_of(session, submit_task(*session, function, arguments, options, kStreaming));
}

ActorPtr create_actor(const RemoteFunction& factory, ArgumentList arguments, const ActorOptions& options) {
  auto session = require_session();
  check_python(*session, factory);
  ActorKey key{.session = session->engine().session(),
               .python = factory.python,
               .max_task_retries = options.max_task_retries,
               .definition_high = factory.digest_high,
               .definition_low = factory.digest_low,
               .class_name = class_of(factory),
               .handle = {}};
  ActorSpec spec;
  spec.creation =
      spec_of(factory, arguments, key.class_name + ".__init__", options.runtime_env, options.group);
  spec.creation.resources = amounts_of(options.resources);
  if (options.resources.empty()) spec.creation.placement_resources["CPU"] = kResourceUnit;
  spec.name = options.name;
  spec.space = options.space.value_or(GetNamespace());
  spec.class_name = key.class_name;
  spec.handle = handle_of(key);
  spec.detached = options.detached;
  spec.get_if_exists = options.get_if_exists;
  spec.ordered = options.max_concurrency <= 1;
  spec.max_restarts = options.max_restarts;
  spec.max_task_retries = options.max_task_retries;
  spec.max_concurrency = options.max_concurrency;
  spec.max_pending_calls = options.max_pending_calls;
  if (options.max_concurrency < 1)
    throw RayException("max_concurrency is " + std::to_string(options.max_concurrency) + ", 1 at least");
  if (Status known = session->define(factory); !known.is_ok()) throw_status(known, factory.name);
  const FoundActor made = unwrap(session->engine().create_actor(std::move(spec)), "actor " + key.class_name);
  ActorPtr actor = adopt(session, key_found(made, key.session));
  if (!options.name.empty() && !options.detached) session->hold_named(actor);
  return actor;
}

namespace {

TaskId call_method(Session& session, const ActorPtr& actor, std::string_view method, ArgumentList& arguments,
                   const TaskOptions& options, int32_t returns) {
  if (actor == nullptr)
    throw RayException("a handle that refers to no actor was called: " + std::string(method));
  const ActorKey& key = actor->key();
  TaskSpec spec;
  spec.function = {key.definition_high, key.definition_low};
  spec.name = !options.name.empty() ? options.name
              : key.python          ? key.class_name + "." + std::string(method)
                                    : std::string(method);
  spec.method = method;
  spec.language = key.python ? Language::kPython : Language::kCpp;
  spec.actor = ActorId{key.id};
  spec.max_retries = options.max_retries.value_or(key.max_task_retries);
  set_results(spec, options, returns);
  fill_arguments(spec, arguments);
  std::vector<TaskSpec> calls;
  calls.push_back(std::move(spec));
  return unwrap(session.engine().call(std::move(calls)), std::string(method)).front();
}

}  // namespace

ObjectPtr call(const ActorPtr& actor, std::string_view method, ArgumentList arguments,
               const TaskOptions& options) {
  auto session = require_session();
  const TaskId task = call_method(*session, actor, method, arguments, options, 1);
  return session->adopt({task, 0, session->engine().session()});
}

StreamPtr call_stream(const ActorPtr& actor, std::string_view method, ArgumentList arguments,
                      const TaskOptions& options) {
  auto session = require_session();
  return stream_of(session, call_method(*session, actor, method, arguments, options, kStreaming));
}

ActorPtr find_actor(const std::string& name, const std::string& space) {
  auto session = require_session();
  auto found = session->engine().find_actor(name, space.empty() ? GetNamespace() : space);
  if (!found.is_ok() && found.status().code() == Code::kNotFound) return nullptr;
  return adopt(session,
               key_found(unwrap(std::move(found), "actor '" + name + "'"), session->engine().session()));
}

void kill(const ActorPtr& actor, bool no_restart) {
  if (actor == nullptr) throw RayException("Kill of a handle that refers to no actor");
  auto session = require_session();
  Status killed = session->engine().kill(ActorId{actor->key().id}, no_restart);
  if (!killed.is_ok()) throw_status(killed, "Kill");
  if (no_restart) session->drop_named(actor->key().id);
}

void cancel(const ObjectPtr& object, bool force) {
  auto session = require_session();
  const ObjectId id = ids_of({&object, 1}, session->engine().session(), "Cancel").front();
  Status cancelled = session->engine().cancel(id, {.force = force, .recursive = true});
  if (!cancelled.is_ok()) throw_status(cancelled, "Cancel");
}

void cancel(const StreamPtr& stream, bool force) {
  if (stream == nullptr) throw RayException("Cancel of a generator that refers to no task");
  auto session = require_session();
  const ObjectKey& key = stream->key();
  if (key.session != session->engine().session())
    throw RaySystemException("Cancel: the generator belongs to an earlier Init(), which has been shut down");
  Status cancelled =
      session->engine().cancel({TaskId{key.task}, 0, key.session}, {.force = force, .recursive = true});
  if (!cancelled.is_ok()) throw_status(cancelled, "Cancel");
}

std::vector<Fetched> fetch(std::span<const ObjectPtr> objects, int timeout_ms) {
  auto session = require_session();
  const std::vector<ObjectId> ids = ids_of(objects, session->engine().session(), "Get");
  std::vector<Payload> payloads = unwrap(session->engine().get(ids, deadline_of(timeout_ms)), "Get");
  for (const Payload& payload : payloads) {
    if (payload.kind != PayloadKind::kValue) throw_payload(payload);
  }
  std::vector<Fetched> fetched;
  fetched.reserve(payloads.size());
  for (Payload& payload : payloads) fetched.push_back({payload.data, std::move(payload.owner)});
  return fetched;
}

std::vector<bool> wait(std::span<const ObjectPtr> objects, int count, int timeout_ms) {
  auto session = require_session();
  const std::vector<ObjectId> ids = ids_of(objects, session->engine().session(), "Wait");
  if (count < 1 || static_cast<size_t>(count) > ids.size()) {
    throw RayException("Wait for " + std::to_string(count) + " of " + std::to_string(ids.size()) +
                       " objects: the number has to be from 1 to theirs");
  }
  auto positions = session->engine().wait(ids, static_cast<size_t>(count), deadline_of(timeout_ms), true);
  std::vector<bool> ready(ids.size(), false);
  for (size_t position : unwrap(std::move(positions), "Wait")) ready.at(position) = true;
  return ready;
}

}  // namespace mobula::inline v1::internal
