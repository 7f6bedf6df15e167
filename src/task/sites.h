// Where in a program tasks were submitted and values were put, when that is recorded: the newest kSitesMax,
// of at most kTextsMax different places. Pure. Owned by the node's loop. Tests: sites_test.cc.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "base/id.h"

namespace mobula {

class SiteTable {
 public:
  static constexpr size_t kSitesMax = 100'000, kTextsMax = 10'000, kTextBytesMax = 1 << 10;

  /// `made`: the task, or the number that names a value.
  void add(TaskId made, std::string site);
  /// Empty when it is not known.
  std::string_view find(TaskId made) const;
  size_t size() const { return sites_.size(); }

 private:
  std::unordered_set<std::string> texts_;
  std::unordered_map<TaskId, const std::string*> sites_;
  std::deque<TaskId> order_;  // oldest first
};

}  // namespace mobula
