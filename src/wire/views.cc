// The codec of cluster views, statistics and placement groups.
#include "wire/views.h"

#include <algorithm>

#include "base/bytes.h"

namespace mobula {
namespace {

void write_map(Writer& writer, const auto& map, auto write_value) {
  writer.number(static_cast<uint32_t>(map.size()));
  for (const auto& [key, value] : map) {
    writer.bytes(key);
    write_value(value);
  }
}

void read_map(Reader& reader, auto& map, auto read_value) {
  for (auto left = reader.number<uint32_t>(); left > 0 && !reader.failed(); --left) {
    std::string key = reader.bytes();
    map[key] = read_value();
  }
}

}  // namespace

std::string encode_cluster(const ClusterView& view) {
  std::string out;
  Writer writer(out);
  auto amount = [&](int64_t value) { writer.number(value); };
  writer.number(view.epoch);
  writer.list(view.nodes, [&](const NodeView& node) {
    writer.bytes(node.id);
    writer.number(node.alive);
    write_map(writer, node.total, amount);
    write_map(writer, node.available, amount);
    write_map(writer, node.labels, [&](const std::string& value) { writer.bytes(value); });
  });
  return out;
}

Result<ClusterView> decode_cluster(std::string_view bytes) {
  Reader reader(bytes);
  ClusterView view;
  auto amount = [&] { return reader.number<int64_t>(); };
  view.epoch = reader.number<uint64_t>();
  view.nodes = reader.list<NodeView>([&] {
    NodeView node;
    node.id = reader.bytes();
    node.alive = reader.number<bool>();
    read_map(reader, node.total, amount);
    read_map(reader, node.available, amount);
    read_map(reader, node.labels, [&] { return reader.bytes(); });
    return node;
  });
  if (!reader.complete()) return Status(Code::kInvalid, "a cluster view cannot be read");
  return view;
}

std::string encode_stats(const EngineStats& stats) {
  return std::string(reinterpret_cast<const char*>(&stats), sizeof stats);
}

Result<EngineStats> decode_stats(std::string_view bytes) {
  EngineStats stats;
  if (bytes.size() != sizeof stats) return Status(Code::kInvalid, "statistics cannot be read");
  std::memcpy(&stats, bytes.data(), sizeof stats);
  return stats;
}

std::string encode_groups(const std::vector<GroupView>& groups) {
  std::string out;
  Writer writer(out);
  writer.list(groups, [&](const GroupView& group) {
    writer.number(group.id.value);
    writer.list(group.spec.bundles, [&](const ResourceMap& bundle) {
      write_map(writer, bundle, [&](int64_t amount) { writer.number(amount); });
    });
    writer.list(group.spec.bundle_nodes, [&](const std::string& node) { writer.bytes(node); });
    writer.number(group.spec.strategy);
    writer.bytes(group.spec.name);
    writer.bytes(group.spec.space);
    writer.number(group.spec.detached);
    writer.number(group.state);
    writer.number(group.feasible);
    writer.list(group.nodes, [&](const std::string& node) { writer.bytes(node); });
  });
  return out;
}

Result<std::vector<GroupView>> decode_groups(std::string_view bytes) {
  Reader reader(bytes);
  auto text = [&] { return reader.bytes(); };
  auto groups = reader.list<GroupView>([&] {
    GroupView group;
    group.id.value = reader.number<uint64_t>();
    group.spec.bundles = reader.list<ResourceMap>([&] {
      ResourceMap bundle;
      read_map(reader, bundle, [&] { return reader.number<int64_t>(); });
      return bundle;
    });
    group.spec.bundle_nodes = reader.list<std::string>(text);
    group.spec.strategy = reader.number<GroupStrategy>();
    group.spec.name = reader.bytes();
    group.spec.space = reader.bytes();
    group.spec.detached = reader.number<bool>();
    group.state = reader.number<GroupState>();
    group.feasible = reader.number<bool>();
    group.nodes = reader.list<std::string>(text);
    return group;
  });
  bool known = std::all_of(groups.begin(), groups.end(), [](const GroupView& group) {
    return group.spec.strategy <= GroupStrategy::kStrictSpread && group.state <= GroupState::kRemoved;
  });
  if (!reader.complete() || !known) return Status(Code::kInvalid, "placement groups cannot be read");
  return groups;
}

}  // namespace mobula
