// Init and Shutdown, and what a program may ask about the run and about the task that it is in.
#include <mobula/api.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <nlohmann/json.hpp>

#include "api/executor.h"
#include "api/registry.h"
#include "api/session.h"
#include "api/session_start.h"
#include "sys/environment.h"
#include "worker/zygote.h"

namespace mobula::inline v1 {
namespace {

using internal::RunningTask;
namespace files = std::filesystem;

/// NVIDIA devices that this process may use.
double visible_gpus() {
  if (auto listed = environment_variable("CUDA_VISIBLE_DEVICES")) {
    if (listed->empty() || *listed == "-1") return 0;
    return 1 + static_cast<double>(std::count(listed->begin(), listed->end(), ','));
  }
  double count = 0;
  std::error_code ignored;
  for (const auto& entry : files::directory_iterator("/dev", ignored)) {
    const std::string name = entry.path().filename().string();
    const bool is_device =
        name.starts_with("nvidia") && name.size() > 6 &&
        std::all_of(name.begin() + 6, name.end(), [](char c) { return c >= '0' && c <= '9'; });
    count += is_device ? 1 : 0;
  }
  return count;
}

ResourceMap resources_of(const Config& config) {
  ResourceMap amounts;
  auto set = [&](const std::string& name, double amount) {
    if (amount < 0) throw RayException("Config: resource '" + name + "' is negative");
    amounts[name] = static_cast<int64_t>(amount * static_cast<double>(kResourceUnit));
  };
  for (const auto& [name, amount] : config.resources) set(name, amount);
  if (config.num_cpus != 0) set("CPU", config.num_cpus);
  const double gpus = config.num_gpus < 0 ? visible_gpus() : config.num_gpus;
  if (gpus > 0) set("GPU", gpus);
  return amounts;
}

std::string random_space() {
  std::random_device random;
  return "job-" + to_hex(uint64_t{random()} << 32 | random());
}

/// The shared libraries of the search path: files as they are, of folders those that end in .so.
std::vector<std::string> libraries_of(const std::vector<std::string>& search_path) {
  std::vector<std::string> found;
  for (const std::string& place : search_path) {
    std::error_code failed;
    const files::path path = files::absolute(place);
    if (files::is_directory(path, failed)) {
      for (const auto& entry : files::directory_iterator(path, failed)) {
        if (entry.path().extension() == ".so") found.push_back(entry.path().string());
      }
    } else if (files::exists(path, failed)) {
      found.push_back(path.string());
    } else {
      throw RayException("Config::code_search_path: there is no file or folder '" + place + "'");
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// What workers are told of the job, in the words of a Python driver.
std::string job_document(const std::string& space, const std::vector<std::string>& libraries) {
  const nlohmann::json document = {{"namespace", space}, {"libraries", libraries}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

const RunningTask& require_task(const char* call) {
  const RunningTask* task = internal::running_task();
  if (task == nullptr) throw RayException(std::string(call) + " was called outside of a task or actor");
  return *task;
}

std::map<std::string, double> amounts(bool total) {
  std::map<std::string, double> sums;
  for (const NodeView& node : internal::require_session()->engine().cluster().nodes) {
    if (!node.alive) continue;
    for (const auto& [name, units] : total ? node.total : node.available) {
      sums[name] += static_cast<double>(units) / static_cast<double>(kResourceUnit);
    }
  }
  return sums;
}

}  // namespace

void Init() { Init(Config()); }

void Init(const Config& config) {
  if (is_zygote_process()) internal::serve_as_zygote();
  if (internal::running_task() != nullptr)
    throw RayException("Init was called in a worker, where Mobula runs already");
  if (internal::current_session() != nullptr) {
    throw RayException("Init was called twice: call Shutdown first, or ask IsInitialized()");
  }
  const std::vector<std::string> libraries = libraries_of(config.code_search_path);
  for (const std::string& library : libraries) LoadLibrary(library);
  if (const std::string name = internal::name_conflict(); !name.empty()) {
    throw RayException("two different functions are registered as '" + name +
                       "': give one another name or namespace");
  }
  const std::string space = config.ray_namespace.empty() ? random_space() : config.ray_namespace;
  EmbeddedOptions options;
  options.resources = resources_of(config);
  options.arena_bytes = config.object_store_memory;
  options.job_config = job_document(space, libraries);
  options.space = space;
  options.spill_folder = config.spill_folder;
  options.log_to_driver = config.log_to_driver;
  if (config.python.empty())
    options.zygote_command = internal::own_command();
  else
    options.zygote_command = {config.python, "-c", "from mobula._zygote import main; main()"};
  auto engine = internal::unwrap(open_embedded(std::move(options)), "Init");
  auto session = std::make_shared<internal::Session>(std::move(engine), space, !config.python.empty());
  if (!internal::open_session(session)) {
    session->stop();
    throw RayException("Init was called by two threads at once");
  }
  [[maybe_unused]] static const int kOnce = std::atexit(&Shutdown);
}

bool IsInitialized() { return internal::current_session() != nullptr; }

void Shutdown() {
  auto session = internal::current_session();
  if (session == nullptr || !session->is_driver()) return;
  session = internal::take_session();
  if (session != nullptr) session->stop();
}

std::string GetNamespace() {
  const RunningTask* task = internal::running_task();
  if (task != nullptr && !task->assignment->space.empty()) return task->assignment->space;
  return internal::require_session()->space();
}

void LoadLibrary(const std::string& path) {
  Status loaded = internal::load_library(path);
  if (!loaded.is_ok()) throw RayException(loaded.message());
}

std::map<std::string, double> ClusterResources() { return amounts(true); }
std::map<std::string, double> AvailableResources() { return amounts(false); }

void ExitActor() {
  if (require_task("ExitActor").assignment->actor.is_nil())
    throw RayException("ExitActor was called outside of an actor");
  throw internal::ActorExit{};
}

bool WasCurrentActorRestarted() {
  return require_task("WasCurrentActorRestarted").assignment->actor_restarted;
}

bool IsCancelled() {
  const RunningTask* task = internal::running_task();
  return task != nullptr && task->cancelled->load(std::memory_order_relaxed);
}

std::vector<int> GetGpuIds() { return require_task("GetGpuIds").assignment->gpu_ids; }

std::string GetCurrentTaskId() {
  const RunningTask* task = internal::running_task();
  return task == nullptr ? "" : to_hex(task->assignment->task.value);
}

void RuntimeEnv::check_field(const std::string& field) {
  if (field == "env_vars") return;
  throw RayRuntimeEnvException("runtime environment field '" + field + "': C++ workers know 'env_vars' only");
}

std::string RuntimeEnv::Serialize() const {
  if (variables_.empty()) return {};
  return nlohmann::json{{"env_vars", variables_}}.dump(-1, ' ', false,
                                                       nlohmann::json::error_handler_t::replace);
}

}  // namespace mobula::inline v1
