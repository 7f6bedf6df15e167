// Layout and checking of envelopes. Fuzzed by envelope_fuzz.cc; tests: envelope_test.cc.
#include "wire/envelope.h"

#include <cstring>

#include "base/bytes.h"

namespace mobula {
namespace {

struct BufferEntry {
  uint64_t offset, size;
};

size_t align_up(size_t value) { return (value + kBufferAlignment - 1) & ~(kBufferAlignment - 1); }

constexpr uint8_t kByValue = 0, kByReference = 1;

}  // namespace

EnvelopePlan::EnvelopePlan(Tag tag, size_t meta_bytes, std::span<const size_t> buffer_bytes)
    : tag_(tag), meta_bytes_(meta_bytes), sizes_(buffer_bytes.begin(), buffer_bytes.end()) {
  meta_offset_ = sizeof(EnvelopeHeader) + buffer_bytes.size() * sizeof(BufferEntry);
  total_ = meta_offset_ + meta_bytes;
  for (size_t size : sizes_) {
    size_t at = align_up(total_);
    offsets_.push_back(at);
    total_ = at + size;
  }
}

void EnvelopePlan::write_head(std::span<uint8_t> out, std::string_view meta) const {
  EnvelopeHeader header{
      .tag = tag_, .buffers = static_cast<uint32_t>(sizes_.size()), .meta_bytes = meta_bytes_};
  std::memcpy(out.data(), &header, sizeof header);
  for (size_t i = 0; i < sizes_.size(); ++i) {
    BufferEntry entry{offsets_[i], sizes_[i]};
    std::memcpy(out.data() + sizeof header + i * sizeof entry, &entry, sizeof entry);
  }
  if (!meta.empty()) std::memcpy(out.data() + meta_offset_, meta.data(), meta.size());
}

std::string small_envelope(Tag tag, std::string_view meta) {
  EnvelopeHeader header{.tag = tag, .meta_bytes = meta.size()};
  std::string out(reinterpret_cast<const char*>(&header), sizeof header);
  return out.append(meta);
}

Result<EnvelopeView> parse_envelope(std::span<const uint8_t> bytes) {
  auto bad = [&](const char* what) {
    return Status(Code::kInvalid,
                  "an encoded value of " + std::to_string(bytes.size()) + " bytes has " + what);
  };
  EnvelopeHeader header;
  if (bytes.size() < sizeof header) return bad("no header");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.version != 1 || header.tag > Tag::kArrow) return bad("an unknown tag or version");
  size_t left = bytes.size() - sizeof header;
  if (header.buffers > left / sizeof(BufferEntry)) return bad("a table of buffers past its end");
  size_t meta_offset = sizeof header + header.buffers * sizeof(BufferEntry);
  if (header.meta_bytes > bytes.size() - meta_offset) return bad("meta bytes past its end");
  EnvelopeView view{.tag = header.tag,
                    .meta = {reinterpret_cast<const char*>(bytes.data()) + meta_offset, header.meta_bytes},
                    .buffers = {}};
  view.buffers.reserve(header.buffers);
  for (uint32_t i = 0; i < header.buffers; ++i) {
    BufferEntry entry;
    std::memcpy(&entry, bytes.data() + sizeof header + i * sizeof entry, sizeof entry);
    if (entry.offset > bytes.size() || entry.size > bytes.size() - entry.offset)
      return bad("a buffer past its end");
    view.buffers.push_back(bytes.subspan(entry.offset, entry.size));
  }
  return view;
}

void ArgumentWriter::value(std::string_view keyword, std::string_view envelope) {
  Writer writer(out_);
  writer.number(kByValue);
  writer.bytes(keyword);
  writer.bytes(envelope);
}

void ArgumentWriter::reference(std::string_view keyword) {
  Writer writer(out_);
  writer.number(kByReference);
  writer.bytes(keyword);
}

Result<std::vector<ArgumentView>> parse_arguments(std::string_view bytes) {
  Reader reader(bytes);
  std::vector<ArgumentView> arguments;
  while (reader.left() > 0) {
    ArgumentView argument;
    auto kind = reader.number<uint8_t>();
    argument.is_reference = kind == kByReference;
    argument.keyword = reader.view();
    if (kind == kByValue) {
      std::string_view envelope = reader.view();
      argument.envelope = {reinterpret_cast<const uint8_t*>(envelope.data()), envelope.size()};
    }
    if (reader.failed() || kind > kByReference)
      return Status(Code::kInvalid, "an argument list is cut short");
    arguments.push_back(argument);
  }
  return arguments;
}

}  // namespace mobula
