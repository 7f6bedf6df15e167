// Amounts and GPU shares. A fraction goes to the fullest GPU that can take it, so that whole ones stay whole.
#include "sched/resources.h"

#include <algorithm>

namespace mobula {
namespace {

const std::string kGpu = "GPU";

int64_t amount_of(const ResourceMap& map, const std::string& name) {
  auto found = map.find(name);
  return found == map.end() ? 0 : found->second;
}

}  // namespace

bool covers(const ResourceMap& have, const ResourceMap& need) {
  return std::all_of(need.begin(), need.end(), [&](const auto& item) {
    return item.second <= 0 || amount_of(have, item.first) >= item.second;
  });
}

ResourceLedger::ResourceLedger(ResourceMap total) : total_(std::move(total)), available_(total_) {
  auto count = static_cast<int32_t>(amount_of(total_, kGpu) / kResourceUnit);
  for (int32_t i = 0; i < count; ++i) gpus_.push_back({i, kResourceUnit});
}

ResourceLedger::ResourceLedger(ResourceMap total, std::vector<GpuShare> gpus)
    : total_(std::move(total)), available_(total_), gpus_(std::move(gpus)) {}

bool ResourceLedger::is_feasible(const ResourceMap& need) const { return covers(total_, need); }

bool ResourceLedger::is_available(const ResourceMap& need) const {
  return covers(available_, need) && choose_gpus(amount_of(need, kGpu)).has_value();
}

std::optional<std::vector<GpuShare>> ResourceLedger::choose_gpus(int64_t amount) const {
  std::vector<GpuShare> shares;
  if (amount <= 0) return shares;
  if (amount < kResourceUnit) {
    const GpuShare* best = nullptr;
    for (const GpuShare& gpu : gpus_) {
      if (gpu.amount >= amount && (best == nullptr || gpu.amount < best->amount)) best = &gpu;
    }
    if (best == nullptr) return std::nullopt;
    return std::vector<GpuShare>{{best->index, amount}};
  }
  for (size_t i = 0; i < gpus_.size() && amount > 0; ++i) {
    if (gpus_[i].amount < kResourceUnit) continue;
    shares.push_back({gpus_[i].index, kResourceUnit});
    amount -= kResourceUnit;
  }
  if (amount > 0) return std::nullopt;
  return shares;
}

GpuShare& ResourceLedger::share_of(int32_t index) {
  return *std::find_if(gpus_.begin(), gpus_.end(), [&](const GpuShare& one) { return one.index == index; });
}

std::optional<std::vector<GpuShare>> ResourceLedger::acquire(const ResourceMap& need) {
  if (!covers(available_, need)) return std::nullopt;
  auto shares = choose_gpus(amount_of(need, kGpu));
  if (!shares) return std::nullopt;
  for (const GpuShare& share : *shares) share_of(share.index).amount -= share.amount;
  reacquire(need);
  return shares;
}

void ResourceLedger::reacquire(const ResourceMap& need) {
  for (const auto& [name, amount] : need) {
    if (amount > 0) available_[name] -= amount;
  }
}

void ResourceLedger::release(const ResourceMap& need) {
  ++freed_;
  for (const auto& [name, amount] : need) {
    if (amount > 0) available_[name] += amount;
  }
}

void ResourceLedger::release_gpus(const std::vector<GpuShare>& shares) {
  ++freed_;
  for (const GpuShare& share : shares) share_of(share.index).amount += share.amount;
}

size_t ResourceLedger::copies_available(const ResourceMap& need, size_t limit) const {
  for (const auto& [name, amount] : need) {
    if (amount <= 0) continue;
    int64_t have = std::max<int64_t>(amount_of(available_, name), 0);
    limit = std::min(limit, static_cast<size_t>(have / amount));
  }
  return limit;
}

}  // namespace mobula
