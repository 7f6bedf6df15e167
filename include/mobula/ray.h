// Ray's C++ names for Mobula: in a program written for <ray/api.h>, include this instead. What Ray's API has
// and Mobula has not (Java, metrics, Redis) is not here or refuses with an exception;
// docs/cpp.md lists it.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <mobula/api.h>

#define RAY_REMOTE(...)                                              \
  [[maybe_unused]] static const bool MOBULA_UNIQUE(mobula_remote_) = \
      ::mobula::internal::register_all(#__VA_ARGS__, __VA_ARGS__);
#define RAY_FUNC(function, ...) ::mobula::internal::Overload<__VA_ARGS__>()(function)
#define RAYLOG(level) ::ray::LogLine(::ray::RayLoggerLevel::level, __FILE__, __LINE__).stream()

#ifndef MSGPACK_DEFINE
#define MSGPACK_DEFINE(...) MOBULA_SERIALIZE(__VA_ARGS__)
#define MSGPACK_ADD_ENUM(type) static_assert(true, "enums need nothing")
#endif

namespace ray {

using mobula::ActorHandle;
using mobula::ActorHandleXlang;
using mobula::ActorLifetime;
using mobula::ObjectRef;
using mobula::PlacementGroup;
using mobula::PlacementGroupCreationOptions;
using mobula::PlacementGroupState;
using mobula::PlacementStrategy;
using mobula::PyActorClass;
using mobula::PyActorMethod;
using mobula::PyFunction;
using mobula::RuntimeEnv;
using mobula::WaitResult;

using mobula::Actor;
using mobula::CreatePlacementGroup;
using mobula::ExitActor;
using mobula::Get;
using mobula::GetActor;
using mobula::GetAllPlacementGroups;
using mobula::GetNamespace;
using mobula::GetPlacementGroup;
using mobula::GetPlacementGroupById;
using mobula::IsInitialized;
using mobula::Put;
using mobula::RemovePlacementGroup;
using mobula::Shutdown;
using mobula::Task;
using mobula::Wait;
using mobula::WasCurrentActorRestarted;

namespace internal {
using mobula::RayActorException;
using mobula::RayException;
using mobula::RayFunctionNotFound;
using mobula::RayRuntimeEnvException;
using mobula::RayTaskException;
using mobula::RayTimeoutException;
using mobula::RayWorkerException;
using mobula::UnreconstructableException;
}  // namespace internal
using namespace internal;

/// Ray's settings. Those of a cluster are refused: this is one machine.
class RayConfig {
 public:
  std::string address;
  bool local_mode = false;  // accepted; tasks still run in workers
  std::vector<std::string> code_search_path;
  std::vector<std::string> head_args;  // "--num-cpus", "2", "--num-gpus=1", "--object-store-memory=..."
  ActorLifetime default_actor_lifetime = ActorLifetime::NON_DETACHED;
  std::string ray_namespace;
};

namespace internal {

/// The value of "--name=value" or "--name value" among the words; empty when it is not there.
inline std::string word_after(const std::vector<std::string>& words, const std::string& name) {
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == name && i + 1 < words.size()) return words[i + 1];
    if (words[i].rfind(name + "=", 0) == 0) return words[i].substr(name.size() + 1);
  }
  return {};
}

inline double number_after(const std::vector<std::string>& words, const std::string& name, double otherwise) {
  const std::string text = word_after(words, name);
  if (text.empty()) return otherwise;
  try {
    return std::stod(text);
  } catch (const std::logic_error&) {
    throw RayException(name + " takes a number, not '" + text + "'");
  }
}

}  // namespace internal

/// Starts the engine; nothing when it runs already, as in Ray.
inline void Init(const RayConfig& config) {
  if (mobula::IsInitialized()) return;
  if (!config.address.empty()) {
    throw internal::RayException("RayConfig::address is '" + config.address +
                                 "': C++ programs run on this machine, leave it empty");
  }
  mobula::Config own;
  own.num_cpus = internal::number_after(config.head_args, "--num-cpus", own.num_cpus);
  own.num_gpus = internal::number_after(config.head_args, "--num-gpus", own.num_gpus);
  own.object_store_memory = static_cast<uint64_t>(
      std::max(0.0, internal::number_after(config.head_args, "--object-store-memory", 0)));
  own.ray_namespace = config.ray_namespace;
  own.code_search_path = config.code_search_path;
  mobula::Init(own);
}

/// The same; "--ray_head_args" and the like on the command line come before the settings.
inline void Init(RayConfig config, int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  const std::string space = internal::word_after(words, "--ray_job_namespace");
  if (!space.empty()) config.ray_namespace = space;
  std::istringstream head(internal::word_after(words, "--ray_head_args"));
  for (std::string word; head >> word;) config.head_args.push_back(word);
  Init(config);
}

inline void Init() { Init(RayConfig()); }

// ---- logging
// --------------------------------------------------------------------------------------------------------

enum class RayLoggerLevel { DEBUG = -1, INFO = 0, WARNING = 1, ERROR = 2, FATAL = 3 };

/// One line on stderr, written when it is complete; DEBUG is dropped, FATAL ends the process.
class LogLine {
 public:
  LogLine(RayLoggerLevel level, const char* file, int line) : level_(level) {
    constexpr const char* kLetters[] = {"D", "I", "W", "E", "F"};
    text_ << kLetters[static_cast<int>(level) + 1] << " " << file << ":" << line << ": ";
  }
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;
  ~LogLine() {
    if (level_ == RayLoggerLevel::DEBUG) return;
    text_ << "\n";
    std::cerr << text_.str() << std::flush;
    if (level_ == RayLoggerLevel::FATAL) std::abort();
  }
  std::ostream& stream() { return text_; }

 private:
  RayLoggerLevel level_;
  std::ostringstream text_;
};

}  // namespace ray
