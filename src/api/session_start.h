// The start of a C++ worker: the program's own binary, run again by its node. Tests: tests/contract.
#pragma once

#include <string>
#include <vector>

namespace mobula::inline v1::internal {

/// The command line that starts this program as its own zygote.
std::vector<std::string> own_command();

/// Becomes the zygote that this process was started as, and in its children a worker; never returns.
[[noreturn]] void serve_as_zygote();

}  // namespace mobula::inline v1::internal
