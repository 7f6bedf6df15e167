// Sequential writes, positioned reads.
#include "node/spill/spill_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace mobula {
namespace {

namespace fs = std::filesystem;
constexpr uint64_t kFileBytes = 128 << 20;
constexpr size_t kCallBytes = 32 << 20;  // of one call to the disk: a multiple of a page

/// Whether a failed call is worth repeating.
bool try_again(int fd) {
  if (errno == EINTR) return true;
  bool is_direct = (::fcntl(fd, F_GETFL) & O_DIRECT) != 0;
  return errno == EINVAL && is_direct && ::fcntl(fd, F_SETFL, 0) == 0;  // it wants another alignment
}
constexpr char kPrefix[] = "mobula-spill-";

/// When the process began, in ticks since boot: tells a pid's owners apart. 0 when there is no such process.
uint64_t start_ticks(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return 0;
  size_t at = text.rfind(')');
  for (int field = 2; field < 22 && at != std::string::npos; ++field) at = text.find(' ', at + 1);
  return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at, nullptr, 10);
}

Status disk_error(const std::string& what, const std::string& path, uint64_t bytes) {
  return {Code::kFull, what + " " + path + " (" + std::to_string(bytes) + " bytes): " + std::strerror(errno)};
}

}  // namespace

std::string spill_folder_name(int pid) {
  return kPrefix + std::to_string(pid) + "-" + std::to_string(start_ticks(pid));
}

void remove_stale_spill_folders(const std::string& parent) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    std::string name = entry.path().filename();
    if (!name.starts_with(kPrefix)) continue;
    struct stat info{};
    if (::lstat(entry.path().c_str(), &info) != 0 || info.st_uid != ::getuid() || !S_ISDIR(info.st_mode))
      continue;
    int pid = std::atoi(name.c_str() + sizeof kPrefix - 1);
    if (pid > 0 && name != spill_folder_name(pid)) fs::remove_all(entry.path(), error);
  }
}

Status SpillFiles::open_folder() {
  if (!folder_.empty()) return Status::ok();
  std::string path = parent_ + "/" + spill_folder_name(::getpid());
  std::error_code error;
  fs::create_directories(parent_, error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return disk_error("cannot make the spill folder", path, 0);
  folder_ = path;
  return Status::ok();
}

Result<SpillFiles::File*> SpillFiles::current(uint64_t bytes) {
  TRY(open_folder());
  auto newest = files_.find(newest_);
  if (newest != files_.end() && newest->second.end + bytes <= kFileBytes) return &newest->second;
  std::string path = folder_ + "/" + std::to_string(++newest_);
  Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.is_open()) return disk_error("cannot create the spill file", path, bytes);
  if (spare_memory_bytes() < memory_to_leave_) (void)::fcntl(fd.get(), F_SETFL, O_DIRECT);
  File& file = files_[newest_];
  file.fd = std::move(fd);
  file.path = path;
  return &file;
}

Result<DiskPlace> SpillFiles::write(std::span<const uint8_t> value) {
  ASSIGN_OR_RETURN(File * file, current(value.size()));
  DiskPlace place{newest_, file->end};
  size_t done = 0, bytes = Arena::rounded(value.size());
  while (done < bytes) {
    ssize_t wrote = ::pwrite(file->fd.get(), value.data() + done, std::min(bytes - done, kCallBytes),
                             static_cast<off_t>(place.offset + done));
    if (wrote < 0 && try_again(file->fd.get())) continue;
    if (wrote <= 0) return disk_error("cannot spill to", file->path, value.size());
    done += static_cast<size_t>(wrote);
  }
  file->end += bytes;
  file->live_bytes += value.size();
  return place;
}

Status SpillFiles::read(DiskPlace place, std::span<uint8_t> value) {
  auto file = files_.find(place.file);
  if (file == files_.end()) return {Code::kLost, "its spill file is gone"};
  size_t done = 0, bytes = Arena::rounded(value.size());
  while (done < bytes) {
    ssize_t got = ::pread(file->second.fd.get(), value.data() + done, std::min(bytes - done, kCallBytes),
                          static_cast<off_t>(place.offset + done));
    if (got < 0 && try_again(file->second.fd.get())) continue;
    if (got < 0) return disk_error("cannot read", file->second.path, value.size());
    if (got == 0) return {Code::kLost, "spill file " + file->second.path + " was cut short"};
    done += static_cast<size_t>(got);
  }
  return Status::ok();
}

void SpillFiles::forget(DiskPlace place, uint64_t bytes) {
  auto file = files_.find(place.file);
  if (file == files_.end()) return;
  file->second.live_bytes -= bytes;
  if (file->second.live_bytes > 0) return;
  ::unlink(file->second.path.c_str());
  files_.erase(file);
}

SpillFiles::~SpillFiles() {
  files_.clear();
  std::error_code error;
  if (!folder_.empty()) fs::remove_all(folder_, error);
}

}  // namespace mobula
