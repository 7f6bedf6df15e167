// Where the bundles of a placement group go: which node for each of them. A pure function over what the nodes
// have; sched/groups.h reserves what it finds. Tests: groups_test.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "sched/resources.h"

namespace mobula {

/// A node as far as placing goes.
struct NodeRoom {
  std::string id;
  ResourceLedger ledger;
};

/// For each bundle the place of its node in `nodes`; nothing when they do not all fit. Greedy, the largest
/// bundle first: PACK takes nodes that have bundles already, SPREAD those that have the fewest, STRICT_PACK
/// one node for all, STRICT_SPREAD another one for each.
std::optional<std::vector<size_t>> place_bundles(const GroupSpec& spec, const std::vector<NodeRoom>& nodes);

}  // namespace mobula
