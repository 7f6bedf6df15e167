// From an assignment's bytes to a C++ call and back.
#include "api/executor.h"

#include <cxxabi.h>
#include <unistd.h>

#include <mobula/exception.h>

#include "api/session.h"
#include "wire/envelope.h"
#include "wire/plain.h"

namespace mobula::inline v1::internal {
namespace {

Outcome failed(PayloadKind kind, std::string bytes, std::string reason) {
  Outcome outcome;
  outcome.values.emplace_back();
  outcome.values.back().kind = kind;
  outcome.values.back().bytes = std::move(bytes);
  outcome.exit_reason = std::move(reason);
  return outcome;
}

/// What user code threw, as the caller will read it.
Outcome raised(const Assignment& assignment, std::string type, std::string message) {
  PlainError error{.type = std::move(type),
                   .message = std::move(message),
                   .function = assignment.name,
                   .language = "cpp",
                   .traceback = {},
                   .pid = getpid()};
  std::string reason = error.type + ": " + error.message;
  Outcome outcome = failed(PayloadKind::kTaskError, encode_error(error), std::move(reason));
  outcome.retriable = assignment.retry_exceptions;
  return outcome;
}

std::string thrown_type() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  return type == nullptr ? "an exception of another language" : type_name(*type);
}

/// The arguments in order; a reference is replaced by the value that came with the assignment.
std::vector<ValueReader> arguments_of(const Assignment& assignment) {
  auto views = parse_arguments(assignment.args);
  if (!views.is_ok()) throw RaySystemException(views.status().message());
  std::vector<ValueReader> readers;
  readers.reserve(views->size());
  size_t reference = 0;
  for (const ArgumentView& view : *views) {
    if (!view.keyword.empty()) {
      throw RayValueException("C++ functions take no keyword arguments, '" + std::string(view.keyword) +
                              "' was given");
    }
    if (!view.is_reference) {
      readers.emplace_back(view.envelope, nullptr);
      continue;
    }
    if (reference >= assignment.refs.size())
      throw RaySystemException("an argument's value did not come with its task");
    const Payload& payload = assignment.refs[reference++];
    if (payload.kind != PayloadKind::kValue) throw_payload(payload);
    readers.emplace_back(payload.data, payload.owner);
  }
  return readers;
}

/// "name", or "name\nlibrary".
std::pair<std::string, std::string> split_definition(const std::string& definition) {
  const size_t at = definition.find('\n');
  if (at == std::string::npos) return {definition, {}};
  return {definition.substr(0, at), definition.substr(at + 1)};
}

/// A generator's results are asked for one by one, those of all others at once.
void check_results(const RemoteFunction& function, const Assignment& assignment) {
  if (function.is_generator == (assignment.returns == kStreaming)) return;
  throw RayException(function.name + (function.is_generator
                                          ? " is a generator: its values have to be read as a stream"
                                          : " is no generator: it has one value, and no stream of them"));
}

}  // namespace

RemoteCall::RemoteCall(const RemoteFunction& function, std::vector<ValueReader> arguments, void* self,
                       std::type_index self_type)
    : function_(function), arguments_(std::move(arguments)), self_(self), self_type_(self_type) {
  if (arguments_.size() == function_.arity) return;
  throw RayValueException(function_.name + " takes " + std::to_string(function_.arity) + " arguments, " +
                          std::to_string(arguments_.size()) + " were given");
}

void RemoteCall::produce(std::shared_ptr<void> object, std::type_index type) {
  if (object == nullptr) throw RayException("the factory " + function_.name + " returned a null pointer");
  object_ = std::move(object);
  object_type_ = type;
}

void* RemoteCall::self_as(std::type_index wanted) const {
  void* object = upcast(self_, self_type_, wanted);
  if (object != nullptr) return object;
  throw RayFunctionNotFound("the actor is a " + type_name(self_type_) + ", which has no method " +
                            function_.name);
}

void RemoteCall::bad_argument(size_t index, const char* what) const {
  throw RayValueException("argument " + std::to_string(index + 1) + " of " + function_.name + ": " + what);
}

void RemoteCall::not_a_value() const {
  throw RayException(function_.name + " returns a pointer: it makes an actor (mobula::Actor), it is no task");
}

