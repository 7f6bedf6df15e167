// Actor(Factory).Remote(x): an object that lives in a worker of its own; its methods are called through
// handles.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <mobula/object_ref.h>
#include <mobula/python.h>
#include <mobula/session.h>
#include <mobula/task.h>

namespace mobula::inline v1 {
namespace internal {

/// A method call being prepared: options, then Remote.
template <typename Self, typename R>
class ActorTaskCallerOptions {
 public:
  ActorTaskCallerOptions(ActorPtr actor, std::string method)
      : actor_(std::move(actor)), method_(std::move(method)) {}

  /// The name in messages and lists; the method's otherwise.
  Self& SetName(std::string name) { return options_.name = std::move(name), self(); }
  /// How often the call is made again when the actor dies in it; the actor's SetMaxTaskRetries otherwise.
  Self& SetMaxTaskRetries(int retries) { return options_.max_retries = retries, self(); }
  /// Methods hold what their actor holds: these are accepted, as in Ray, and change nothing.
  Self& SetResources(const Resources&) { return self(); }
  Self& SetResource(const std::string&, double) { return self(); }
  /// Of generators: how far the method may be ahead of its reader, as for tasks.
  Self& SetGeneratorBackpressure(int items) {
    static_assert(kIsGenerator<std::decay_t<R>>, "only generators give items");
    return options_.items_ahead_max = items, self();
  }

 protected:
  ReferenceTo<R> submit(ArgumentList arguments) const {
    if constexpr (kIsGenerator<std::decay_t<R>>)
      return ReferenceTo<R>(call_stream(actor_, method_, std::move(arguments), options_));
    else
      return ReferenceTo<R>(call(actor_, method_, std::move(arguments), options_));
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  ActorPtr actor_;
  std::string method_;
  TaskOptions options_;
};

template <typename F>
class ActorTaskCaller : public ActorTaskCallerOptions<ActorTaskCaller<F>, ResultOf<F>> {
 public:
  using ActorTaskCallerOptions<ActorTaskCaller<F>, ResultOf<F>>::ActorTaskCallerOptions;

  /// Submits the call and returns at once. Calls from one place run in the order of their submission, unless
  /// the actor runs several at a time.
  template <typename... Args>
  ReferenceTo<ResultOf<F>> Remote(Args&&... args) const {
    return this->submit(arguments_for<F>(std::forward<Args>(args)...));
  }
};

template <typename R>
class PyActorTaskCaller : public ActorTaskCallerOptions<PyActorTaskCaller<R>, R> {
 public:
  using ActorTaskCallerOptions<PyActorTaskCaller<R>, R>::ActorTaskCallerOptions;

  template <typename... Args>
  ReferenceTo<R> Remote(Args&&... args) const {
    return this->submit(arguments_as_they_are(std::forward<Args>(args)...));
  }
};

}  // namespace internal

/// A handle to an actor; a cheap value that may be passed to tasks and other actors. An actor ends after its
/// last call once no handle is left anywhere. A named one is held besides by the process that made it, until
/// Kill or Shutdown. `IsXlang`: an actor of a Python class.
template <typename T, bool IsXlang = false>
class ActorHandle {
 public:
  ActorHandle() = default;
  explicit ActorHandle(internal::ActorPtr actor) : actor_(std::move(actor)) {}

  /// A method of the actor, or of a class that it is derived from: handle.Task(&Counter::Add).Remote(1).
  template <typename F>
  internal::ActorTaskCaller<F> Task(F method) const {
    static_assert(!IsXlang, "methods of a Python actor are named: PyActorMethod<int>{\"add\"}");
    static_assert(std::is_member_function_pointer_v<F>, "an actor is called by its methods");
    using Class = typename internal::SignatureOf<F>::Class;
    static_assert(std::is_base_of_v<Class, T>, "the method is not one of the actor's class");
    if constexpr (!std::is_same_v<Class, T>) static_cast<void>(&internal::Upcast<T, Class>::kKnown);
    return internal::ActorTaskCaller<F>(actor_, internal::lookup(method).name);
  }
  template <typename R>
  internal::PyActorTaskCaller<R> Task(const PyActorMethod<R>& method) const {
    static_assert(IsXlang, "the actor is a C++ one: name a method of its class");
    return internal::PyActorTaskCaller<R>(actor_, method.function_name);
  }

  /// Ends the actor at once; running calls fail with RayActorException. With `no_restart` false it is started
  /// anew if it has restarts left.
  void Kill(bool no_restart = true) const { internal::kill(actor_, no_restart); }

  /// The actor's id: 16 hex digits; empty for a handle to nothing.
  std::string ID() const { return internal::to_hex(actor_); }
  bool IsNil() const { return actor_ == nullptr; }
  const internal::ActorPtr& actor() const { return actor_; }

 private:
  internal::ActorPtr actor_;
};

/// A handle to an actor of a Python class.
using ActorHandleXlang = ActorHandle<void, true>;

template <typename T, bool IsXlang>
struct Codec<ActorHandle<T, IsXlang>> {
  static void encode(ValueWriter& out, const ActorHandle<T, IsXlang>& value) {
    if (value.IsNil()) return out.null();
    out.actor(value.actor());
  }
  static ActorHandle<T, IsXlang> decode(ValueReader& in) {
    if (in.kind() == ItemKind::kNull) return in.null(), ActorHandle<T, IsXlang>();
    return ActorHandle<T, IsXlang>(in.actor());
  }
};

namespace internal {

/// An actor being prepared: options, then Remote.
template <typename Self>
class ActorCreatorOptions {
 public:
  explicit ActorCreatorOptions(const RemoteFunction& factory) : factory_(&factory) {}

