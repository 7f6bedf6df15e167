// The embedded engine: a node inside this process. Opening it starts a loop thread, a watcher thread and the
// zygote; dropping it ends every worker and frees every segment and file.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace mobula {

struct EmbeddedOptions {
  ResourceMap resources;     // "CPU", "GPU", custom; "memory" and "object_store_memory" are derived
  uint64_t arena_bytes = 0;  // 0: 30 % of the memory that this process may use, at most 200 GB
  std::map<std::string, std::string> labels;
  std::vector<std::string> zygote_command;      // argv of the warm process; it must end in run_zygote()
  std::vector<std::string> zygote_environment;  // "NAME=value", added to this process's
  std::string job_config;                       // handed to each worker as it is
  std::string space;                            // namespace of the job
  std::string spill_folder;   // empty: a private folder in the temporary directory, made when needed
  bool log_to_driver = true;  // pass workers' output on to this process's
  int32_t workers_max = 0;    // 0: 64 + 16 for each CPU
};

/// Engine, plus what only the owner of a node may do.
class EmbeddedEngine : public Engine {
 public:
  /// Imports `module` in the zygote so that workers forked later have it.
  virtual void preload(std::string_view module) = 0;
  virtual const std::string& node_id() const = 0;
  virtual const std::string& job_id() const = 0;
  /// Memory of the MetricTable that all workers share.
  virtual std::span<uint8_t> metric_memory() const = 0;
  /// Ends all workers and waits for them; further calls fail with `cancelled`. Idempotent.
  virtual void stop() = 0;
};

Result<std::unique_ptr<EmbeddedEngine>> open_embedded(EmbeddedOptions options);

}  // namespace mobula
