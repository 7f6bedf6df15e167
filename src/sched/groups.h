// Placement groups of a node: which there are, which wait for resources, and the bundles of those that have
// them. A bundle's amounts are taken from the node's ledger as a whole and given out again from a ledger of
// its own, so that nothing inside can take more. The bundles of a removed group go back when the last worker
// in them is gone. Pure. Owned by the scheduler. Tests: groups_test.cc, sched_test.cc, tests/sim.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "engine/engine.h"
#include "sched/resources.h"

namespace mobula {

/// A part of the node's resources, kept for whoever runs in it.
struct Bundle {
  ResourceMap reserved;
  std::vector<GpuShare> gpus;
  ResourceLedger ledger;
  uint32_t workers = 0;  // with a lease in it
};

struct GroupRecord {
  GroupSpec spec;
  GroupState state = GroupState::kPending;
  bool feasible = true;         // would fit if nothing else were there
  bool used = false;            // something was to run in it
  std::vector<Bundle> bundles;  // while they are reserved
};

/// What a lease in a group gets.
struct BundleShare {
  int32_t bundle = -1;
  std::vector<GpuShare> gpus;
};

class GroupTable {
 public:
  explicit GroupTable(std::string node_id) : node_id_(std::move(node_id)) {}

  /// A group that waits for its resources. `invalid` for senseless bundles and for a name that is taken.
  Status add(GroupId id, GroupSpec spec, const ResourceLedger& node);
  const GroupRecord* find(GroupId id) const;
  void mark_used(GroupId id);
  /// Reserves the bundles of waiting groups, oldest first, as far as there is room; those that got theirs.
  std::vector<GroupId> place_pending(ResourceLedger& node);
  /// Its name is free at once, each bundle when the last worker has left it. True: nobody is in it any more.
  bool remove(GroupId id, ResourceLedger& node);
  /// A group that might be placed waits for resources.
  bool is_waiting() const { return feasible_pending_ > 0; }

  // Leases inside of a group; `bundle` -1 is any
  /// Would fit into an empty bundle of this group, reserved or not.
  bool fits(GroupId id, int32_t bundle, const ResourceMap& need) const;
  bool is_available(GroupId id, int32_t bundle, const ResourceMap& need) const;
  size_t copies_available(GroupId id, int32_t bundle, const ResourceMap& need, size_t limit) const;
  std::optional<BundleShare> acquire(GroupId id, int32_t bundle, const ResourceMap& need);
  ResourceLedger& ledger_of(GroupId id, int32_t bundle);
  /// A lease in it was closed. True: the group is removed, and this was the last one.
  bool leave(GroupId id, int32_t bundle, ResourceLedger& node);

  const std::map<GroupId, GroupRecord>& all() const { return groups_; }
  /// As Ray shows bundles among a node's resources: "CPU_group_0_<id>", "CPU_group_<id>",
  /// "bundle_group_<id>".
  void list_resources(ResourceMap& total, ResourceMap& available) const;
  std::vector<GroupView> views() const;
  void check() const;

 private:
  bool place(GroupRecord& group, ResourceLedger& node);
  void give_back(Bundle& bundle, ResourceLedger& node);
  /// The first and one past the last bundle that may be meant; the same where there is none.
  static std::pair<size_t, size_t> span_of(const GroupRecord& group, int32_t bundle);

  std::string node_id_;
  std::map<GroupId, GroupRecord> groups_;
  std::map<std::pair<std::string, std::string>, GroupId> names_;  // (space, name)
  std::deque<GroupId> pending_;                                   // oldest first
  std::deque<GroupId> removed_;  // oldest first; at most kRemovedMax are remembered
  size_t feasible_pending_ = 0;
  bool fresh_ = false;     // one came since the last try
  uint64_t tried_at_ = 0;  // ResourceLedger::freed() then
};

}  // namespace mobula
