// What the module is made of beside the hand-written types; each adds its functions. GIL held.
#pragma once

#include <nanobind/nanobind.h>

#include "base/status.h"

namespace mobula::python {

void add_driver(nanobind::module_& module);    // driver.cc: open, close, cluster, actors, cancel
void add_worker(nanobind::module_& module);    // worker_side.cc: zygote, worker, calls on event loops
void add_waker(nanobind::module_& module);     // core.cc

/// Throws the Python error that is set.
[[noreturn]] void raise();
/// Throws the Python error of a failed call.
void check(const Status& status);

}  // namespace mobula::python
