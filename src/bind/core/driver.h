// What the module is made of beside the hand-written types; each adds its functions. GIL held.
#pragma once

#include <nanobind/nanobind.h>

#include "base/status.h"
#include "worker/worker.h"

namespace mobula::python {

void add_driver(nanobind::module_& module);  // driver.cc: open, close, cluster, actors, cancel
void add_worker(nanobind::module_& module);  // worker_side.cc: zygote, worker, calls on event loops
void add_waker(nanobind::module_& module);   // core.cc
void add_cross_language(nanobind::module_& module);
void add_metrics(nanobind::module_& module);     // shared/metrics.cc
void add_collective(nanobind::module_& module);  // shared/collective.cc
/// Before the engine ends: takes over what its workers counted.
void keep_metrics();

/// Runs the C++ tasks of a Python worker.
std::unique_ptr<TaskRunner> make_cpp_runner(Worker& worker, std::string space);

/// Throws the Python error that is set.
[[noreturn]] void raise();
/// Throws the Python error of a failed call.
void check(const Status& status);

}  // namespace mobula::python
