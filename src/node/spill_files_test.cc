// Spill files on a real disk: what is written is read, what is forgotten is gone, stale folders are removed.
#include "node/spill_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

namespace mobula {
namespace {

namespace fs = std::filesystem;

class SpillFilesTest : public testing::Test {
 protected:
  SpillFilesTest() {
    std::string pattern = (fs::temp_directory_path() / "mobula-test-XXXXXX").string();
    parent = mkdtemp(pattern.data());
  }
  ~SpillFilesTest() override { fs::remove_all(parent); }
  static std::vector<uint8_t> bytes(size_t size, uint8_t fill) { return std::vector<uint8_t>(size, fill); }
  size_t files() const {
    size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(parent)) count += entry.is_regular_file();
    return count;
  }
  std::string parent;
};

TEST_F(SpillFilesTest, NothingIsMadeBeforeSomethingIsWrittenAndNothingIsLeft) {
  {
    SpillFiles spill(parent);
    EXPECT_TRUE(fs::is_empty(parent));
    ASSERT_TRUE(spill.write(bytes(10, 1)).is_ok());
    EXPECT_EQ(files(), 1u);
    struct stat info{};
    ASSERT_EQ(stat((parent + "/" + spill_folder_name(getpid())).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0700u);
  }
  EXPECT_TRUE(fs::is_empty(parent));
}

TEST_F(SpillFilesTest, ValuesAreReadBackFromWhereTheyWereWritten) {
  SpillFiles spill(parent);
  auto one = spill.write(bytes(1000, 1)), two = spill.write(bytes(5000, 2));
  ASSERT_TRUE(one.is_ok() && two.is_ok());
  std::vector<uint8_t> back(5000);
  ASSERT_TRUE(spill.read(*two, back).is_ok());
  EXPECT_EQ(back, bytes(5000, 2));
  back.resize(1000);
  ASSERT_TRUE(spill.read(*one, back).is_ok());
  EXPECT_EQ(back, bytes(1000, 1));
}

TEST_F(SpillFilesTest, AFileGoesWithTheLastValueInIt) {
  SpillFiles spill(parent);
  auto one = spill.write(bytes(1000, 1)), two = spill.write(bytes(1000, 2));
  spill.forget(*one, 1000);
  EXPECT_EQ(files(), 1u);
  spill.forget(*two, 1000);
  EXPECT_EQ(files(), 0u);
  auto three = spill.write(bytes(1000, 3));
  ASSERT_TRUE(three.is_ok());
  EXPECT_NE(three->file, one->file);
  std::vector<uint8_t> back(1000);
  EXPECT_EQ(spill.read(*one, back).code(), Code::kLost);
  spill.forget(*one, 1000);
}

TEST_F(SpillFilesTest, AFileThatWasCutShortIsKnown) {
  SpillFiles spill(parent);
  auto place = spill.write(bytes(1000, 1));
  for (const auto& entry : fs::recursive_directory_iterator(parent)) {
    if (entry.is_regular_file()) fs::resize_file(entry.path(), 500);
  }
  std::vector<uint8_t> back(1000);
  Status status = spill.read(*place, back);
  EXPECT_EQ(status.code(), Code::kLost);
  EXPECT_NE(status.message().find("cut short"), std::string::npos);
}

TEST_F(SpillFilesTest, AFolderThatCannotBeMadeIsNamed) {
  std::string blocked = parent + "/file";
  std::ofstream(blocked) << "x";
  SpillFiles spill(blocked);
  auto place = spill.write(bytes(10, 1));
  ASSERT_FALSE(place.is_ok());
  EXPECT_NE(place.status().message().find(blocked), std::string::npos);
}

TEST_F(SpillFilesTest, FoldersOfProcessesThatAreGoneAreRemovedAndOthersAreNot) {
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

}  // namespace
}  // namespace mobula
