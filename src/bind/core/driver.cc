// The engine from the driver's side: opening and closing it, the cluster, functions, actors, cancel. Nothing
// here is called per task.
#include "bind/core/driver.h"

#define XXH_INLINE_ALL
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>
#include <xxhash.h>

#include <cstring>

#include "bind/core/call_site.h"
#include "bind/core/object_ref.h"
#include "bind/core/template.h"
#include "wire/envelope.h"
#include "worker/python_codec.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::python {
namespace {

Session* need() {
  Session* current = require_session();
  if (!current) raise();
  return current;
}

nb::object own(PyObject* stolen) {
  if (!stolen) raise();
  return nb::steal(stolen);
}

ResourceMap resources_from(const nb::dict& amounts) {
  ResourceMap out;
  if (!read_resources(amounts.ptr(), &out)) raise();
  return out;
}

nb::dict open_driver(const nb::dict& resources, uint64_t arena_bytes,
                     const std::map<std::string, std::string>& labels,
                     const std::vector<std::string>& zygote_command,
                     const std::vector<std::string>& zygote_environment, const std::string& job_config,
                     const std::string& space, const std::string& spill_folder, bool log_to_driver,
                     int workers_max) {
  EmbeddedOptions options;
  options.resources = resources_from(resources);
  options.arena_bytes = arena_bytes;
  options.labels = labels;
  options.zygote_command = zygote_command;
  options.zygote_environment = zygote_environment;
  options.job_config = job_config;
  options.space = space;
  options.spill_folder = spill_folder;
  options.log_to_driver = log_to_driver;
  options.workers_max = workers_max;
  Status failed;
  std::unique_ptr<EmbeddedEngine> engine;
  {
    WithoutGil released;
    Result<std::unique_ptr<EmbeddedEngine>> opened = open_embedded(std::move(options));
    if (opened.is_ok())
      engine = std::move(*opened);
    else
      failed = opened.status();
  }
  check(failed);
  auto next = std::make_unique<Session>();
  next->engine = engine.get();
  next->number = engine->session();
  nb::dict out;
  out["node_id"] = engine->node_id();
  out["job_id"] = engine->job_id();
  out["client"] = engine->client_id().value;
  out["session"] = next->number;
  next->driver = std::move(engine);
  open_session(std::move(next));
  return out;
}

void close_engine() {
  Session* current = session();
  if (current && current->driver) {
    {
      WithoutGil released;
      current->driver->stop();
    }
    keep_metrics();
  }
  close_session();
}

nb::list cluster() {
  nb::list out;
  for (const NodeView& node : need()->engine->cluster().nodes) {
    nb::dict one;
    one["id"] = node.id;
    one["alive"] = node.alive;
    one["total"] = own(resources_to_dict(node.total));
    one["available"] = own(resources_to_dict(node.available));
    one["labels"] = nb::cast(node.labels);
    out.append(one);
  }
  return out;
}

nb::dict stats() {
  EngineStats now = need()->engine->stats();
  nb::dict out;
  out["arena_bytes"] = now.arena_bytes;
  out["arena_used_bytes"] = now.arena_used_bytes;
  out["arena_peak_bytes"] = now.arena_peak_bytes;
  out["spilled_bytes"] = now.spilled_bytes;
  out["restored_bytes"] = now.restored_bytes;
  out["objects"] = now.objects;
  out["objects_pinned"] = now.objects_pinned;
  out["tasks"] = now.tasks;
  out["actors"] = now.actors;
  out["workers"] = now.workers;
  out["workers_started"] = now.workers_started;
  return out;
}

nb::str snapshot(std::string_view table) {
  std::string text;
  Status status;
  Session* current = need();
  Waiting inside(current);
  {
    WithoutGil released;
    Result<std::string> answer = current->engine->snapshot(table);
    status = answer.status();
    if (answer.is_ok()) text = std::move(*answer);
  }
  check(status);
  PyObject* shown = PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
  if (!shown) raise();
  return nb::steal<nb::str>(shown);
}

void record_sites(const std::string& own_folder) { need()->own_folder = own_folder; }

nb::bytes digest(const nb::bytes& definition) {
  XXH128_hash_t hash = XXH3_128bits(definition.data(), definition.size());
  uint64_t words[] = {hash.high64, hash.low64};
  return nb::bytes(reinterpret_cast<const char*>(words), sizeof words);
}

void define_function(const nb::bytes& id, const nb::bytes& definition, bool cpp) {
  FunctionId function;
  if (id.size() != sizeof function) throw nb::value_error("a digest has 16 bytes");
  std::memcpy(&function.high, id.data(), 8);
  std::memcpy(&function.low, static_cast<const char*>(id.data()) + 8, 8);
  check(need()->engine->define_function(function, cpp ? Language::kCpp : Language::kPython,
                                        {static_cast<const char*>(definition.data()), definition.size()}));
}

// ---- actors
// -------------------------------------------------------------------------------------------------------

std::string text_of(const nb::dict& fields, const char* name) {
  return fields.contains(name) ? nb::cast<std::string>(fields[name]) : std::string();
}

void read_actor(const nb::dict& fields, ActorSpec* out) {
  out->name = text_of(fields, "name");
  out->space = text_of(fields, "space");
  out->class_name = text_of(fields, "class_name");
  auto handle = nb::cast<nb::bytes>(fields["handle"]);
  out->handle.assign(static_cast<const char*>(handle.data()), handle.size());
  out->detached = nb::cast<bool>(fields["detached"]);
  out->get_if_exists = nb::cast<bool>(fields["get_if_exists"]);
  out->ordered = nb::cast<bool>(fields["ordered"]);
  out->max_restarts = nb::cast<int>(fields["max_restarts"]);
  out->max_task_retries = nb::cast<int>(fields["max_task_retries"]);
  out->max_concurrency = nb::cast<int>(fields["max_concurrency"]);
  out->max_pending_calls = nb::cast<int>(fields["max_pending_calls"]);
}

nb::tuple found(const FoundActor& actor) {
  return nb::make_tuple(actor.id.value, nb::bytes(actor.handle.data(), actor.handle.size()), need()->number);
}

/// (spec's fields, actor's fields, args, kwargs) -> (number, handle, session); the caller holds a reference.
nb::tuple create_actor(const nb::dict& spec_fields, const nb::dict& actor_fields, const nb::tuple& args,
                       const nb::dict& kwargs) {
  Session* current = need();
  Waiting inside(current);
  ActorSpec actor;
  if (!read_spec(spec_fields.ptr(), &actor.creation)) raise();
  read_actor(actor_fields, &actor);
  std::vector<PyObject*> values;
  for (nb::handle value : args) values.push_back(value.ptr());
  nb::tuple names = nb::tuple(kwargs.keys());
  for (nb::handle name : names) values.push_back(PyDict_GetItem(kwargs.ptr(), name.ptr()));
  CallArguments arguments{values.data(), static_cast<Py_ssize_t>(args.size()), names.ptr()};
  CallHold hold(current);
  if (!encode_arguments(current, Signature(), arguments, &actor.creation, &hold)) raise();
  Result<FoundActor> made = Status(Code::kInternal, "not asked");
  {
    WithoutGil released;
    made = current->engine->create_actor(std::move(actor));
  }
  check(made.status());
  note_call_site(current, TaskId{made->id.value}, "(actor creation)");
  return found(*made);
}

nb::tuple find_actor(const std::string& name, const std::string& space) {
  Session* current = need();
  Waiting inside(current);
  Result<FoundActor> answer = Status(Code::kInternal, "not asked");
  {
    WithoutGil released;
    answer = current->engine->find_actor(name, space);
  }
  check(answer.status());
  return found(*answer);
}

void kill_actor(uint64_t actor, bool no_restart) { check(need()->engine->kill({actor}, no_restart)); }

void cancel(const nb::bytes& id, bool force, bool recursive) {
  ObjectId object;
  Session* current = need();
  if (!id_from_bytes(id.ptr(), &object) || !check_session(current, object)) raise();
  check(current->engine->cancel(object, {.force = force, .recursive = recursive}));
}

// ---- placement groups
// ---------------------------------------------------------------------------------------------

nb::tuple create_group(const std::vector<nb::dict>& bundles, const std::vector<std::string>& nodes,
                       int strategy, const std::string& name, const std::string& space, bool detached) {
  GroupSpec spec;
  for (const nb::dict& bundle : bundles) spec.bundles.push_back(resources_from(bundle));
  spec.bundle_nodes = nodes;
  spec.strategy = static_cast<GroupStrategy>(strategy);
  spec.name = name;
  spec.space = space;
  spec.detached = detached;
  Session* current = need();
  Waiting inside(current);
  Result<CreatedGroup> made = Status(Code::kInternal, "not asked");
  {
    WithoutGil released;
    made = current->engine->create_group(std::move(spec));
  }
  check(made.status());
  return nb::make_tuple(made->id.value, made->feasible);
}

ObjectId watch(Session* current, uint64_t group, std::string envelope) {
  Result<ObjectId> id = current->engine->watch_group({group}, std::move(envelope));
  check(id.status());
  return *id;
}

nb::object watch_group(uint64_t group, const nb::bytes& envelope) {
  std::string value(static_cast<const char*>(envelope.data()), envelope.size());
  return own(make_ref(watch(need(), group, std::move(value))));
}

bool wait_group(uint64_t group, const nb::object& timeout) {
  Deadline deadline;
  Session* current = need();
  if (!to_deadline(timeout.ptr(), &deadline)) raise();
  ObjectId id = watch(current, group, small_envelope(Tag::kNone, {}));
  auto answer = wait_interruptibly(current, deadline, [&](Deadline until) {
    return current->engine->get(std::span<const ObjectId>(&id, 1), until);
  });
  if (session() == current) current->engine->release(id);
  if (!answer) raise();
  if (answer->status().code() == Code::kTimeout) return false;
  check(answer->status());
  if ((**answer)[0].kind != PayloadKind::kValue) own(decode_payload((**answer)[0]));
  return true;
}

nb::list groups() {
  Result<std::vector<GroupView>> all = need()->engine->groups();
  check(all.status());
  nb::list out;
  for (const GroupView& group : *all) {
    nb::dict one;
    nb::list bundles;
    for (const ResourceMap& bundle : group.spec.bundles) bundles.append(own(resources_to_dict(bundle)));
    one["number"] = group.id.value;
    one["bundles"] = bundles;
    one["strategy"] = static_cast<int>(group.spec.strategy);
    one["name"] = group.spec.name;
    one["namespace"] = group.spec.space;
    one["state"] = static_cast<int>(group.state);
    one["feasible"] = group.feasible;
    one["detached"] = group.spec.detached;
    one["nodes"] = nb::cast(group.nodes);
    out.append(one);
  }
  return out;
}

}  // namespace

