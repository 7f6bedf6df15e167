// The program that a simulated driver and its tasks run: made up from the seed, of everything that the engine
// can do, with what may be expected of each value known beforehand.
#pragma once

#include <memory>

#include "client.h"
#include "worker.h"

namespace mobula::sim {

/// One of the driver's threads: some random actions, then everything is released.
Fiber<> driver_thread(Client& driver, int number);
/// Ends what outlives its creator.
Fiber<> last_thread(Client& driver);
/// What a worker does with an assignment.
Fiber<> task_body(Worker& worker, std::shared_ptr<Execution> execution);

}  // namespace mobula::sim
