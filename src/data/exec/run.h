// One run of a plan over an Engine: turns the executor's effects into engine calls and the engine's answers
// into facts. A thread of its own waits for facts; next(), stop() and view() may be called from any other. It
// must be gone before the engine is. Tests: tests/contract/test_data_run.py.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "data/exec/executor.h"
#include "data/exec/record.h"
#include "engine/engine.h"

namespace mobula::data {

/// How a task's arguments and the record in a payload are encoded: the binding's language decides.
struct TaskCodec {
  /// A by-value argument of raw bytes, of an encoded value, or a placeholder for the next reference;
  /// appended.
  std::function<void(std::string& args, std::string_view bytes)> add_bytes;
  std::function<void(std::string& args, std::string_view encoded)> add_encoded;
  std::function<void(std::string& args)> add_reference;
  /// The raw bytes of a payload; `invalid` if it holds something else.
  std::function<Result<std::string_view>(const Payload& payload)> bytes_of;
};

/// How an operator's tasks, or the calls of its actors, are submitted: the spec without inputs.
struct Binding {
  TaskSpec spec;
  std::vector<std::string> literals;  // of inputs: encoded values
};

struct MadeActor {
  ActorId actor;
  ObjectId ready;  // becomes a value when the actor stands; the run releases it
};

/// Makes and ends actors; called on the run's thread.
struct ActorFactory {
  std::function<Result<MadeActor>(OpIndex op, ActorNumber number)> make;
  std::function<void(ActorNumber number)> end;
};

struct RunSetup {
  Plan plan;
  ExecutorOptions options;
  std::vector<Binding> bindings;  // by operator
  std::map<OpIndex, std::vector<BlockRef>> inputs;
  ActorFactory actors;
  TaskCodec codec;
};

/// Why a run or an input failed: what a task recorded, an object that holds the engine's error, or words.
struct FailureDetail {
  OpIndex op = 0;
  std::string record;
  ObjectId object;  // the run holds a reference until it is dropped
  std::string text;
};

struct Answer {
  enum class Kind { kBlock, kEnd, kFailed, kTimeout };
  Kind kind = Kind::kTimeout;
  BlockRef block;  // the caller takes over its reference
  FailureDetail failure;
};

/// Totals of a fragment's stages and workers.
struct OpView {
  Counters counters;
  std::vector<StageTimes> stages;
  double busy_ms = 0, held_up_ms = 0;
  int64_t rss_bytes_peak = 0;
  int64_t queued = 0, running = 0, actors = 0;
  bool done = false;
};

struct RunView {
  std::vector<OpView> operators;
  int64_t memory_bytes = 0, memory_bytes_peak = 0, failures = 0;
  double elapsed_ms = 0;
  std::vector<FailureDetail> tolerated;
};

class Run {
 public:
  Run(Engine& engine, RunSetup setup);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void start();
  /// The next block of the output. After kEnd and kFailed the answer stays the same.
  Answer next(Deadline deadline);
  /// Ends what runs and releases what was not taken. Idempotent; waits for the run's thread.
  void stop();
  /// After stop(): the engine has ended since, so what the run still holds is gone already.
  void forget_engine() { details_.clear(); }
  RunView view();

 private:
  struct Fact {
    enum class Kind { kItems, kActor, kTaken, kStop };
    Kind kind;
    uint64_t number = 0;  // task or actor
    BlockRef block;
  };
  /// Outlives the run: the engine's callbacks post to it.
  struct Inbox {
    std::mutex mutex;
    std::condition_variable wake;
    std::deque<Fact> facts;
    void post(Fact fact);
    std::deque<Fact> take();
  };
  struct Pair {  // a block and its record
    ObjectId block, record;
  };
  struct Live {  // a task whose stream is read
    TaskId id;
    OpIndex op = 0;
    ActorNumber actor = kNoActor;
    uint32_t next_item = 0;
    std::vector<Pair> asked;  // in order; the first ones are there first
  };
  struct Standing {
    ActorId id;
    OpIndex op = 0;
    ObjectId ready;
  };

  void work();
  bool handle(std::deque<Fact> facts);
  void read_records(uint64_t task);
  bool take_record(uint64_t task, OpIndex op, const Pair& pair, const Payload& payload);
  void take_lost(uint64_t task, OpIndex op, const Pair& pair, const Payload& record);
  void take_actor(uint64_t number);
  Item count(const Record& record, OpIndex op);
  uint64_t note_failure(FailureDetail detail);
  double now_ms() const;

  void perform(Effects effects);
  void start_tasks(std::vector<TaskStart> starts);
  TaskSpec spec_of(const TaskStart& start) const;
  void fail_starts(const std::vector<TaskStart>& starts, const Status& status);
  void start_actor(const ActorStart& start);
  void pull(const Pull& pull);
  void drop(const TaskDrop& drop);
  void give(std::vector<BlockRef> outputs);

  Engine& engine_;
  const Plan plan_;
  const std::vector<Binding> bindings_;
  const ActorFactory factory_;
  const TaskCodec codec_;
  const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  const double started_ms_;
  std::thread thread_;

  // the run's thread alone
  std::unordered_map<uint64_t, Live> live_;
  std::unordered_map<uint64_t, Standing> actors_;
  uint64_t next_detail_ = 1;

  // any thread
  std::mutex mutex_;
  Executor executor_;
  std::vector<OpView> totals_;
  std::map<uint64_t, FailureDetail> details_;
  int64_t memory_bytes_peak_ = 0;
  double ended_ms_ = -1;
  std::condition_variable output_came_;
  std::deque<BlockRef> outputs_;
  std::optional<Failure> failed_;
  bool finished_ = false, stopped_ = false;
};

}  // namespace mobula::data
