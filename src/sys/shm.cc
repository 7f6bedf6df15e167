// memfd, mmap and what the control groups allow.
#include "sys/shm.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

namespace mobula {
namespace {

/// The number after `name` in a file of lines "name number"; 0 when there is none.
uint64_t named_number(const char* path, std::string_view name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size(), nullptr, 10);
  }
  return 0;
}

}  // namespace

void Descriptor::reset(int fd) {
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Mapping> Mapping::open(int fd, uint64_t bytes, bool writable) {
  void* at =
      mmap(nullptr, bytes, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED | MAP_NORESERVE, fd, 0);
  if (at == MAP_FAILED) {
    return Status(Code::kFull, "cannot map " + std::to_string(bytes) + " bytes of shared memory: " +
                                   std::strerror(errno) + "; pass init(object_store_memory=…) less");
  }
  Mapping mapping;
  mapping.data_ = static_cast<uint8_t*>(at);
  mapping.bytes_ = bytes;
  return mapping;
}

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  if (this == &other) return *this;
  if (data_ != nullptr) munmap(data_, bytes_);
  data_ = std::exchange(other.data_, nullptr);
  bytes_ = other.bytes_;
  return *this;
}

Mapping::~Mapping() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

Result<Descriptor> create_shared_memory(const std::string& label, uint64_t bytes) {
  Descriptor fd(memfd_create(label.c_str(), MFD_CLOEXEC));
  if (!fd.is_open())
    return Status(Code::kFull, std::string("cannot create shared memory: ") + std::strerror(errno));
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return Status(Code::kFull, "cannot size shared memory to " + std::to_string(bytes) +
                                   " bytes: " + std::strerror(errno));
  }
  return fd;
}

void release_pages(int fd, uint64_t offset, uint64_t bytes) {
  (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(bytes));
}

uint64_t usable_memory_bytes() {
  uint64_t bytes =
      static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t limit = 0;
    if (file >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

uint64_t spare_memory_bytes() {
  uint64_t spare = named_number("/proc/meminfo", "MemAvailable:") << 10;
  uint64_t limit = 0, used = 0;
  std::ifstream("/sys/fs/cgroup/memory.max") >> limit;  // "max" reads as 0
  std::ifstream("/sys/fs/cgroup/memory.current") >> used;
  if (limit == 0) return spare;
  used -= std::min(used, named_number("/sys/fs/cgroup/memory.stat", "inactive_file"));
  return std::min(spare, limit - std::min(limit, used));
}

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                          : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    count = std::min(count, static_cast<int>(std::ceil(std::atof(quota.c_str()) / period)));
  }
  return std::max(count, 1);
}

}  // namespace mobula
