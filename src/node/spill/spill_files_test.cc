// Spill files on a real disk: what is written is read, what is forgotten is gone, stale folders are removed.
#include "node/spill/spill_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

namespace mobula {
namespace {

namespace fs = std::filesystem;

/// With the page cache (memory to leave: none) and without (all there is).
class SpillFilesTest : public testing::TestWithParam<uint64_t> {
 protected:
  SpillFilesTest() {
    std::string pattern = (fs::temp_directory_path() / "mobula-test-XXXXXX").string();
    parent = mkdtemp(pattern.data());
  }
  ~SpillFilesTest() override { fs::remove_all(parent); }
  /// A value as it lies in the arena: from the beginning of a page to the end of one.
  class Pages {
   public:
    Pages(size_t size, uint8_t fill) : size_(size) {
      memory_.reset(static_cast<uint8_t*>(std::aligned_alloc(4096, Arena::rounded(size))));
      std::fill_n(memory_.get(), size, fill);
    }
    std::span<uint8_t> span() const { return {memory_.get(), size_}; }
    bool is_all(uint8_t fill) const {
      return std::count(memory_.get(), memory_.get() + size_, fill) == size();
    }

   private:
    struct Free {
      void operator()(uint8_t* memory) const { std::free(memory); }
    };
    ptrdiff_t size() const { return static_cast<ptrdiff_t>(size_); }
    size_t size_;
    std::unique_ptr<uint8_t, Free> memory_;
  };
  static Pages bytes(size_t size, uint8_t fill) { return {size, fill}; }
  size_t files() const {
    size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(parent)) count += entry.is_regular_file();
    return count;
  }
  std::string parent;
};

TEST_P(SpillFilesTest, NothingIsMadeBeforeSomethingIsWrittenAndNothingIsLeft) {
  {
    SpillFiles spill(parent, GetParam());
    EXPECT_TRUE(fs::is_empty(parent));
    ASSERT_TRUE(spill.write(bytes(10, 1).span()).is_ok());
    EXPECT_EQ(files(), 1u);
    struct stat info{};
    ASSERT_EQ(stat((parent + "/" + spill_folder_name(getpid())).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
  }
  EXPECT_TRUE(fs::is_empty(parent));
}

TEST_P(SpillFilesTest, ValuesAreReadBackFromWhereTheyWereWritten) {
  SpillFiles spill(parent, GetParam());
  auto one = spill.write(bytes(1000, 1).span()), two = spill.write(bytes(5000, 2).span());
  ASSERT_TRUE(one.is_ok() && two.is_ok());
  Pages second = bytes(5000, 0), first = bytes(1000, 0);
  ASSERT_TRUE(spill.read(*two, second.span()).is_ok());
  EXPECT_TRUE(second.is_all(2));
  ASSERT_TRUE(spill.read(*one, first.span()).is_ok());
  EXPECT_TRUE(first.is_all(1));
}

TEST_P(SpillFilesTest, AFileGoesWithTheLastValueInIt) {
  SpillFiles spill(parent, GetParam());
  auto one = spill.write(bytes(1000, 1).span()), two = spill.write(bytes(1000, 2).span());
  spill.forget(*one, 1000);
  EXPECT_EQ(files(), 1u);
  spill.forget(*two, 1000);
  EXPECT_EQ(files(), 0u);
  auto three = spill.write(bytes(1000, 3).span());
  ASSERT_TRUE(three.is_ok());
  EXPECT_NE(three->file, one->file);
  Pages back = bytes(1000, 0);
  EXPECT_EQ(spill.read(*one, back.span()).code(), Code::kLost);
  spill.forget(*one, 1000);
}

TEST_P(SpillFilesTest, AFileThatWasCutShortIsKnown) {
  SpillFiles spill(parent, GetParam());
  auto place = spill.write(bytes(1000, 1).span());
  for (const auto& entry : fs::recursive_directory_iterator(parent)) {
    if (entry.is_regular_file()) fs::resize_file(entry.path(), 500);
  }
  Pages back = bytes(1000, 0);
  Status status = spill.read(*place, back.span());
  EXPECT_EQ(status.code(), Code::kLost);
  EXPECT_NE(status.message().find("cut short"), std::string::npos);
}

TEST_P(SpillFilesTest, AFolderThatCannotBeMadeIsNamed) {
  std::string blocked = parent + "/file";
  std::ofstream(blocked) << "x";
  SpillFiles spill(blocked, GetParam());
  auto place = spill.write(bytes(10, 1).span());
  ASSERT_FALSE(place.is_ok());
  EXPECT_NE(place.status().message().find(blocked), std::string::npos);
}

TEST_P(SpillFilesTest, FoldersOfProcessesThatAreGoneAreRemovedAndOthersAreNot) {
  fs::create_directories(parent + "/mobula-spill-999999999-1/x");
  fs::create_directories(parent + "/mobula-spill-" + std::to_string(getpid()) +
                         "-1");  // its pid, another's time
  fs::create_directories(parent + "/" + spill_folder_name(getpid()));
  fs::create_directories(parent + "/something-else");
  fs::create_directory_symlink("/tmp", parent + "/mobula-spill-999999998-1");
  remove_stale_spill_folders(parent);
  EXPECT_FALSE(fs::exists(parent + "/mobula-spill-999999999-1"));
  EXPECT_FALSE(fs::exists(parent + "/mobula-spill-" + std::to_string(getpid()) + "-1"));
  EXPECT_TRUE(fs::exists(parent + "/" + spill_folder_name(getpid())));
  EXPECT_TRUE(fs::exists(parent + "/something-else"));
  EXPECT_TRUE(fs::exists("/tmp"));
  remove_stale_spill_folders(parent + "/nowhere");
}

INSTANTIATE_TEST_SUITE_P(Both, SpillFilesTest, testing::Values(0, UINT64_MAX));

}  // namespace
}  // namespace mobula
