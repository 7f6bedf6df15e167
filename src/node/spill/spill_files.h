// Spill files: values written one after the other into files of about 128 MiB in a private folder; a file
// goes when the last value in it is forgotten, the folder when the node stops. Where memory is short, values
// go straight between arena and disk: in the page cache each would take up memory once more. Where there is
// plenty it serves as a fast disk. Used by the disk thread alone.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/status.h"
#include "store/store.h"
#include "sys/shm.h"

namespace mobula {

class SpillFiles {
 public:
  /// `folder`: where the private folder is made at the first write. `memory_to_leave`: files begun while less
  /// than this is free do without the page cache.
  SpillFiles(std::string folder, uint64_t memory_to_leave)
      : parent_(std::move(folder)), memory_to_leave_(memory_to_leave) {}
  ~SpillFiles();
  /// Values begin at a page, and the rest of their last page may be read and written as well.
  Result<DiskPlace> write(std::span<const uint8_t> value);
  Status read(DiskPlace place, std::span<uint8_t> value);
  void forget(DiskPlace place, uint64_t bytes);

 private:
  struct File {
    Descriptor fd;
    std::string path;
    uint64_t end = 0, live_bytes = 0;
  };
  Status open_folder();
  Result<File*> current(uint64_t bytes);

  std::string parent_, folder_;
  uint64_t memory_to_leave_;
  std::map<uint32_t, File> files_;
  uint32_t newest_ = 0;
};

/// Removes folders that a crash of the machine, or of node and zygote together, left in `parent`.
void remove_stale_spill_folders(const std::string& parent);
/// The private folder's name: it says which process it belongs to, so that the stale ones are known.
std::string spill_folder_name(int pid);

}  // namespace mobula
