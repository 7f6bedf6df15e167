// A program that uses Mobula is started anew as the zygote of its workers. That is decided before main, so
// that nothing which main does (arguments, output, files) happens again in them: __libc_start_main, which
// every program's entry code calls, is defined here, and passes main on untouched in all other processes.
// Where it is not linked that way, Init decides the same.
#include "api/session_start.h"

#include <dlfcn.h>
#include <limits.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "api/cpp_runner.h"
#include "worker/worker.h"
#include "worker/zygote.h"

namespace mobula::inline v1::internal {

std::vector<std::string> own_command() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string line{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<std::string> words;
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find('\0', at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end + 1;
  }
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  const std::string program = length > 0 ? std::string(path, static_cast<size_t>(length)) : "";
  if (words.empty()) words.emplace_back();
  words[0] = access(program.c_str(), X_OK) == 0 ? program : "/proc/self/exe";
  return words;
}

void serve_as_zygote() {
  const WorkerBoot boot = run_zygote({});
  Result<std::unique_ptr<Worker>> opened = open_worker(boot);
  if (!opened.is_ok()) {
    std::fprintf(stderr, "mobula: a worker could not start: %s\n", opened.status().to_string().c_str());
    _exit(1);
  }
  Worker& worker = **opened;
  const auto config = nlohmann::json::parse(worker.job_config(), nullptr, false);
  CppRunnerOptions options;
  if (config.is_object()) options.space = config.value("namespace", "");
  int status = 0;
  {
    CppRunner runner(worker, std::move(options));
    status = worker.run(runner);
  }
  opened->reset();
  std::cout.flush();
  std::fflush(nullptr);
  _exit(status);  // not exit: what the program would do at its end is not the worker's to do
}

}  // namespace mobula::inline v1::internal

namespace {

using Main = int (*)(int, char**, char**);
using StartMain = int (*)(Main, int, char**, void (*)(), void (*)(), void (*)(), void*);

Main program_main(Main replacement) {
  static Main original = nullptr;
  if (replacement != nullptr) original = replacement;
  return original;
}

int main_or_zygote(int count, char** words, char** environment) {
  if (mobula::is_zygote_process()) mobula::internal::serve_as_zygote();
  return program_main(nullptr)(count, words, environment);
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int __libc_start_main(Main main, int count, char** words,
                                                                void (*init)(), void (*fini)(),
                                                                void (*loader_fini)(), void* stack_end) {
  program_main(main);
  auto next = reinterpret_cast<StartMain>(dlsym(RTLD_NEXT, "__libc_start_main"));
  if (next == nullptr) std::abort();
  return next(main_or_zygote, count, words, init, fini, loader_fini, stack_end);
}
