// What a node has and what is taken: amounts in 1/10,000 by name, and for GPUs which of them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"

namespace mobula {

/// A share of one logical GPU.
struct GpuShare {
  int32_t index = 0;
  int64_t amount = 0;
};

/// Whether `have` has as much of everything.
bool covers(const ResourceMap& have, const ResourceMap& need);

class ResourceLedger {
 public:
  /// All GPUs, numbered from 0.
  explicit ResourceLedger(ResourceMap total);
  /// A part of another ledger's amounts, with these of its GPUs.
  ResourceLedger(ResourceMap total, std::vector<GpuShare> gpus);

  /// Could ever be met by what there is in all.
  bool is_feasible(const ResourceMap& need) const;
  bool is_available(const ResourceMap& need) const;
  /// Takes `need`; the GPUs it got, or nothing when there is not enough.
  std::optional<std::vector<GpuShare>> acquire(const ResourceMap& need);
  /// Takes back what a blocked task had lent, even if that is more than there is left.
  void reacquire(const ResourceMap& need);
  void release(const ResourceMap& need);
  void release_gpus(const std::vector<GpuShare>& shares);
  /// How many times `need` could be acquired now, at most `limit`.
  size_t copies_available(const ResourceMap& need, size_t limit) const;

  const ResourceMap& total() const { return total_; }
  const ResourceMap& available() const { return available_; }
  const std::vector<GpuShare>& free_gpus() const { return gpus_; }
  /// Changes whenever something was given back.
  uint64_t freed() const { return freed_; }

 private:
  std::optional<std::vector<GpuShare>> choose_gpus(int64_t amount) const;
  GpuShare& share_of(int32_t index);

  ResourceMap total_, available_;
  std::vector<GpuShare> gpus_;  // what is free of each
  uint64_t freed_ = 0;
};

}  // namespace mobula