  /// A name under which GetActor finds it, unique in its namespace.
  Self& SetName(std::string name) { return options_.name = std::move(name), self(); }
  Self& SetName(std::string name, std::string ray_namespace) {
    options_.space = std::move(ray_namespace);
    return SetName(std::move(name));
  }
  /// What it holds as long as it lives. With nothing said: one CPU to be placed, none afterwards.
  Self& SetResources(Resources resources) { return options_.resources = std::move(resources), self(); }
  Self& SetResource(std::string name, double amount) {
    return options_.resources[std::move(name)] = amount, self();
  }
  /// How often it is started anew after its process ended; -1 without end.
  Self& SetMaxRestarts(int restarts) { return options_.max_restarts = restarts, self(); }
  /// How often a call is made again that was running when the process ended.
  Self& SetMaxTaskRetries(int retries) { return options_.max_task_retries = retries, self(); }
  /// How many calls run at a time, each on a thread of its own. More than one: in no certain order.
  Self& SetMaxConcurrency(int calls) { return options_.max_concurrency = calls, self(); }
  /// How many calls may wait; further ones fail. -1: any number.
  Self& SetMaxPendingCalls(int calls) { return options_.max_pending_calls = calls, self(); }
  /// DETACHED: it lives until it is killed, whatever becomes of its handles.
  Self& SetLifetime(ActorLifetime lifetime) {
    return options_.detached = lifetime == ActorLifetime::DETACHED, self();
  }
  /// A living actor of that name is used instead of making one.
  Self& SetGetIfExists(bool get) { return options_.get_if_exists = get, self(); }
  /// Runs it in a bundle of the group; -1: in whichever has room. An empty group: in none, not even the
  /// parent's.
  Self& SetPlacementGroup(const PlacementGroup& group, int bundle_index) {
    options_.group.id = group.id();
    options_.group.outside = group.Empty();
    return options_.group.bundle_index = bundle_index, self();
  }
  /// Whether what it submits itself runs in its group too; as its parent has it unless said.
  Self& SetPlacementGroupCaptureChildTasks(bool captures) {
    return options_.group.captures = captures, self();
  }
  Self& SetRuntimeEnv(const RuntimeEnv& env) { return options_.runtime_env = env.Serialize(), self(); }

 protected:
  ActorPtr create(ArgumentList arguments) const {
    return create_actor(*factory_, std::move(arguments), options_);
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  const RemoteFunction* factory_;
  ActorOptions options_;
};

template <typename F>
class ActorCreator : public ActorCreatorOptions<ActorCreator<F>> {
 public:
  using ActorCreatorOptions<ActorCreator<F>>::ActorCreatorOptions;
  using Made = typename MadeBy<ResultOf<F>>::type;

  /// Starts the actor and returns at once. What its factory throws is thrown by calls of its methods.
  template <typename... Args>
  ActorHandle<Made> Remote(Args&&... args) const {
    return ActorHandle<Made>(this->create(arguments_for<F>(std::forward<Args>(args)...)));
  }
};

class PyActorCreator : public ActorCreatorOptions<PyActorCreator> {
 public:
  using ActorCreatorOptions<PyActorCreator>::ActorCreatorOptions;

  template <typename... Args>
  ActorHandleXlang Remote(Args&&... args) const {
    return ActorHandleXlang(this->create(arguments_as_they_are(std::forward<Args>(args)...)));
  }
};

}  // namespace internal

/// An actor of a C++ class: `factory` is a registered function that returns a new object, as a pointer or
/// unique_ptr.
template <typename F>
internal::ActorCreator<F> Actor(F factory) {
  static_assert(internal::Callable<F>,
                "Actor takes a factory function; see MOBULA_FUNC for one that is overloaded");
  static_assert(!std::is_void_v<typename internal::MadeBy<internal::ResultOf<F>>::type>,
                "the factory has to return a pointer to a new object");
  return internal::ActorCreator<F>(internal::lookup(factory));
}

/// An actor of a Python class. Needs Config::python.
inline internal::PyActorCreator Actor(const PyActorClass& made) {
  return internal::PyActorCreator(internal::python_function(made.module_name, made.class_name));
}

/// A handle to a named actor of a C++ class; nothing when there is none. An empty namespace is the job's own.
template <typename T>
std::optional<ActorHandle<T>> GetActor(const std::string& name, const std::string& ray_namespace = "") {
  auto found = internal::find_actor(name, ray_namespace);
  if (found == nullptr) return std::nullopt;
  return ActorHandle<T>(std::move(found));
}

/// A handle to a named actor of a Python class; nothing when there is none.
inline std::optional<ActorHandleXlang> GetActor(const std::string& name,
                                                const std::string& ray_namespace = "") {
  auto found = internal::find_actor(name, ray_namespace);
  if (found == nullptr) return std::nullopt;
  return ActorHandleXlang(std::move(found));
}

/// The same as handle.Kill(no_restart).
template <typename T, bool IsXlang>
void Kill(const ActorHandle<T, IsXlang>& actor, bool no_restart = true) {
  actor.Kill(no_restart);
}

}  // namespace mobula::inline v1
