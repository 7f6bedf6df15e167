// Seeds of the simulator that every run of the tests goes through.
#include <gtest/gtest.h>

#include "client.h"
#include "worker.h"
#include "world.h"

namespace mobula::sim {
namespace {

void run(Shape shape) {
  World world(shape);
  world.run();
}

TEST(Simulation, ProgramsEndAsTheyShouldAndLeaveNothing) {
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE(seed);
    run(shape_of(seed));
  }
}

}  // namespace
}  // namespace mobula::sim
