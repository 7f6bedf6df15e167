// Anonymous shared memory (memfd): it has no name, so nothing is left behind when its last process ends.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "base/status.h"

namespace mobula {

/// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Descriptor() { reset(); }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  bool is_open() const { return fd_ >= 0; }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

/// A mapping of shared memory into this process.
class Mapping {
 public:
  Mapping() = default;
  static Result<Mapping> open(int fd, uint64_t bytes, bool writable);
  Mapping(Mapping&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  Mapping& operator=(Mapping&& other) noexcept;
  ~Mapping();
  uint8_t* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
};

/// New shared memory of `bytes`, of which pages exist only once touched.
Result<Descriptor> create_shared_memory(const std::string& label, uint64_t bytes);
/// Gives the pages of a part back to the system; they read as zero afterwards.
void release_pages(int fd, uint64_t offset, uint64_t bytes);
/// Memory that this process may use: the machine's or its control group's, whichever is less.
uint64_t usable_memory_bytes();
/// What of it nobody uses now, or only as a cache of files.
uint64_t spare_memory_bytes();
/// CPUs that this process may use: affinity and control-group quota, at least 1.
int usable_cpus();

}  // namespace mobula