void raise() { throw nb::python_error(); }

void check(const Status& status) {
  if (status.is_ok()) return;
  set_error(status);
  raise();
}

void add_driver(nb::module_& module) {
  module.def("open_driver", open_driver, "resources"_a, "arena_bytes"_a, "labels"_a, "zygote_command"_a,
             "zygote_environment"_a, "job_config"_a, "space"_a, "spill_folder"_a, "log_to_driver"_a,
             "workers_max"_a, "Starts an embedded engine and makes it this process's.");
  module.def("close", close_engine, "Ends the engine; nothing is left of it but its metrics.");
  module.def("forget", forget_session, "In a forked child: the engine is the parent's.");
  module.def("is_open", [] { return session() != nullptr; }, "Whether there is an engine.");
  module.def(
      "session", [] { return session() ? session()->number : 0; }, "The engine's number; 0 without one.");
  module.def(
      "runtime_env", [] { return session() ? session()->runtime_env : std::string(); },
      "What tasks of this process inherit, encoded.");
  module.def(
      "preload",
      [](const std::string& name) {
        Session* current = session();
        if (current && current->driver) current->driver->preload(name);
      },
      "module"_a, "Has a module imported before workers are forked.");
  module.def(
      "engine_capsule", [] { return nb::capsule(need()->engine, "mobula.engine"); },
      "The running engine, for mobula._data; it must not be used after close().");
  module.def("cluster", cluster, "The nodes, their resources and labels.");
  module.def("stats", stats, "Figures of the store and the tables.");
  module.def("record_sites", record_sites, "own_folder"_a,
             "From now on the engine is told where tasks and values are made: outside of this folder.");
  module.def("snapshot", snapshot, "table"_a, "A table of the state API, as JSON.");
  module.def("digest", digest, "definition"_a, "The 16 bytes that a definition is known by.");
  module.def("define_function", define_function, "id"_a, "definition"_a, "cpp"_a,
             "Makes a definition known.");
  module.def("create_actor", create_actor, "spec"_a, "actor"_a, "args"_a, "kwargs"_a,
             "(number, handle, session)");
  module.def("find_actor", find_actor, "name"_a, "space"_a, "(number, handle, session)");
  module.def("create_group", create_group, "bundles"_a, "nodes"_a, "strategy"_a, "name"_a, "space"_a,
             "detached"_a, "Asks for a placement group: (number, whether it can ever be placed).");
  module.def(
      "remove_group", [](uint64_t group) { check(need()->engine->remove_group({group})); }, "group"_a,
      "Removes a placement group.");
  module.def("watch_group", watch_group, "group"_a, "value"_a,
             nb::sig("def watch_group(group: int, value: bytes) -> ObjectRef[Any]"),
             "A reference that becomes the value once the group is placed.");
  module.def("wait_group", wait_group, "group"_a, "timeout"_a.none(), "Whether the group is placed in time.");
  module.def("groups", groups, "All placement groups.");
  module.def("kill_actor", kill_actor, "actor"_a, "no_restart"_a, "Ends an actor's process.");
  module.def("cancel", cancel, "id"_a, "force"_a, "recursive"_a, "Cancels the task of an object.");
}

}  // namespace mobula::python
