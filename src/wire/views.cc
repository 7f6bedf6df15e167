// The codec of cluster views and statistics.
#include "wire/views.h"

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

}  // namespace mobula
