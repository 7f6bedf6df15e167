// The envelope: how every value looks in bytes, in a message or in the arena alike. A header, a table of
// buffers, the meta bytes, then the buffers, each 64-byte aligned from the envelope's start, so that a value
// in the arena is read in place. An argument list is a sequence of envelopes and placeholders.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace mobula {

/// What the meta bytes are. Every language reads the first seven and kPlain; kPickle is Python's alone.
enum class Tag : uint8_t {
  kNone = 0,
  kFalse = 1,
  kTrue = 2,
  kInt = 3,     // meta: int64
  kFloat = 4,   // meta: double
  kString = 5,  // meta: UTF-8
  kBytes = 6,   // meta (small) or the one buffer (large): raw
  kPickle = 7,  // meta: pickle protocol 5; buffers: its out-of-band buffers in order
  kPlain = 8,   // meta: nested lists, maps, scalars, tensors (buffers), as wire/plain.h has them
  kArrow = 9,   // the one buffer: an Arrow IPC stream
};

constexpr size_t kBufferAlignment = 64;

struct EnvelopeHeader {
  Tag tag = Tag::kNone;
  uint8_t version = 1;
  uint16_t unused = 0;
  uint32_t buffers = 0;
  uint64_t meta_bytes = 0;
};
static_assert(sizeof(EnvelopeHeader) == 16);

/// Where each part of an envelope goes; computed before anything is copied.
class EnvelopePlan {
 public:
  EnvelopePlan(Tag tag, size_t meta_bytes, std::span<const size_t> buffer_bytes);
  size_t total_bytes() const { return total_; }
  /// Writes header, table and meta into `out` (total_bytes long); the buffers are the caller's to fill.
  void write_head(std::span<uint8_t> out, std::string_view meta) const;
  /// The place of the meta bytes in `out`, for a meta that is written in pieces.
  std::span<uint8_t> meta(std::span<uint8_t> out) const { return out.subspan(meta_offset_, meta_bytes_); }
  /// The place of buffer `i` in `out`.
  std::span<uint8_t> buffer(std::span<uint8_t> out, size_t i) const {
    return out.subspan(offsets_[i], sizes_[i]);
  }

 private:
  Tag tag_;
  size_t meta_bytes_, meta_offset_, total_;
  std::vector<size_t> offsets_, sizes_;
};

/// An envelope without buffers, as a string.
std::string small_envelope(Tag tag, std::string_view meta);

struct EnvelopeView {
  Tag tag = Tag::kNone;
  std::string_view meta;
  std::vector<std::span<const uint8_t>> buffers;
};

/// Checks every length and offset; `invalid` for anything that does not add up.
Result<EnvelopeView> parse_envelope(std::span<const uint8_t> bytes);

/// One argument of a call: a by-value envelope, or the k-th of TaskSpec::refs in order of appearance.
struct ArgumentView {
  bool is_reference = false;
  std::string_view keyword;           // empty: positional
  std::span<const uint8_t> envelope;  // by value; not aligned: copy what needs alignment
};

class ArgumentWriter {
 public:
  explicit ArgumentWriter(std::string& out) : out_(out) {}
  void value(std::string_view keyword, std::string_view envelope);
  void reference(std::string_view keyword);

 private:
  std::string& out_;
};

Result<std::vector<ArgumentView>> parse_arguments(std::string_view bytes);

}  // namespace mobula
