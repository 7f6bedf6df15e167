// pidfd and /proc/<pid>/stat.
#include "sys/process.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

namespace mobula {
namespace {

constexpr int kStartTimeField = 19;  // of the fields after the name and the state

}  // namespace

ProcessWatch::ProcessWatch(int pid) : pid_(pid), fd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

bool ProcessWatch::has_ended() const {
  if (!fd_.is_open()) return true;
  pollfd polled{fd_.get(), POLLIN, 0};
  return poll(&polled, 1, 0) > 0;
}

uint64_t process_mark(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  size_t name_end = text.rfind(')');  // a name may hold anything
  if (name_end == std::string::npos) return 0;
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return 0;
  for (int i = 0; i < kStartTimeField; ++i) fields >> field;
  uint64_t started = std::strtoull(field.c_str(), nullptr, 10);
  return static_cast<uint64_t>(pid) << 32 | (started & 0xFFFFFFFF);
}

bool process_runs(uint64_t mark) { return mark != 0 && process_mark(static_cast<int>(mark >> 32)) == mark; }

int own_pid() { return static_cast<int>(getpid()); }

}  // namespace mobula
