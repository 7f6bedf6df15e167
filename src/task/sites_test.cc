// Where things were made.
#include "task/sites.h"

#include <gtest/gtest.h>

namespace mobula {
namespace {

TEST(SiteTableTest, APlaceIsFoundByWhatWasMadeThere) {
  SiteTable sites;
  sites.add(TaskId{1}, "a.py:1");
  sites.add(TaskId{2}, "a.py:1");
  sites.add(TaskId{1}, "b.py:2");
  EXPECT_EQ(sites.find(TaskId{1}), "b.py:2");
  EXPECT_EQ(sites.find(TaskId{2}), "a.py:1");
  EXPECT_EQ(sites.find(TaskId{3}), "");
  EXPECT_EQ(sites.size(), 2u);
}

TEST(SiteTableTest, TheOldestAreForgotten) {
  SiteTable sites;
  for (uint64_t i = 1; i <= SiteTable::kSitesMax + 2; ++i) sites.add(TaskId{i}, "a.py:1");
  EXPECT_EQ(sites.size(), SiteTable::kSitesMax);
  EXPECT_EQ(sites.find(TaskId{2}), "");
  EXPECT_EQ(sites.find(TaskId{3}), "a.py:1");
}

TEST(SiteTableTest, PlacesBeyondTheLimitAreNotKept) {
  SiteTable sites;
  for (uint64_t i = 1; i <= SiteTable::kTextsMax + 1; ++i) sites.add(TaskId{i}, std::to_string(i));
  EXPECT_EQ(sites.find(TaskId{SiteTable::kTextsMax}), std::to_string(SiteTable::kTextsMax));
  EXPECT_EQ(sites.find(TaskId{SiteTable::kTextsMax + 1}), "");
  sites.add(TaskId{SiteTable::kTextsMax + 1}, "1");
  EXPECT_EQ(sites.find(TaskId{SiteTable::kTextsMax + 1}), "1");
}

}  // namespace
}  // namespace mobula
