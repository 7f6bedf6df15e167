// Resources that tasks and actors of a run hold, as the executor counts them. Tests: executor_test.cc.
#pragma once

#include "engine/engine.h"

namespace mobula::data {

class Capacity {
 public:
  explicit Capacity(ResourceMap total) : total_(std::move(total)) {}

  void take(const ResourceMap& amounts);
  void give(const ResourceMap& amounts);
  /// Would `amounts` fit beside what is held and `besides`?
  bool fits(const ResourceMap& amounts, const ResourceMap& besides) const;
  /// Could `amounts` ever fit?
  bool possible(const ResourceMap& amounts) const;
  /// How many times `amounts` fit into all there is; at least 1.
  int64_t times(const ResourceMap& amounts) const;
  /// Is nothing held?
  bool idle() const;

 private:
  ResourceMap total_, used_;
};

void add_to(ResourceMap& sum, const ResourceMap& amounts);

}  // namespace mobula::data
