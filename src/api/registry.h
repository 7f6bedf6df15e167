// Finding remote functions by name, for those who run them: a C++ worker, or a Python one that hosts C++
// code. Any thread. Tests: registry_test.cc.
#pragma once

#include <mobula/registry.h>

#include <string>
#include <string_view>
#include <typeindex>
#include <vector>

#include "base/id.h"
#include "base/status.h"

namespace mobula::inline v1::internal {

/// "Counter::Create(int)" from "MOBULA_FUNC(Counter::Create, int)", "Counter::Add" from "&Counter::Add".
std::string remote_name(std::string_view written);
/// The C++ function or factory of a name as it is written in MOBULA_REMOTE, or null.
const RemoteFunction* find_named(std::string_view name);
/// The method of a class by its full name, or by its last part; null when there is none.
const RemoteFunction* find_method(std::string_view name, std::type_index type);
/// The object as its base class; null when that is not known.
void* upcast(void* object, std::type_index from, std::type_index to);
/// A name that two different functions were registered under; empty when there is none.
std::string name_conflict();
std::vector<std::string> registered_names();
/// "Counter" from typeid(Counter).
std::string type_name(std::type_index type);

/// The ids of functions, which are digests of their names: the same in every process and language.
FunctionId cpp_function_id(std::string_view name);
FunctionId python_function_id(std::string_view module, std::string_view name);

/// Loads a shared library, whose MOBULA_REMOTE functions are then known. `not_found` with the loader's
/// reason.
Status load_library(const std::string& path);

}  // namespace mobula::inline v1::internal
