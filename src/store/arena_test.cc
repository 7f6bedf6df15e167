// The arena's allocator: against a model, and where its extents lie.
#include "store/arena.h"

#include <gtest/gtest.h>

#include <random>

namespace mobula {
namespace {

constexpr uint64_t kPage = 4096;

TEST(ArenaTest, AnEmptyArenaHasNoRoom) {
  Arena arena(kPage - 1);
  EXPECT_EQ(arena.bytes(), 0u);
  EXPECT_FALSE(arena.allocate(1).has_value());
  arena.check();
}

TEST(ArenaTest, SizesAreRoundedToPagesAndNothingIsAPageToo) {
  Arena arena(8 * kPage);
  EXPECT_EQ(arena.extent_bytes(*arena.allocate(0)), kPage);
  EXPECT_EQ(arena.extent_bytes(*arena.allocate(kPage)), kPage);
  EXPECT_EQ(arena.extent_bytes(*arena.allocate(kPage + 1)), 2 * kPage);
  EXPECT_EQ(arena.used_bytes(), 4 * kPage);
  arena.check();
}

TEST(ArenaTest, TheSmallestHoleThatFitsIsTaken) {
  Arena arena(16 * kPage);
  uint64_t large = *arena.allocate(4 * kPage), wall = *arena.allocate(kPage);
  uint64_t small = *arena.allocate(2 * kPage), end = *arena.allocate(kPage);
  arena.free(large);
  arena.free(small);
  EXPECT_EQ(*arena.allocate(2 * kPage), small);
  EXPECT_EQ(*arena.allocate(3 * kPage), large);
  arena.check();
  (void)wall, (void)end;
}

TEST(ArenaTest, FreedPagesAreUsedBeforeFreshOnes) {
  Arena arena(64 * kPage);
  uint64_t first = *arena.allocate(kPage), second = *arena.allocate(kPage);
  arena.free(first);
  EXPECT_EQ(*arena.allocate(kPage), first);
  (void)second;
}

TEST(ArenaTest, NeighboursMergeSoThatAllOfItCanBeTakenAgain) {
  Arena arena(8 * kPage);
  std::vector<uint64_t> offsets;
  for (int i = 0; i < 8; ++i) offsets.push_back(*arena.allocate(kPage));
  EXPECT_FALSE(arena.allocate(1).has_value());
  for (int i : {1, 3, 5, 7, 0, 6, 2, 4}) {
    arena.free(offsets[i]);
    arena.check();
  }
  EXPECT_TRUE(arena.allocate(8 * kPage).has_value());
  EXPECT_EQ(arena.peak_bytes(), 8 * kPage);
}

TEST(ArenaTest, ALengthThatOverflowsFindsNoRoom) {
  Arena arena(8 * kPage);
  EXPECT_FALSE(arena.allocate(UINT64_MAX).has_value());
  EXPECT_FALSE(arena.allocate(UINT64_MAX - kPage).has_value());
}

/// Which pages are taken, looked at page by page.
struct PageModel {
  std::vector<uint64_t> owner;  // 0: free, else 1 + the extent's offset
  bool fits(uint64_t pages) const {
    uint64_t run = 0;
    for (uint64_t page : owner) {
      run = page == 0 ? run + 1 : 0;
      if (run >= pages) return true;
    }
    return false;
  }
};

TEST(ArenaTest, ManyRandomStepsAgreeWithAModelOfPages) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::mt19937_64 random(seed);
    constexpr uint64_t kPages = 40;
    Arena arena(kPages * kPage);
    PageModel model{std::vector<uint64_t>(kPages, 0)};
    std::vector<std::pair<uint64_t, uint64_t>> taken;  // (offset, pages)
    for (int step = 0; step < 400; ++step) {
      if (random() % 2 == 0 || taken.empty()) {
        uint64_t pages = 1 + random() % 7, bytes = pages * kPage - random() % kPage;
        auto offset = arena.allocate(bytes);
        ASSERT_EQ(offset.has_value(), model.fits(pages));
        if (!offset) continue;
        taken.emplace_back(*offset, pages);
        for (uint64_t page = *offset / kPage; page < *offset / kPage + pages; ++page) {
          ASSERT_EQ(std::exchange(model.owner[page], *offset + 1), 0u);
        }
      } else {
        std::swap(taken[random() % taken.size()], taken.back());
        auto [offset, pages] = taken.back();
        taken.pop_back();
        arena.free(offset);
        std::fill_n(model.owner.begin() + static_cast<ptrdiff_t>(offset / kPage), pages, 0);
      }
      arena.check();
      ASSERT_EQ(arena.used_bytes(), kPage * (kPages - std::count(model.owner.begin(), model.owner.end(), 0)));
    }
    for (auto [offset, pages] : taken) arena.free(offset);
    EXPECT_EQ(arena.used_bytes(), 0u);
    arena.check();
  }
}

}  // namespace
}  // namespace mobula
