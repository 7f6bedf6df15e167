// The C entry: its structs to an Assignment and back.
#include <mobula/entry.h>

#include <new>

#include "api/executor.h"
#include "api/registry.h"

using mobula::Assignment;
using mobula::Outcome;
using mobula::Payload;
using mobula::PayloadKind;
namespace internal = mobula::internal;

struct mobula_host {
  internal::Executor executor{nullptr};
  std::string error;
};

namespace {

std::string text_of(const mobula_bytes& bytes) {
  return bytes.data == nullptr ? std::string()
                               : std::string(static_cast<const char*>(bytes.data), bytes.size);
}

Assignment assignment_of(const mobula_call& call) {
  Assignment assignment;
  assignment.language = mobula::Language::kCpp;
  assignment.definition = text_of(call.definition);
  assignment.function = internal::cpp_function_id(assignment.definition);
  assignment.name = text_of(call.name);
  assignment.method = text_of(call.method);
  assignment.args = text_of(call.arguments);
  for (size_t i = 0; i < call.value_count; ++i) {
    const mobula_bytes& value = call.values[i];
    assignment.refs.push_back(
        {PayloadKind::kValue, {static_cast<const uint8_t*>(value.data), value.size}, nullptr});
  }
  assignment.actor.value = call.actor;
  assignment.creates_actor = call.creates_actor != 0;
  assignment.actor_restarted = call.actor_restarted != 0;
  return assignment;
}

}  // namespace

extern "C" {

mobula_host* mobula_open_host(void) { return new mobula_host; }

void mobula_close_host(mobula_host* host) { delete host; }

const char* mobula_load_library(mobula_host* host, const char* path) {
  mobula::Status loaded = internal::load_library(path);
  host->error = loaded.message();
  return loaded.is_ok() ? nullptr : host->error.c_str();
}

int mobula_run_cpp(mobula_host* host, const mobula_call* call, mobula_result* result) {
  if (host == nullptr || call == nullptr || result == nullptr) return -1;
  if (call->size != sizeof *call || result->size != sizeof *result) return -1;
  if (call->value_count > 0 && call->values == nullptr) return -1;
  const std::atomic<bool> never = false;
  Outcome outcome = host->executor.execute(assignment_of(*call), never).outcome;
  auto* memory = new std::string(std::move(outcome.values.at(0).bytes));
  const PayloadKind kind = outcome.values[0].kind;
  result->kind = outcome.exit_after                ? MOBULA_ACTOR_EXIT
                 : kind == PayloadKind::kTaskError ? MOBULA_TASK_ERROR
                                                   : MOBULA_VALUE;
  result->envelope = {memory->data(), memory->size()};
  result->memory = memory;
  return 0;
}

void mobula_free_result(mobula_result* result) {
  if (result == nullptr) return;
  delete static_cast<std::string*>(result->memory);
  result->memory = nullptr;
  result->envelope = {nullptr, 0};
}

}  // extern "C"
