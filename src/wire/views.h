// Answers to queries as bytes: what Engine::cluster(), stats() and groups() return.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"

namespace mobula {

std::string encode_cluster(const ClusterView& view);
Result<ClusterView> decode_cluster(std::string_view bytes);
std::string encode_stats(const EngineStats& stats);
Result<EngineStats> decode_stats(std::string_view bytes);
std::string encode_groups(const std::vector<GroupView>& groups);
Result<std::vector<GroupView>> decode_groups(std::string_view bytes);

}  // namespace mobula
