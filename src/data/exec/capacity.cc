// Counting resources.
#include "data/exec/capacity.h"

#include <algorithm>

#include "base/check.h"

namespace mobula::data {
namespace {

constexpr int64_t kTimesMax = 64;  // where nothing limits it

int64_t amount_of(const ResourceMap& map, const std::string& name) {
  auto at = map.find(name);
  return at == map.end() ? 0 : at->second;
}

}  // namespace

void add_to(ResourceMap& sum, const ResourceMap& amounts) {
  for (const auto& [name, amount] : amounts) sum[name] += amount;
}

void Capacity::take(const ResourceMap& amounts) { add_to(used_, amounts); }

void Capacity::give(const ResourceMap& amounts) {
  for (const auto& [name, amount] : amounts) {
    used_[name] -= amount;
    CHECK(used_[name] >= 0);
  }
}

bool Capacity::fits(const ResourceMap& amounts, const ResourceMap& besides) const {
  return std::all_of(amounts.begin(), amounts.end(), [&](const auto& item) {
    const auto& [name, amount] = item;
    return amount == 0 ||
           amount_of(used_, name) + amount_of(besides, name) + amount <= amount_of(total_, name);
  });
}

bool Capacity::possible(const ResourceMap& amounts) const {
  return std::all_of(amounts.begin(), amounts.end(),
                     [&](const auto& item) { return item.second <= amount_of(total_, item.first); });
}

int64_t Capacity::times(const ResourceMap& amounts) const {
  int64_t times = kTimesMax;
  for (const auto& [name, amount] : amounts) {
    if (amount > 0) times = std::min(times, amount_of(total_, name) / amount);
  }
  return std::max<int64_t>(times, 1);
}

bool Capacity::idle() const {
  return std::all_of(used_.begin(), used_.end(), [](const auto& item) { return item.second == 0; });
}

}  // namespace mobula::data
