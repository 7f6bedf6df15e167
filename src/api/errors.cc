// Failures as exceptions: what a status, or an object without a value, is to the caller.
#include <cxxabi.h>

#include <cstdlib>

#include <mobula/exception.h>

#include "api/registry.h"
#include "api/session.h"
#include "wire/plain.h"

namespace mobula::inline v1::internal {
namespace {

/// A Python error is a pickle whose last buffer is its text, traceback and all.
bool read_python_error(std::span<const uint8_t> envelope, std::string* text) {
  auto view = parse_envelope(envelope);
  if (!view.is_ok() || view->tag != Tag::kPickle || view->buffers.empty()) return false;
  std::span<const uint8_t> last = view->buffers.back();
  text->assign(reinterpret_cast<const char*>(last.data()), last.size());
  return true;
}

/// "ValueError" from the last line of a traceback, "ValueError: no such thing".
std::pair<std::string, std::string> split_python_error(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  const size_t start = end == std::string::npos ? 0 : text.rfind('\n', end) + 1;
  const std::string last = text.substr(start, end == std::string::npos ? end : end + 1 - start);
  const size_t colon = last.find(": ");
  if (colon == std::string::npos) return {last, {}};
  return {last.substr(0, colon), last.substr(colon + 2)};
}

[[noreturn]] void throw_task_error(const Payload& payload) {
  std::string text;
  if (read_python_error(payload.data, &text)) {
    auto [type, message] = split_python_error(text);
    throw RayTaskException(text, {.type = std::move(type),
                                  .message = std::move(message),
                                  .function = {},
                                  .language = "python",
                                  .traceback = text,
                                  .pid = 0});
  }
  Result<PlainError> decoded = decode_error(payload.data);
  if (!decoded.is_ok()) {
    throw RayTaskException("a task failed, and its error cannot be read here: " + decoded.status().message());
  }
  const PlainError& error = *decoded;
  text = error.function + " threw " + error.type + ": " + error.message;
  if (error.pid != 0) text += " (in worker process " + std::to_string(error.pid) + ")";
  if (!error.traceback.empty()) text += "\n" + error.traceback;
  throw RayTaskException(text, {.type = error.type,
                                .message = error.message,
                                .function = error.function,
                                .language = error.language,
                                .traceback = error.traceback,
                                .pid = error.pid});
}

}  // namespace

void throw_status(const Status& status, const std::string& what) {
  const std::string text = what.empty() ? status.message() : what + ": " + status.message();
  switch (status.code()) {
    case Code::kTimeout:
      throw RayTimeoutException(text);
    case Code::kFull:
      throw RayObjectStoreFullException(text);
    case Code::kLost:
      throw UnreconstructableException(text);
    case Code::kInvalid:
      throw RayValueException(text);
    case Code::kCancelled:
    case Code::kInternal:
      throw RaySystemException(text);
    default:
      throw RayException(text);
  }
}

void throw_payload(const Payload& payload) {
  if (payload.kind == PayloadKind::kTaskError) throw_task_error(payload);
  const std::string text(reinterpret_cast<const char*>(payload.data.data()), payload.data.size());
  switch (payload.kind) {
    case PayloadKind::kWorkerCrashed:
      throw RayWorkerException(text);
    case PayloadKind::kActorDied:
    case PayloadKind::kActorGroupRemoved:
    case PayloadKind::kActorUnschedulable:
      throw RayActorException(text);
    case PayloadKind::kActorUnavailable:
      throw RayActorUnavailableException(text);
    case PayloadKind::kCancelled:
      throw RayTaskCancelledException(text);
    case PayloadKind::kObjectLost:
      throw UnreconstructableException(text);
    case PayloadKind::kStoreFull:
      throw RayObjectStoreFullException(text);
    case PayloadKind::kOutOfMemory:
      throw RayOutOfMemoryException(text);
    case PayloadKind::kOutOfDisk:
      throw RayOutOfDiskException(text);
    case PayloadKind::kSystemError:
      throw RaySystemException(text);
    default:
      throw RayException(text);
  }
}

std::string type_name(std::type_index type) {
  int status = 0;
  char* readable = abi::__cxa_demangle(type.name(), nullptr, nullptr, &status);
  std::string name = status == 0 && readable != nullptr ? readable : type.name();
  std::free(readable);
  constexpr std::string_view kVersioned = "mobula::v1::";  // the user's word for it has no version
  for (size_t at; (at = name.find(kVersioned)) != std::string::npos;)
    name.replace(at, kVersioned.size(), "mobula::");
  return name;
}

}  // namespace mobula::inline v1::internal
