// What may be said about a task, an actor and the whole run.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include <mobula/exception.h>
#include <mobula/placement_group.h>

namespace mobula::inline v1 {

/// Amounts of resources by name: "CPU", "GPU", "memory" (bytes), or names of one's own. Fractions are
/// allowed.
using Resources = std::unordered_map<std::string, double>;

/// How long an actor lives: with its handles, or until it is killed.
enum class ActorLifetime { NON_DETACHED, DETACHED };

/// Surroundings of a task or actor. C++ workers know environment variables.
class RuntimeEnv {
 public:
  /// The only field is "env_vars", a map of strings; RayRuntimeEnvException for any other.
  template <typename T>
  void Set(const std::string& field, const T& value) {
    check_field(field);
    if constexpr (requires { typename T::mapped_type; }) {
      variables_ = std::map<std::string, std::string>(value.begin(), value.end());
    } else {
      throw RayRuntimeEnvException("runtime environment field 'env_vars' takes a map of strings to strings");
    }
  }
  bool Contains(const std::string& field) const { return field == "env_vars" && !variables_.empty(); }
  bool Empty() const { return variables_.empty(); }
  /// A JSON document: {"env_vars": {...}}; empty for an empty environment.
  std::string Serialize() const;

 private:
  static void check_field(const std::string& field);

  std::map<std::string, std::string> variables_;
};

/// How the engine is started.
struct Config {
  /// CPUs to give out; 0: as many as this process may use.
  double num_cpus = 0;
  /// GPUs to give out; negative: as many as the machine shows.
  double num_gpus = -1;
  /// Further resources, by names of one's own.
  Resources resources;
  /// Bytes of the arena; 0: 30 % of the memory that this process may use.
  uint64_t object_store_memory = 0;
  /// Namespace of named actors; empty: one of this job's own.
  std::string ray_namespace;
  /// Where objects spill to when the arena is full; empty: a private folder in the temporary directory.
  std::string spill_folder;
  /// Print what workers print.
  bool log_to_driver = true;
  /// A Python interpreter that has Mobula installed ("python3"). Then workers are Python processes: they run
  /// Python functions, and the C++ functions of the libraries in code_search_path. Empty: workers are this
  /// program.
  std::string python;
  /// Shared libraries with remote functions, or folders of them. They are loaded here and in the workers.
  std::vector<std::string> code_search_path;
};

namespace internal {

struct GroupOptions {
  uint64_t id = 0;
  int bundle_index = -1;
  bool outside = false;  // of the group that the parent may be in
  int captures = -1;     // children run in the group: 1 yes, 0 no, -1 as the parent does
};

struct TaskOptions {
  std::string name;
  Resources resources;
  GroupOptions group;
  std::optional<int> max_retries;
  bool retry_exceptions = false;
  int items_ahead_max = -1;  // of generators
  std::string runtime_env;
};

struct ActorOptions {
  std::string name;
  std::optional<std::string> space;
  Resources resources;
  GroupOptions group;
  int max_restarts = 0;
  int max_task_retries = 0;
  int max_concurrency = 1;
  int max_pending_calls = -1;
  bool detached = false;
  bool get_if_exists = false;
  std::string runtime_env;
};

}  // namespace internal
}  // namespace mobula::inline v1
