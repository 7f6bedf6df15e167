// The node's door to other processes and to the disk: the zygote and its socket, workers' output, spill
// files. Runs a watcher thread and a disk thread; both only post Events, which the loop takes. Tests:
// tests/process.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <variant>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "node/spill/spill_files.h"
#include "store/store.h"
#include "sys/shm.h"

namespace mobula {

struct WorkerExited {
  WorkerId worker;
  std::string cause;  // "signal 9 (SIGKILL)", with the last lines it printed
};
struct ZygoteLost {
  std::string cause;
};
struct Spilled {
  ObjectId id;
  std::optional<DiskPlace> place;
  std::string error;
};
struct Restored {
  ObjectId id;
  bool ok;
  std::string error;
};
using OutsideEvent = std::variant<WorkerExited, ZygoteLost, Spilled, Restored>;

struct OutsideOptions {
  std::vector<std::string> zygote_command, zygote_environment;
  int control_fd = -1, arena_fd = -1;
  uint8_t* arena = nullptr;
  std::string spill_folder;
  bool log_to_driver = true;
  std::function<void()> on_event;  // called by the threads after each event was posted
};

class Outside {
 public:
  explicit Outside(OutsideOptions options);
  ~Outside();
  Status start();
  void stop();

  Status spawn(WorkerId worker, uint32_t slot);
  void kill(WorkerId worker);
  void preload(std::string_view module);
  /// The last lines that a worker printed; of the ended ones the newest are kept.
  std::string output_of(WorkerId worker);
  void write(const StoreEffects::Write& write);
  void read(const StoreEffects::Read& read);
  void forget(DiskPlace place, uint64_t bytes);

  bool has_events() const { return has_events_.load(std::memory_order_acquire); }
  std::vector<OutsideEvent> take_events();

 private:
  struct Output {  // what a worker prints
    Descriptor pipe;
    int pid = 0;
    std::string line;              // not ended yet
    std::deque<std::string> tail;  // the last lines
    size_t tail_bytes = 0;
  };
  struct DiskJob {
    enum class Kind { kWrite, kRead, kForget } kind;
    ObjectId id;
    uint64_t offset = 0, bytes = 0;
    DiskPlace place;
  };

  Status start_zygote();
  void watch();
  void read_zygote();
  void read_output(WorkerId worker, Output& output);
  void end_line(WorkerId worker, Output& output);
  void show_line(WorkerId worker, const Output& output, std::string_view line);
  void on_exit(WorkerId worker, int status);
  void post(OutsideEvent event);
  void send_to_zygote(char kind, WorkerId worker, uint32_t slot, std::string_view text, int fd);
  void run_disk();

  OutsideOptions options_;
  SpillFiles files_;
  Descriptor socket_, wake_;
  int zygote_pid_ = 0;
  std::atomic<bool> stopping_ = false, has_events_ = false;
  std::mutex events_mutex_;
  std::vector<OutsideEvent> events_;
  std::mutex outputs_mutex_;
  std::map<WorkerId, Output> outputs_, ended_outputs_;
  std::deque<WorkerId> ended_order_;
  std::mutex jobs_mutex_;
  std::condition_variable jobs_wake_;
  std::deque<DiskJob> jobs_;
  std::thread watcher_, disk_;
};

}  // namespace mobula
