// Task(f).Remote(x): a function runs in a worker.
#pragma once

#include <string>
#include <type_traits>
#include <utility>

#include <mobula/object_ref.h>
#include <mobula/python.h>
#include <mobula/session.h>
#include <mobula/stream.h>

namespace mobula::inline v1 {
namespace internal {

/// Types that many others can be read as: whether one fits shows when it is read.
template <typename T>
inline constexpr bool kReadsMany = !std::is_arithmetic_v<T> && !std::is_enum_v<T>;

/// Adds one argument for a parameter of type P: a reference as such, a value as a P.
template <typename P, typename A>
void add_argument(ArgumentList& list, A&& argument) {
  using Parameter = std::decay_t<P>;
  using Given = std::decay_t<A>;
  if constexpr (kIsObjectRef<Given> && !kIsObjectRef<Parameter>) {
    using Value = typename Given::Type;
    static_assert(std::is_constructible_v<Parameter, Value> || (kReadsMany<Parameter> && kReadsMany<Value>),
                  "the argument's ObjectRef refers to a value of another type than the parameter's");
    list.add_reference(argument.object());
  } else {
    static_assert(Encodable<Parameter>, MOBULA_NO_CODEC);
    ValueWriter out;
    if constexpr (std::is_same_v<Given, Parameter>) {
      Codec<Parameter>::encode(out, argument);
      list.add_value(out);
    } else {
      static_assert(std::is_constructible_v<Parameter, A>, "an argument does not fit its parameter");
      const Parameter converted(std::forward<A>(argument));
      Codec<Parameter>::encode(out, converted);
      list.add_value(out);
    }
  }
}

/// The arguments of a C++ function or method, each as its parameter wants it.
template <typename F, typename... Args, size_t... I>
ArgumentList arguments_for(std::index_sequence<I...>, Args&&... args) {
  ArgumentList list;
  (add_argument<ParameterOf<F, I>>(list, std::forward<Args>(args)), ...);
  return list;
}
template <typename F, typename... Args>
ArgumentList arguments_for(Args&&... args) {
  static_assert(sizeof...(Args) == SignatureOf<F>::kArity, "the function takes another number of arguments");
  return arguments_for<F>(std::index_sequence_for<Args...>{}, std::forward<Args>(args)...);
}

/// The arguments of a Python function: references as such, values each as what it is.
template <typename A>
void add_argument_as_it_is(ArgumentList& list, A&& argument) {
  if constexpr (kIsObjectRef<std::decay_t<A>>) {
    list.add_reference(argument.object());
  } else {
    add_argument<A>(list, std::forward<A>(argument));
  }
}
template <typename... Args>
ArgumentList arguments_as_they_are(Args&&... args) {
  ArgumentList list;
  (add_argument_as_it_is(list, std::forward<Args>(args)), ...);
  return list;
}

/// A task being prepared: its options, which return the caller itself, then Remote.
template <typename Self, typename R>
class TaskCallerOptions {
 public:
  explicit TaskCallerOptions(const RemoteFunction& function) : function_(&function) {}

  /// The name in messages and lists; the function's otherwise.
  Self& SetName(std::string name) { return options_.name = std::move(name), self(); }
  /// What the task holds while it runs; one CPU unless said otherwise.
  Self& SetResources(Resources resources) { return options_.resources = std::move(resources), self(); }
  Self& SetResource(std::string name, double amount) {
    return options_.resources[std::move(name)] = amount, self();
  }
  /// How often it is run again after its worker crashed: 3 unless said otherwise, -1 without end.
  Self& SetMaxRetries(int retries) { return options_.max_retries = retries, self(); }
  /// Whether an exception too makes it run again.
  Self& SetRetryExceptions(bool retry) { return options_.retry_exceptions = retry, self(); }
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
  /// Of generators: how many items may exist that the reader has not asked for, or has asked for last; the
  /// task waits before it makes another. 1 at least; without it there is no limit.
  Self& SetGeneratorBackpressure(int items) {
    static_assert(kIsGenerator<std::decay_t<R>>, "only generators give items");
    return options_.items_ahead_max = items, self();
  }

 protected:
  ReferenceTo<R> submit(ArgumentList arguments) const {
    if constexpr (kIsGenerator<std::decay_t<R>>)
      return ReferenceTo<R>(internal::submit_stream(*function_, std::move(arguments), options_));
    else
      return ReferenceTo<R>(internal::submit(*function_, std::move(arguments), options_));
  }

 private:
  Self& self() { return static_cast<Self&>(*this); }

  const RemoteFunction* function_;
  TaskOptions options_;
};

template <typename F>
class TaskCaller : public TaskCallerOptions<TaskCaller<F>, ResultOf<F>> {
 public:
  using TaskCallerOptions<TaskCaller<F>, ResultOf<F>>::TaskCallerOptions;

  /// Submits the call and returns at once: an ObjectRef, or of a generator an ObjectRefGenerator. Arguments
  /// are values or ObjectRefs of the parameters' types.
  template <typename... Args>
  ReferenceTo<ResultOf<F>> Remote(Args&&... args) const {
    return this->submit(arguments_for<F>(std::forward<Args>(args)...));
  }
};

template <typename R>
class PyTaskCaller : public TaskCallerOptions<PyTaskCaller<R>, R> {
 public:
  using TaskCallerOptions<PyTaskCaller<R>, R>::TaskCallerOptions;

  template <typename... Args>
  ReferenceTo<R> Remote(Args&&... args) const {
    return this->submit(arguments_as_they_are(std::forward<Args>(args)...));
  }
};

}  // namespace internal

/// A registered function as a task: Task(Plus).Remote(1, 2). RayFunctionNotFound when it is not in a
/// MOBULA_REMOTE.
template <typename F>
internal::TaskCaller<F> Task(F function) {
  static_assert(internal::Callable<F>, "Task takes a function; see MOBULA_FUNC for one that is overloaded");
  static_assert(!std::is_member_function_pointer_v<F>,
                "methods are called on an actor: actor.Task(&Class::Method)");
  return internal::TaskCaller<F>(internal::lookup(function));
}

/// A Python function as a task: Task(PyFunction<double>{"math", "sqrt"}).Remote(2.0). Needs Config::python.
template <typename R>
internal::PyTaskCaller<R> Task(const PyFunction<R>& function) {
  return internal::PyTaskCaller<R>(internal::python_function(function.module_name, function.function_name));
}

/// Cancels a task: one that has not begun never runs, a running one is told (IsCancelled). With `force` its
/// worker is ended. Get then throws RayTaskCancelledException, or RayWorkerException after force.
template <typename T>
void Cancel(const ObjectRef<T>& object, bool force = false) {
  internal::cancel(object.object(), force);
}

/// Cancels a generator: its items end with an error. Dropping the last ObjectRefGenerator ends it quietly.
template <typename T>
void Cancel(const ObjectRefGenerator<T>& generator, bool force = false) {
  internal::cancel(generator.stream(), force);
}

}  // namespace mobula::inline v1
