// getenv, once.
#include "sys/environment.h"

#include <unistd.h>

#include <cstdlib>

namespace mobula {

std::optional<std::string> environment_variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::vector<std::string> environment_entries() {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) entries.emplace_back(*entry);
  return entries;
}

std::string temporary_folder() {
  auto folder = environment_variable("TMPDIR");
  return folder && !folder->empty() ? *folder : "/tmp";
}

}  // namespace mobula