const RemoteFunction& Executor::function_for(const Assignment& assignment) {
  std::lock_guard held(lock_);
  auto [known, is_new] = functions_.try_emplace(assignment.function, nullptr);
  if (known->second != nullptr) return *known->second;
  auto [name, library] =
      split_definition(assignment.definition.empty() ? assignment.name : assignment.definition);
  known->second = find_named(name);
  if (known->second == nullptr && !library.empty()) {
    if (Status loaded = load_library(library); !loaded.is_ok()) throw RayFunctionNotFound(loaded.message());
    known->second = find_named(name);
  }
  if (known->second != nullptr) return *known->second;
  functions_.erase(known);
  throw RayFunctionNotFound("no function '" + name + "' is registered " +
                            (library.empty()
                                 ? "in this worker: is it in a MOBULA_REMOTE of the program, or of a library "
                                   "in Config::code_search_path?"
                                 : "by library '" + library + "'"));
}

Executor::Instance Executor::instance_of(ActorId actor) {
  std::lock_guard held(lock_);
  auto found = actors_.find(actor);
  if (found == actors_.end()) throw RayActorException("the actor is not in this worker");
  return found->second;
}

void Executor::stream_to_reader(RemoteCall& call, const Assignment& assignment) {
  if (take_item_ == nullptr) throw RayException(assignment.name + " is a generator: it cannot run here");
  call.take_items([this, &assignment, index = uint32_t{0}](const ValueWriter& item) mutable {
    const auto what = [&] { return "item " + std::to_string(index) + " of " + assignment.name; };
    Result<Value> value = make_value(engine_, item);
    if (!value.is_ok()) throw_status(value.status(), what());
    const Status taken = take_item_(assignment.task, index, std::move(*value));
    if (!taken.is_ok() && taken.code() != Code::kCancelled) throw_status(taken, what());
    ++index;
    return taken.is_ok();
  });
}

Executed Executor::call(const Assignment& assignment) {
  const bool is_call = !assignment.actor.is_nil() && !assignment.creates_actor;
  if (assignment.returns != kStreaming && (assignment.returns < 0 || assignment.returns > 1)) {
    throw RayException("C++ functions have one result; " + std::to_string(assignment.returns) +
                       " were asked for");
  }
  Instance self;
  const RemoteFunction* function = nullptr;
  if (is_call) {
    self = instance_of(assignment.actor);
    function = find_method(assignment.method, self.type);
    if (function == nullptr) {
      throw RayFunctionNotFound("the actor's class " + type_name(self.type) + " has no registered method '" +
                                assignment.method +
                                "': name it in MOBULA_REMOTE, as &Class::" + assignment.method);
    }
  } else {
    function = &function_for(assignment);
    if (function->is_method) throw RayFunctionNotFound(function->name + " is a method: call it on an actor");
  }
  check_results(*function, assignment);
  RemoteCall call(*function, arguments_of(assignment), self.object.get(), self.type);
  if (assignment.creates_actor) call.want_object();
  if (function->is_generator) stream_to_reader(call, assignment);
  function->invoke(*function, call);
  if (assignment.creates_actor) {
    if (call.object() == nullptr) throw RayException(function->name + " returns no pointer to a new object");
    std::lock_guard held(lock_);
    actors_[assignment.actor] = {call.object(), call.object_type()};
    call.result().null();
  }
  Executed executed{{}, call.result().objects(), call.result().actors()};
  if (assignment.returns == 1) {
    Result<Value> value = make_value(engine_, call.result());
    if (!value.is_ok()) throw_status(value.status(), "the result of " + assignment.name);
    executed.outcome.values.push_back(std::move(*value));
  }
  return executed;
}

Executed Executor::execute(const Assignment& assignment, const std::atomic<bool>& cancelled) {
  const RunningTask task{&assignment, &cancelled};
  const RunningScope scope(task);
  try {
    Executed executed = call(assignment);
    if (!cancelled.load(std::memory_order_relaxed) || !assignment.actor.is_nil()) return executed;
    return {failed(PayloadKind::kCancelled, "task " + assignment.name + " was cancelled while it ran", {}),
            {},
            {}};
  } catch (const ActorExit&) {
    Outcome outcome =
        failed(PayloadKind::kActorDied, "the actor has ended: it called ExitActor", "ExitActor was called");
    outcome.exit_after = true;
    return {std::move(outcome), {}, {}};
  } catch (const abi::__forced_unwind&) {
    throw;
  } catch (const std::exception& error) {
    return {raised(assignment, thrown_type(), error.what()), {}, {}};
  } catch (...) {
    return {raised(assignment, thrown_type(), "thrown as a value that is no std::exception"), {}, {}};
  }
}

void Executor::drop_actors() {
  std::unordered_map<ActorId, Instance> dropped;
  std::lock_guard held(lock_);
  dropped.swap(actors_);
}

}  // namespace mobula::inline v1::internal
