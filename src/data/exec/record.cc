// Reading records and writing headers; both are flat and little-endian.
#include "data/exec/record.h"

#include "base/bytes.h"

namespace mobula::data {
namespace {

constexpr double kMsPerNs = 1e-6;
constexpr uint32_t kLiteralFlag = 1;

}  // namespace

Result<Record> parse_record(std::string_view bytes) {
  Reader in(bytes);
  Record record;
  auto kind = in.number<uint8_t>();
  record.last = in.number<uint8_t>() != 0;
  auto stages = in.number<uint16_t>();
  record.bundle = in.number<uint32_t>();
  record.rows = in.number<int64_t>();
  record.bytes = in.number<int64_t>();
  record.busy_ms = static_cast<double>(in.number<int64_t>()) * kMsPerNs;
  record.held_up_ms = static_cast<double>(in.number<int64_t>()) * kMsPerNs;
  record.rss_bytes = in.number<int64_t>();
  bool plausible = kind <= static_cast<uint8_t>(ItemKind::kFailure) && stages <= kStagesMax &&
                   record.rows >= 0 && record.bytes >= 0;
  if (!plausible) return Status(Code::kInvalid, "a task's record of its block is damaged");
  record.kind = static_cast<ItemKind>(kind);
  for (uint16_t i = 0; i < stages; ++i) {
    StageTimes times;
    times.busy_ms = static_cast<double>(in.number<int64_t>()) * kMsPerNs;
    times.rows = in.number<int64_t>();
    record.stages.push_back(times);
  }
  if (in.failed()) return Status(Code::kInvalid, "a task's record of its block is cut short");
  record.failure = bytes.substr(bytes.size() - in.left());
  return record;
}

std::string encode_header(std::span<const Bundle> bundles) {
  std::string out;
  Writer write(out);
  write.number(static_cast<uint32_t>(bundles.size()));
  for (const Bundle& bundle : bundles) {
    bool literal = !bundle.blocks.empty() && bundle.blocks.front().is_literal();
    write.number(static_cast<uint32_t>(bundle.blocks.size()));
    write.number(literal ? kLiteralFlag : 0);
    write.number(bundle.rows_delivered);
    for (const BlockRef& block : bundle.blocks) {
      write.number(block.offset);
      write.number(block.length);
    }
  }
  return out;
}

}  // namespace mobula::data
