// mobula_sim_run: runs seeds one after the other, and says which one it was that failed.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "world.h"

namespace {

volatile uint64_t seed_running = 0;

/// A broken CHECK aborts: then the seed is what matters.
void on_abort(int) {
  std::fprintf(stderr, "simulation: the last steps were\n");
  if (mobula::sim::running_world != nullptr) mobula::sim::running_world->dump();
  std::fprintf(stderr, "simulation: seed %llu failed; replay it with ./dev sim --seed %llu --trace\n",
               static_cast<unsigned long long>(seed_running), static_cast<unsigned long long>(seed_running));
  std::_Exit(1);
}

uint64_t number_after(int argc, char** argv, const char* name, uint64_t otherwise) {
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], name) == 0) return std::strtoull(argv[i + 1], nullptr, 10);
  }
  return otherwise;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGABRT, on_abort);
  uint64_t first = number_after(argc, argv, "--seed", number_after(argc, argv, "--from", 1));
  uint64_t count = number_after(argc, argv, "--seeds", 1);
  bool verbose =
      std::any_of(argv + 1, argv + argc, [](char* word) { return std::strcmp(word, "--trace") == 0; });
  uint64_t steps = 0, tasks = 0;
  std::map<std::string, uint64_t> counts;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    seed_running = seed;
    mobula::sim::World world(mobula::sim::shape_of(seed));
    world.verbose = verbose;
    world.run();
    steps += world.timeline().steps();
    tasks += world.tasks.size();
    for (const auto& [what, count] : world.counts) counts[what] += count;
  }
  std::printf("%llu seeds from %llu on: %llu steps, %llu tasks, nothing wrong\n",
              static_cast<unsigned long long>(count), static_cast<unsigned long long>(first),
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(tasks));
  for (const auto& [what, number] : counts)
    std::printf("  %-40s %llu\n", what.c_str(), static_cast<unsigned long long>(number));
  return 0;
}
