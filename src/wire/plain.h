// The plain encoding: values that every language reads (Tag::kPlain). One item after another, depth first: a
// kind byte, then its data. Lists, tuples, sets and maps say how many items follow; tensors and long bytes
// lie in buffers of the envelope and are read in place. Bytes come from outside: PlainCursor::open checks all
// before anything is read. Fuzzed by plain_fuzz.cc; tests: plain_test.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/id.h"
#include "base/status.h"
#include "wire/envelope.h"

namespace mobula {

/// What an item is, and what follows its kind byte. Counts and lengths are uint32, numbers little-endian.
enum class PlainKind : uint8_t {
  kNull = 0,
  kFalse = 1,
  kTrue = 2,
  kInt = 3,         // int64
  kUint = 4,        // uint64, for numbers that int64 cannot hold
  kFloat = 5,       // double
  kString = 6,      // length, UTF-8
  kBytes = 7,       // length, raw
  kLongBytes = 8,   // index of the buffer that holds them
  kList = 9,        // count; then the items
  kTuple = 10,      // the same
  kSet = 11,        // the same
  kMap = 12,        // count of pairs; then key, value, key, value, ...
  kTensor = 13,     // ElementType, rank (1 byte), index of its buffer, int64 for each side; row-major, dense
  kArrow = 14,      // index of the buffer that holds an Arrow IPC stream
  kReference = 15,  // an ObjectId: task (uint64), index and session (uint32 each)
  kActor = 16,      // a PlainActor
};

/// Types of a tensor's elements. The values are part of the format.
enum class ElementType : uint8_t {
  kBool = 0,
  kInt8 = 1,
  kInt16 = 2,
  kInt32 = 3,
  kInt64 = 4,
  kUint8 = 5,
  kUint16 = 6,
  kUint32 = 7,
  kUint64 = 8,
  kFloat16 = 9,
  kFloat32 = 10,
  kFloat64 = 11,
};
constexpr uint8_t kElementTypes = 12;

/// Bytes of one element.
size_t element_bytes(ElementType type);

constexpr size_t kPlainDepthMax = 100;  // of lists in lists
constexpr size_t kPlainRankMax = 32;    // sides of a tensor
/// Bytes longer than this go into a buffer of their own.
constexpr size_t kShortBytesMax = 256;

/// A handle to an actor, as it travels inside values.
struct PlainActor {
  ActorId id;
  uint32_t session = 0;
  uint8_t language = 0;          // Language of its methods
  int32_t max_task_retries = 0;  // of calls that say nothing themselves
  FunctionId definition;         // its class, or what made it
  std::string_view class_name;
  std::string_view handle;  // what its own language adds; others pass it on untouched
};

/// One item as it is read. Views last as long as the bytes that were read.
struct PlainItem {
  PlainKind kind = PlainKind::kNull;
  int64_t integer = 0;                    // kInt
  uint64_t unsigned_integer = 0;          // kUint
  double real = 0;                        // kFloat
  std::span<const uint8_t> bytes;         // kString, kBytes, kLongBytes, kTensor, kArrow
  uint32_t count = 0;                     // kList, kTuple, kSet: items; kMap: pairs
  ElementType type = ElementType::kBool;  // kTensor
  std::vector<int64_t> shape;
  ObjectId reference;  // kReference
  PlainActor actor;    // kActor

  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

/// Appends items to the meta bytes of an envelope. Buffers are the caller's: he passes their places in the
/// envelope.
class PlainWriter {
 public:
  explicit PlainWriter(std::string& meta) : meta_(meta) {}
  void null();
  void boolean(bool value);
  void integer(int64_t value);
  void unsigned_integer(uint64_t value);  // kInt where it fits
  void real(double value);
  void string(std::string_view utf8);
  void bytes(std::string_view raw);  // kBytes; at most kShortBytesMax is usual
  void long_bytes(uint32_t buffer);
  void list(uint32_t count, PlainKind kind = PlainKind::kList);
  void map(uint32_t pairs);
  void tensor(ElementType type, std::span<const int64_t> shape, uint32_t buffer);
  void arrow(uint32_t buffer);
  void reference(const ObjectId& id);
  void actor(const PlainActor& actor);

 private:
  std::string& meta_;
};

/// A complete plain value as the envelope that is shortest for it: scalars, strings and single buffers get
/// the tags that all languages know without this file. `meta` is what a PlainWriter wrote: one item with all
/// that is in it.
struct ShortestEnvelope {
  Tag tag;
  std::string_view meta;
};
ShortestEnvelope shortest_envelope(std::string_view meta);

/// Reads the items of an envelope of any tag but kPickle, in order; what it walks over was checked by open().
class PlainCursor {
 public:
  /// `invalid` for bytes that do not add up, nest deeper than kPlainDepthMax or are no single item;
  /// `unsupported` for pickles, which only Python reads.
  static Result<PlainCursor> open(std::span<const uint8_t> envelope);

  bool at_end() const { return at_end_; }
  PlainKind peek() const { return item_.kind; }
  const PlainItem& item() const { return item_; }
  /// Steps to the next item: into a list after its head, past a scalar.
  void advance();
  /// Steps past the item and all that is in it.
  void skip();

 private:
  PlainCursor() = default;
  std::string_view left_;
  std::vector<std::span<const uint8_t>> buffers_;
  PlainItem item_;
  bool at_end_ = false;
};

/// What user code raised, as all languages read it: a map with these keys, and perhaps more that they do not
/// know.
struct PlainError {
  std::string type;  // "std::runtime_error", "ValueError"
  std::string message;
  std::string function;   // what was called
  std::string language;   // "cpp", "python"
  std::string traceback;  // empty where there is none
  int64_t pid = 0;
};
constexpr size_t kErrorTextMax = 64 * 1024;  // longer messages and tracebacks are cut

/// An envelope of Tag::kPlain.
std::string encode_error(const PlainError& error);
Result<PlainError> decode_error(std::span<const uint8_t> envelope);

}  // namespace mobula
