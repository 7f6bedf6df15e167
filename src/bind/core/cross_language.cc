// C++ functions from Python: finding them, and running them in Python workers.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>

#include "api/cpp_runner.h"
#include "api/registry.h"
#include "api/session.h"
#include "bind/core/driver.h"
#include "bind/core/plain.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::python {
namespace {

/// (digest, definition) of a C++ function that is registered in this process; None for an unknown one.
nb::object find_cpp(const std::string& name) {
  const internal::RemoteFunction* function = internal::find_named(name);
  if (function == nullptr) return nb::none();
  FunctionId id = internal::digest_of(*function);
  char digest[sizeof id];
  std::memcpy(digest, &id.high, 8);
  std::memcpy(digest + 8, &id.low, 8);
  std::string definition = internal::definition_of(*function);
  return nb::make_tuple(nb::bytes(digest, sizeof digest), nb::bytes(definition.data(), definition.size()));
}

nb::object plain_actor(const nb::bytes& handle) {
  PyObject* fields = describe_plain_actor({static_cast<const char*>(handle.data()), handle.size()});
  if (!fields) raise();
  return nb::steal(fields);
}

}  // namespace

std::unique_ptr<TaskRunner> make_cpp_runner(Worker& worker, std::string space) {
  return std::make_unique<internal::CppRunner>(
      worker, internal::CppRunnerOptions{.space = std::move(space), .runs_python = true});
}

void add_cross_language(nb::module_& module) {
  module.def(
      "load_library", [](const std::string& path) { check(internal::load_library(path)); }, "path"_a,
      "Loads a shared library with C++ functions.");
  module.def("cpp_names", internal::registered_names, "The C++ functions that this process knows.");
  module.def("find_cpp", find_cpp, "name"_a,
             "(digest, definition) of a C++ function; None if there is none.");
  module.def("plain_actor", plain_actor, "handle"_a,
             "(class name, C++?, definition, max_task_retries, Python's part) of a handle that C++ made; "
             "else None.");
}

}  // namespace mobula::python
