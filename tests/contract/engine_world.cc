// The workers of the engine's contract tests: this program again, started with a variable that says so. What
// they run is chosen by the name of the task.
#include "engine_world.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "sys/environment.h"
#include "worker/worker.h"
#include "worker/zygote.h"

namespace mobula {
namespace {

constexpr char kWorldVariable[] = "MOBULA_ENGINE_WORLD";

Value text_value(std::string text) {
  Value value;
  value.bytes = std::move(text);
  return value;
}

Outcome answer(std::string text) {
  Outcome outcome;
  outcome.values.push_back(text_value(std::move(text)));
  return outcome;
}

class WorldRunner : public TaskRunner {
 public:
  explicit WorldRunner(Worker& worker) : worker_(worker) {}

  void run(Assignment assignment) override {
    if (assignment.creates_actor) concurrency_ = assignment.max_concurrency;
    if (assignment.creates_actor || concurrency_ == 1) return run_here(std::move(assignment));
    std::lock_guard lock(mutex_);
    threads_.emplace_back(
        [this, one = std::make_shared<Assignment>(std::move(assignment))] { run_here(*one); });
  }
  void cancel(TaskId task) override {
    std::lock_guard lock(mutex_);
    cancelled_.insert(task);
  }
  void drain() override {
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  using Function = Outcome (WorldRunner::*)(const Assignment&);

  void run_here(const Assignment& assignment) {
    auto found = functions().find(assignment.name);
    Outcome outcome = found == functions().end() ? answer("no function " + assignment.name)
                                                 : (this->*found->second)(assignment);
    worker_.finish(assignment.task, std::move(outcome));
  }
  bool is_cancelled(TaskId task) {
    std::lock_guard lock(mutex_);
    return cancelled_.contains(task);
  }
  Engine& engine() { return worker_.engine(); }
  ObjectId object(TaskId task, uint32_t index = 0) { return {task, index, engine().session()}; }
  ObjectId submit(std::string name, std::string args, std::vector<ObjectId> refs = {}) {
    TaskSpec spec;
    spec.name = std::move(name);
    spec.args = std::move(args);
    spec.refs = std::move(refs);
    spec.language = Language::kCpp;
    spec.resources["CPU"] = kResourceUnit;
    std::vector<TaskSpec> batch;
    batch.push_back(std::move(spec));
    return object(engine().submit(std::move(batch))->at(0));
  }
  std::string read(ObjectId id) {
    auto got = engine().get({&id, 1}, Deadline::never());
    if (!got.is_ok()) return got.status().to_string();
    return {got->at(0).data.begin(), got->at(0).data.end()};
  }

  /// "text|first argument|second argument"
  Outcome echo(const Assignment& one) {
    std::string text = one.args;
    for (const Payload& ref : one.refs) {
      text +=
          "|" + std::string(ref.data.begin(), ref.data.begin() + std::min<ptrdiff_t>(20, ref.data.size()));
    }
    return answer(std::move(text));
  }
  Outcome nested(const Assignment& one) {
    ObjectId inner = submit("echo", one.args);
    std::string text = "nested " + read(inner);
    engine().release(inner);
    return answer(std::move(text));
  }
  Outcome fibonacci(const Assignment& one) {
    int n = std::stoi(one.args);
    if (n < 2) return answer(one.args);
    ObjectId first = submit("fibonacci", std::to_string(n - 1)),
             second = submit("fibonacci", std::to_string(n - 2));
    int sum = std::stoi(read(first)) + std::stoi(read(second));
    engine().release(first);
    engine().release(second);
    return answer(std::to_string(sum));
  }
  /// So many MiB, filled with 7.
  Outcome large(const Assignment& one) {
    auto buffer = engine().allocate(std::stoul(one.args) << 20, Deadline::never());
    if (!buffer.is_ok()) return answer(buffer.status().to_string());
    std::memset(buffer->data().data(), 7, buffer->data().size());
    Outcome outcome;
    outcome.values.emplace_back();
    outcome.values[0].buffer = *std::move(buffer);
    return outcome;
  }
  /// Adds up all bytes of its arguments.
  Outcome sum(const Assignment& one) {
    uint64_t total = 0;
    for (const Payload& ref : one.refs) {
      for (uint8_t byte : ref.data) total += byte;
    }
    return answer(std::to_string(total));
  }
  Outcome many(const Assignment& one) {
    Outcome outcome;
    for (int32_t i = 0; i < one.returns; ++i) {
      outcome.values.push_back(
          text_value(std::string(std::stoul(one.args), static_cast<char>('a' + i % 26))));
    }
    return outcome;
  }
  Outcome raise(const Assignment& one) {
    Outcome outcome = answer("ValueError: " + one.args);
    outcome.values[0].kind = PayloadKind::kTaskError;
    outcome.retriable = one.retry_exceptions;
    return outcome;
  }
  Outcome attempt(const Assignment& one) {
    if (one.attempt < std::stoul(one.args)) return raise(one);
    return answer("attempt " + std::to_string(one.attempt));
  }
  Outcome die(const Assignment& one) {
    std::printf("these are my last words\n");
    std::fflush(stdout);
    _exit(std::stoi(one.args));
  }
  /// Dies until the file has that many lines.
  Outcome die_until(const Assignment& one) {
    size_t at = one.args.find(' ');
    std::string path = one.args.substr(at + 1);
    std::ofstream(path, std::ios::app) << "x\n";
    std::ifstream file(path);
    auto lines = std::count(std::istreambuf_iterator<char>(file), {}, '\n');
    if (lines < std::stol(one.args)) kill(getpid(), SIGKILL);
    return answer("lived after " + std::to_string(lines));
  }
  Outcome sleep_ms(const Assignment& one) {
    auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(std::stol(one.args));
    while (std::chrono::steady_clock::now() < until) {
      if (is_cancelled(one.task)) {
        Outcome outcome = answer("cancelled while it slept");
        outcome.values[0].kind = PayloadKind::kCancelled;
        return outcome;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return answer("slept " + one.args);
  }
  Outcome pid(const Assignment&) { return answer(std::to_string(getpid())); }
  Outcome leave(const Assignment& one) {
    Outcome outcome = answer("left");
    outcome.exit_after = true;
    outcome.exit_reason = one.args;
    return outcome;
  }
  /// So many items; "items bytes" makes large ones.
  Outcome stream(const Assignment& one) {
    size_t at = one.args.find(' ');
    size_t bytes = at == std::string::npos ? 0 : std::stoul(one.args.substr(at + 1));
    Outcome outcome;
    for (uint32_t i = 0; i < std::stoul(one.args); ++i) {
      Value item = text_value("item " + std::to_string(i));
      if (bytes > 0) {
        auto buffer = engine().allocate(bytes, Deadline::never());
        if (!buffer.is_ok()) break;
        std::memset(buffer->data().data(), static_cast<int>(i), bytes);
        item.buffer = *std::move(buffer);
      }
      if (!worker_.stream_item(one.task, i, std::move(item)).is_ok()) break;
    }
    return outcome;
  }
  /// A value that contains a reference to another one, made here.
  Outcome box(const Assignment& one) {
    auto inner = engine().put(text_value("inside " + one.args));
    Value value = text_value(std::string(reinterpret_cast<const char*>(&*inner), sizeof(ObjectId)));
    value.contained = {*inner};
    kept_.push_back(*inner);
    Outcome outcome;
    outcome.values.push_back(std::move(value));
    return outcome;
  }
  Outcome unbox(const Assignment&) {
    for (ObjectId id : std::exchange(kept_, {})) engine().release(id);
    return answer("done");
  }
  Outcome construct(const Assignment& one) {
    if (one.args == "bad") return raise(one);
    restarted_ = one.actor_restarted;
    return answer("");
  }
  Outcome add(const Assignment& one) {
    std::lock_guard lock(mutex_);
    count_ += std::stol(one.args);
    return answer(std::to_string(count_) + (restarted_ ? " after a restart" : ""));
  }
  /// Asks for its arguments again and again, with deadlines that are about to pass.
  Outcome hurry(const Assignment& one) {
    int late = 0, seen = 0;
    for (int i = 0; i < std::stoi(one.args); ++i) {
      ObjectId id = submit("large", "1");
      Result<std::vector<Payload>> got = Status(Code::kTimeout, "");
      while (!got.is_ok()) {
        got = engine().get({&id, 1}, Deadline::after(std::chrono::microseconds(10 * (i % 40))));
        ++(got.is_ok() ? seen : late);
      }
      engine().release(id);
    }
    return answer(std::to_string(seen) + " seen");
  }

  static const std::map<std::string, Function>& functions() {
    static const std::map<std::string, Function> table = {
        {"echo", &WorldRunner::echo},
        {"nested", &WorldRunner::nested},
        {"fibonacci", &WorldRunner::fibonacci},
        {"large", &WorldRunner::large},
        {"sum", &WorldRunner::sum},
        {"many", &WorldRunner::many},
        {"raise", &WorldRunner::raise},
        {"attempt", &WorldRunner::attempt},
        {"die", &WorldRunner::die},
        {"die_until", &WorldRunner::die_until},
        {"sleep", &WorldRunner::sleep_ms},
        {"pid", &WorldRunner::pid},
        {"leave", &WorldRunner::leave},
        {"stream", &WorldRunner::stream},
        {"box", &WorldRunner::box},
        {"unbox", &WorldRunner::unbox},
        {"construct", &WorldRunner::construct},
        {"add", &WorldRunner::add},
        {"hurry", &WorldRunner::hurry},
    };
    return table;
  }

  Worker& worker_;
  std::mutex mutex_;
  std::set<TaskId> cancelled_;
  std::vector<std::thread> threads_;
  std::vector<ObjectId> kept_;
  int32_t concurrency_ = 1;
  int64_t count_ = 0;
  bool restarted_ = false;
};

/// Before main(): a process that was started as a zygote of such an engine never gets to the tests.
const bool kBecameWorker = [] {
  if (!is_zygote_process() || !environment_variable(kWorldVariable)) return false;
  WorkerBoot boot = run_zygote({});
  auto worker = open_worker(boot);
  if (!worker.is_ok()) _exit(70);
  auto* runner = new WorldRunner(**worker);
  _exit((*worker)->run(*runner));
}();

}  // namespace

EmbeddedOptions world_options() {
  EmbeddedOptions options;
  options.resources["CPU"] = 2 * kResourceUnit;
  options.arena_bytes = 64 << 20;
  options.zygote_command = {"/proc/self/exe"};
  options.zygote_environment = {std::string(kWorldVariable) + "=1"};
  options.log_to_driver = false;
  return options;
}

}  // namespace mobula
