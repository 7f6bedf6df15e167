// One trial per strategy on copies of the nodes' ledgers.
#include "sched/placement.h"

#include <algorithm>
#include <numeric>

namespace mobula {
namespace {

int64_t size_of(const ResourceMap& bundle) {
  return std::accumulate(bundle.begin(), bundle.end(), int64_t{0},
                         [](int64_t sum, const auto& item) { return sum + item.second; });
}

class Trial {
 public:
  Trial(const GroupSpec& spec, std::vector<NodeRoom> nodes)
      : spec_(spec), nodes_(std::move(nodes)), counts_(nodes_.size()), chosen_(spec.bundles.size()) {
    order_.resize(spec.bundles.size());
    std::iota(order_.begin(), order_.end(), size_t{0});
    std::stable_sort(order_.begin(), order_.end(), [&](size_t left, size_t right) {
      return size_of(spec.bundles[left]) > size_of(spec.bundles[right]);
    });
  }

  bool all_on(size_t node) {
    return std::all_of(order_.begin(), order_.end(), [&](size_t bundle) { return put(bundle, node); });
  }
  /// Nodes in the order that `better` gives their numbers of bundles; those that `allows` refuses are left
  /// out.
  template <typename Better, typename Allows>
  bool each_on_best(Better better, Allows allows) {
    std::vector<size_t> nodes(nodes_.size());
    for (size_t bundle : order_) {
      std::iota(nodes.begin(), nodes.end(), size_t{0});
      std::stable_sort(nodes.begin(), nodes.end(),
                       [&](size_t left, size_t right) { return better(counts_[left], counts_[right]); });
      bool found = std::any_of(nodes.begin(), nodes.end(),
                               [&](size_t node) { return allows(counts_[node]) && put(bundle, node); });
      if (!found) return false;
    }
    return true;
  }
  const std::vector<size_t>& chosen() const { return chosen_; }

 private:
  bool put(size_t bundle, size_t node) {
    bool bound = bundle < spec_.bundle_nodes.size() && !spec_.bundle_nodes[bundle].empty();
    if (bound && spec_.bundle_nodes[bundle] != nodes_[node].id) return false;
    if (!nodes_[node].ledger.acquire(spec_.bundles[bundle])) return false;
    chosen_[bundle] = node;
    ++counts_[node];
    return true;
  }

  const GroupSpec& spec_;
  std::vector<NodeRoom> nodes_;
  std::vector<size_t> counts_, order_, chosen_;
};

}  // namespace

std::optional<std::vector<size_t>> place_bundles(const GroupSpec& spec, const std::vector<NodeRoom>& nodes) {
  bool packs = spec.strategy == GroupStrategy::kPack || spec.strategy == GroupStrategy::kStrictPack;
  for (size_t node = 0; packs && node < nodes.size(); ++node) {
    Trial trial(spec, nodes);
    if (trial.all_on(node)) return trial.chosen();
  }
  if (spec.strategy == GroupStrategy::kStrictPack) return std::nullopt;
  Trial trial(spec, nodes);
  auto more = [](size_t left, size_t right) { return left > right; };
  auto fewer = [](size_t left, size_t right) { return left < right; };
  bool strict = spec.strategy == GroupStrategy::kStrictSpread;
  auto allows = [&](size_t count) { return !strict || count == 0; };
  bool placed = packs ? trial.each_on_best(more, allows) : trial.each_on_best(fewer, allows);
  return placed ? std::optional(trial.chosen()) : std::nullopt;
}

}  // namespace mobula
