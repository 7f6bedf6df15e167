// The one place in C++ that reads the process's environment.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mobula {

std::optional<std::string> environment_variable(const char* name);
/// All of it, as "NAME=value".
std::vector<std::string> environment_entries();
/// $TMPDIR, else /tmp.
std::string temporary_folder();

}  // namespace mobula
