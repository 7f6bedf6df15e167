// Records, names and reservations of placement groups.
#include "sched/groups.h"

#include <algorithm>

#include "base/check.h"
#include "sched/placement.h"

namespace mobula {
namespace {

constexpr size_t kBundlesMax = 10'000;
constexpr size_t kRemovedMax = 1000;
constexpr int64_t kBundleMarks = 1000 * kResourceUnit;  // of "bundle_group", for each bundle, as in Ray

Status check_bundle(const ResourceMap& bundle, size_t index) {
  std::string where = "bundle " + std::to_string(index) + " of a placement group";
  for (const auto& [name, amount] : bundle) {
    if (amount < 0)
      return {Code::kInvalid, where + " has a negative amount of '" + name + "'; amounts are above 0"};
    if (name == "GPU" && amount > kResourceUnit && amount % kResourceUnit != 0)
      return {Code::kInvalid, where + " has a fraction of GPUs above 1; give a whole number of them"};
  }
  bool any = std::any_of(bundle.begin(), bundle.end(), [](const auto& item) { return item.second > 0; });
  if (any) return Status::ok();
  return {Code::kInvalid, where + " asks for nothing; give it an amount above 0, such as {\"CPU\": 1}"};
}

Status check_spec(const GroupSpec& spec) {
  if (spec.bundles.empty())
    return {Code::kInvalid, "a placement group has at least one bundle, such as [{\"CPU\": 1}]"};
  if (spec.bundles.size() > kBundlesMax) {
    return {Code::kInvalid, "a placement group of " + std::to_string(spec.bundles.size()) +
                                " bundles; it may have " + std::to_string(kBundlesMax)};
  }
  if (!spec.bundle_nodes.empty() && spec.bundle_nodes.size() != spec.bundles.size())
    return {Code::kInvalid, "a placement group says for each of its bundles where it may be, or for none"};
  if (spec.strategy > GroupStrategy::kStrictSpread)
    return {Code::kInvalid, "a placement group's strategy is PACK, SPREAD, STRICT_PACK or STRICT_SPREAD"};
  for (size_t i = 0; i < spec.bundles.size(); ++i) TRY(check_bundle(spec.bundles[i], i));
  return Status::ok();
}

}  // namespace

Status GroupTable::add(GroupId id, GroupSpec spec, const ResourceLedger& node) {
  TRY(check_spec(spec));
  if (!spec.name.empty() && !names_.try_emplace({spec.space, spec.name}, id).second) {
    return {Code::kInvalid, "a placement group called '" + spec.name + "' exists in namespace '" +
                                spec.space + "'; take another name, or remove that group first"};
  }
  GroupRecord& group = groups_[id];
  group.feasible = place_bundles(spec, {{node_id_, ResourceLedger(node.total())}}).has_value();
  group.spec = std::move(spec);
  pending_.push_back(id);
  feasible_pending_ += group.feasible;
  fresh_ = true;
  return Status::ok();
}

const GroupRecord* GroupTable::find(GroupId id) const {
  auto found = groups_.find(id);
  return found == groups_.end() ? nullptr : &found->second;
}

void GroupTable::mark_used(GroupId id) { groups_.at(id).used = true; }

bool GroupTable::place(GroupRecord& group, ResourceLedger& node) {
  if (!group.feasible || !place_bundles(group.spec, {{node_id_, node}})) return false;
  for (const ResourceMap& amounts : group.spec.bundles) {
    auto gpus = node.acquire(amounts);
    CHECK(gpus.has_value());
    group.bundles.push_back({amounts, *gpus, ResourceLedger(amounts, *gpus), 0});
  }
  group.state = GroupState::kCreated;
  return true;
}

std::vector<GroupId> GroupTable::place_pending(ResourceLedger& node) {
  std::vector<GroupId> placed;
  bool again = fresh_ || (is_waiting() && node.freed() != tried_at_);
  if (!again) return placed;
  fresh_ = false;
  tried_at_ = node.freed();
  std::erase_if(pending_, [&](GroupId id) {
    if (!place(groups_.at(id), node)) return false;
    --feasible_pending_;
    placed.push_back(id);
    return true;
  });
  return placed;
}

void GroupTable::give_back(Bundle& bundle, ResourceLedger& node) {
  node.release(bundle.reserved);
  node.release_gpus(bundle.gpus);
  bundle.reserved.clear();
  bundle.gpus.clear();
}

bool GroupTable::remove(GroupId id, ResourceLedger& node) {
  auto found = groups_.find(id);
  if (found == groups_.end() || found->second.state == GroupState::kRemoved) return false;
  GroupRecord& group = found->second;
  if (group.state == GroupState::kPending) {
    std::erase(pending_, id);
    feasible_pending_ -= group.feasible;
  }
  group.state = GroupState::kRemoved;
  if (!group.spec.name.empty()) names_.erase({group.spec.space, group.spec.name});
  bool in_use = false;
  for (Bundle& bundle : group.bundles) {
    in_use |= bundle.workers > 0;
    if (bundle.workers == 0) give_back(bundle, node);
  }
  if (!in_use) group.bundles.clear();
  removed_.push_back(id);
  if (removed_.size() > kRemovedMax && find(removed_.front())->bundles.empty()) {
    groups_.erase(removed_.front());
    removed_.pop_front();
  }
  return !in_use;
}

std::pair<size_t, size_t> GroupTable::span_of(const GroupRecord& group, int32_t bundle) {
  size_t count = group.spec.bundles.size();
  if (bundle < 0) return {0, count};
  auto first = static_cast<size_t>(bundle);
  return first < count ? std::pair{first, first + 1} : std::pair{count, count};
}

bool GroupTable::fits(GroupId id, int32_t bundle, const ResourceMap& need) const {
  const GroupRecord* group = find(id);
  if (group == nullptr) return false;
  auto [first, last] = span_of(*group, bundle);
  for (size_t i = first; i < last; ++i) {
    if (covers(group->spec.bundles[i], need)) return true;
  }
  return false;
}

bool GroupTable::is_available(GroupId id, int32_t bundle, const ResourceMap& need) const {
  const GroupRecord* group = find(id);
  if (group == nullptr || group->state != GroupState::kCreated) return false;
  auto [first, last] = span_of(*group, bundle);
  for (size_t i = first; i < last; ++i) {
    if (group->bundles[i].ledger.is_available(need)) return true;
  }
  return false;
}

size_t GroupTable::copies_available(GroupId id, int32_t bundle, const ResourceMap& need, size_t limit) const {
  const GroupRecord* group = find(id);
  if (group == nullptr || group->state != GroupState::kCreated) return 0;
  size_t copies = 0;
  auto [first, last] = span_of(*group, bundle);
  for (size_t i = first; i < last && copies < limit; ++i)
    copies += group->bundles[i].ledger.copies_available(need, limit - copies);
  return copies;
}

std::optional<BundleShare> GroupTable::acquire(GroupId id, int32_t bundle, const ResourceMap& need) {
  auto found = groups_.find(id);
  if (found == groups_.end() || found->second.state != GroupState::kCreated) return std::nullopt;
  auto [first, last] = span_of(found->second, bundle);
  for (size_t i = first; i < last; ++i) {
    Bundle& candidate = found->second.bundles[i];
    auto gpus = candidate.ledger.acquire(need);
    if (!gpus) continue;
    ++candidate.workers;
    return BundleShare{static_cast<int32_t>(i), std::move(*gpus)};
  }
  return std::nullopt;
}

ResourceLedger& GroupTable::ledger_of(GroupId id, int32_t bundle) {
  return groups_.at(id).bundles.at(static_cast<size_t>(bundle)).ledger;
}

bool GroupTable::leave(GroupId id, int32_t bundle, ResourceLedger& node) {
  GroupRecord& group = groups_.at(id);
  Bundle& left = group.bundles.at(static_cast<size_t>(bundle));
  CHECK(left.workers > 0);
  if (--left.workers > 0 || group.state != GroupState::kRemoved) return false;
  give_back(left, node);
  bool in_use = std::any_of(group.bundles.begin(), group.bundles.end(),
                            [](const Bundle& one) { return one.workers > 0; });
  if (!in_use) group.bundles.clear();
  return !in_use;
}

void GroupTable::list_resources(ResourceMap& total, ResourceMap& available) const {
  for (const auto& [id, group] : groups_) {
    if (group.state != GroupState::kCreated) continue;
    std::string end = "_group_" + to_hex(id.value);
    for (size_t i = 0; i < group.bundles.size(); ++i) {
      const ResourceLedger& ledger = group.bundles[i].ledger;
      std::string own = "_group_" + std::to_string(i) + "_" + to_hex(id.value);
      auto list = [&](ResourceMap& out, const std::string& name, int64_t amount) {
        out[name + own] = amount;
        out[name + end] += amount;
      };
      for (const auto& [name, amount] : ledger.total()) list(total, name, amount);
      for (const auto& [name, amount] : ledger.available()) list(available, name, amount);
      list(total, "bundle", kBundleMarks);
      list(available, "bundle", kBundleMarks);
    }
  }
}

std::vector<GroupView> GroupTable::views() const {
  std::vector<GroupView> views;
  for (const auto& [id, group] : groups_) {
    GroupView& view = views.emplace_back(GroupView{id, group.spec, group.state, group.feasible, {}});
    if (group.state == GroupState::kCreated) view.nodes.assign(group.spec.bundles.size(), node_id_);
  }
  return views;
}

void GroupTable::check() const {
  size_t pending = 0, feasible = 0;
  for (const auto& [id, group] : groups_) {
    pending += group.state == GroupState::kPending;
    feasible += group.state == GroupState::kPending && group.feasible;
    CHECK(group.state != GroupState::kCreated || group.bundles.size() == group.spec.bundles.size());
    CHECK(group.state != GroupState::kPending || group.bundles.empty());
  }
  CHECK(pending == pending_.size() && feasible == feasible_pending_);
  for (const auto& [name, id] : names_) CHECK(groups_.at(id).state != GroupState::kRemoved);
}

}  // namespace mobula
