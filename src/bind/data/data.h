// What the module mobula._data is made of; each part adds its classes and functions. GIL held.
#pragma once

#include <nanobind/nanobind.h>

#include "base/status.h"

namespace mobula::data::python {

void add_execution(nanobind::module_& module);  // execution.cc
void add_media(nanobind::module_& module);      // media.cc

/// Throws the Python exception that fits a failed Status; does nothing for ok.
void check(const Status& status);

}  // namespace mobula::data::python
