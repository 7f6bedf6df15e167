// The plain encoding: writing, checking and reading. Fuzzed by plain_fuzz.cc; tests: plain_test.cc.
#include "wire/plain.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "base/bytes.h"

namespace mobula {
namespace {

constexpr std::array<uint8_t, kElementTypes> kElementBytes = {1, 1, 2, 4, 8, 1, 2, 4, 8, 2, 4, 8};

std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// The bytes that a tensor of this shape takes; false when a side is negative or the product overflows.
bool tensor_bytes(ElementType type, std::span<const int64_t> shape, uint64_t* out) {
  uint64_t bytes = element_bytes(type);
  for (int64_t side : shape) {
    if (side < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(side), &bytes)) return false;
  }
  *out = bytes;
  return true;
}

using Buffers = std::vector<std::span<const uint8_t>>;

/// Reads what follows a kind byte. False when it is cut short or refers to what is not there.
bool read_tensor(Reader& in, const Buffers& buffers, PlainItem& item) {
  item.type = in.number<ElementType>();
  size_t rank = in.number<uint8_t>();
  auto buffer = in.number<uint32_t>();
  if (in.failed() || static_cast<uint8_t>(item.type) >= kElementTypes) return false;
  if (rank > kPlainRankMax || buffer >= buffers.size()) return false;
  item.shape.resize(rank);
  for (int64_t& side : item.shape) side = in.number<int64_t>();
  item.bytes = buffers[buffer];
  uint64_t wanted = 0;
  return !in.failed() && tensor_bytes(item.type, item.shape, &wanted) && wanted == item.bytes.size();
}

bool read_actor(Reader& in, PlainActor& actor) {
  actor.id.value = in.number<uint64_t>();
  actor.session = in.number<uint32_t>();
  actor.language = in.number<uint8_t>();
  actor.max_task_retries = in.number<int32_t>();
  actor.definition.high = in.number<uint64_t>();
  actor.definition.low = in.number<uint64_t>();
  actor.class_name = in.view();
  actor.handle = in.view();
  return !in.failed();
}

/// Items that follow a head; each takes at least one byte, so a hostile count fails before it is believed.
bool read_count(Reader& in, PlainItem& item) {
  item.count = in.number<uint32_t>();
  uint64_t items = uint64_t{item.count} * (item.kind == PlainKind::kMap ? 2 : 1);
  return !in.failed() && items <= in.left();
}

bool read_buffer(Reader& in, const Buffers& buffers, PlainItem& item) {
  auto buffer = in.number<uint32_t>();
  if (in.failed() || buffer >= buffers.size()) return false;
  item.bytes = buffers[buffer];
  return true;
}

bool read_item(Reader& in, const Buffers& buffers, PlainItem& item) {
  item.kind = in.number<PlainKind>();
  if (in.failed()) return false;
  switch (item.kind) {
    case PlainKind::kNull:
    case PlainKind::kFalse:
    case PlainKind::kTrue:
      return true;
    case PlainKind::kInt:
      item.integer = in.number<int64_t>();
      break;
    case PlainKind::kUint:
      item.unsigned_integer = in.number<uint64_t>();
      break;
    case PlainKind::kFloat:
      item.real = in.number<double>();
      break;
    case PlainKind::kString:
    case PlainKind::kBytes:
      item.bytes = as_bytes(in.view());
      break;
    case PlainKind::kLongBytes:
    case PlainKind::kArrow:
      return read_buffer(in, buffers, item);
    case PlainKind::kList:
    case PlainKind::kTuple:
    case PlainKind::kSet:
    case PlainKind::kMap:
      return read_count(in, item);
    case PlainKind::kTensor:
      return read_tensor(in, buffers, item);
    case PlainKind::kReference:
      item.reference.task.value = in.number<uint64_t>();
      item.reference.index = in.number<uint32_t>();
      item.reference.session = in.number<uint32_t>();
      break;
    case PlainKind::kActor:
      return read_actor(in, item.actor);
    default:
      return false;
  }
  return !in.failed();
}

/// At most kErrorTextMax bytes, cut between characters.
std::string_view shortened(std::string_view text) {
  if (text.size() <= kErrorTextMax) return text;
  size_t end = kErrorTextMax;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end);
}

uint64_t items_inside(const PlainItem& item) {
  switch (item.kind) {
    case PlainKind::kList:
    case PlainKind::kTuple:
    case PlainKind::kSet:
      return item.count;
    case PlainKind::kMap:
      return uint64_t{item.count} * 2;
    default:
      return 0;
  }
}

/// Walks over one whole value. The stack holds how many items are due at each depth.
const char* check_plain(std::string_view meta, const Buffers& buffers) {
  Reader in(meta);
  PlainItem item;
  std::vector<uint64_t> due = {1};
  while (!due.empty()) {
    if (due.back() == 0) {
      due.pop_back();
      continue;
    }
    --due.back();
    if (!read_item(in, buffers, item)) return "an item that is cut short or of an unknown kind";
    if (uint64_t inside = items_inside(item); inside > 0) {
      if (due.size() > kPlainDepthMax) return "lists nested too deep";
      due.push_back(inside);
    }
  }
  return in.left() == 0 ? nullptr : "bytes after its end";
}

/// The one item of an envelope whose tag says all. Null when the tag has no such form.
const char* read_single(const EnvelopeView& view, PlainItem& item) {
  Reader in(view.meta);
  switch (view.tag) {
    case Tag::kNone:
      item.kind = PlainKind::kNull;
      return nullptr;
    case Tag::kFalse:
      item.kind = PlainKind::kFalse;
      return nullptr;
    case Tag::kTrue:
      item.kind = PlainKind::kTrue;
      return nullptr;
    case Tag::kInt:
      item.kind = PlainKind::kInt;
      item.integer = in.number<int64_t>();
      return in.complete() ? nullptr : "no int64";
    case Tag::kFloat:
      item.kind = PlainKind::kFloat;
      item.real = in.number<double>();
      return in.complete() ? nullptr : "no double";
    case Tag::kString:
      item.kind = PlainKind::kString;
      item.bytes = as_bytes(view.meta);
      return nullptr;
    case Tag::kBytes:
      item.kind = PlainKind::kBytes;
      item.bytes = view.buffers.empty() ? as_bytes(view.meta) : view.buffers[0];
      return nullptr;
    case Tag::kArrow:
      if (view.buffers.empty()) return "no buffer for its Arrow stream";
      item.kind = PlainKind::kArrow;
      item.bytes = view.buffers[0];
      return nullptr;
    default:
      return "a tag of another kind";
  }
}

}  // namespace

size_t element_bytes(ElementType type) { return kElementBytes[static_cast<uint8_t>(type)]; }

void PlainWriter::null() { Writer(meta_).number(PlainKind::kNull); }

void PlainWriter::boolean(bool value) { Writer(meta_).number(value ? PlainKind::kTrue : PlainKind::kFalse); }

void PlainWriter::integer(int64_t value) {
  Writer out(meta_);
  out.number(PlainKind::kInt);
  out.number(value);
}

void PlainWriter::unsigned_integer(uint64_t value) {
  if (value <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return integer(static_cast<int64_t>(value));
  Writer out(meta_);
  out.number(PlainKind::kUint);
  out.number(value);
}

void PlainWriter::real(double value) {
  Writer out(meta_);
  out.number(PlainKind::kFloat);
  out.number(value);
}

void PlainWriter::string(std::string_view utf8) {
  Writer out(meta_);
  out.number(PlainKind::kString);
  out.bytes(utf8);
}

void PlainWriter::bytes(std::string_view raw) {
  Writer out(meta_);
  out.number(PlainKind::kBytes);
  out.bytes(raw);
}

void PlainWriter::long_bytes(uint32_t buffer) {
  Writer out(meta_);
  out.number(PlainKind::kLongBytes);
  out.number(buffer);
}

void PlainWriter::list(uint32_t count, PlainKind kind) {
  Writer out(meta_);
  out.number(kind);
  out.number(count);
}

void PlainWriter::map(uint32_t pairs) { list(pairs, PlainKind::kMap); }

void PlainWriter::tensor(ElementType type, std::span<const int64_t> shape, uint32_t buffer) {
  Writer out(meta_);
  out.number(PlainKind::kTensor);
  out.number(type);
  out.number(static_cast<uint8_t>(shape.size()));
  out.number(buffer);
  for (int64_t side : shape) out.number(side);
}

void PlainWriter::arrow(uint32_t buffer) {
  Writer out(meta_);
  out.number(PlainKind::kArrow);
  out.number(buffer);
}

void PlainWriter::reference(const ObjectId& id) {
  Writer out(meta_);
  out.number(PlainKind::kReference);
  out.number(id.task.value);
  out.number(id.index);
  out.number(id.session);
}

void PlainWriter::actor(const PlainActor& actor) {
  Writer out(meta_);
  out.number(PlainKind::kActor);
  out.number(actor.id.value);
  out.number(actor.session);
  out.number(actor.language);
  out.number(actor.max_task_retries);
  out.number(actor.definition.high);
  out.number(actor.definition.low);
  out.bytes(actor.class_name);
  out.bytes(actor.handle);
}

ShortestEnvelope shortest_envelope(std::string_view meta) {
  constexpr size_t kHead = 1, kLengthHead = 1 + sizeof(uint32_t);
  switch (meta.empty() ? PlainKind::kMap : static_cast<PlainKind>(meta[0])) {
    case PlainKind::kNull:
      return {Tag::kNone, {}};
    case PlainKind::kFalse:
      return {Tag::kFalse, {}};
    case PlainKind::kTrue:
      return {Tag::kTrue, {}};
    case PlainKind::kInt:
      return {Tag::kInt, meta.substr(kHead)};
    case PlainKind::kFloat:
      return {Tag::kFloat, meta.substr(kHead)};
    case PlainKind::kString:
      return {Tag::kString, meta.substr(kLengthHead)};
    case PlainKind::kBytes:
      return {Tag::kBytes, meta.substr(kLengthHead)};
    case PlainKind::kLongBytes:
      return {Tag::kBytes, {}};
    case PlainKind::kArrow:
      return {Tag::kArrow, {}};
    default:
      return {Tag::kPlain, meta};
  }
}

Result<PlainCursor> PlainCursor::open(std::span<const uint8_t> envelope) {
  ASSIGN_OR_RETURN(EnvelopeView view, parse_envelope(envelope));
  if (view.tag == Tag::kPickle) {
    return Status(
        Code::kUnsupported,
        "the value is a Python pickle, which only Python reads; pass numbers, strings, bytes, lists, dicts, "
        "NumPy arrays or Arrow tables between languages");
  }
  PlainCursor cursor;
  const char* wrong = nullptr;
  if (view.tag == Tag::kPlain) {
    wrong = check_plain(view.meta, view.buffers);
    cursor.left_ = view.meta;
    cursor.buffers_ = std::move(view.buffers);
    if (wrong == nullptr) cursor.advance();
  } else {
    wrong = read_single(view, cursor.item_);
  }
  if (wrong != nullptr) {
    return Status(Code::kInvalid,
                  "a plain value of " + std::to_string(envelope.size()) + " bytes has " + wrong);
  }
  return cursor;
}

void PlainCursor::advance() {
  if (left_.empty()) {
    at_end_ = true;
    item_ = {};
    return;
  }
  Reader in(left_);
  CHECK(read_item(in, buffers_, item_));  // open() has walked here before
  left_.remove_prefix(left_.size() - in.left());
}

void PlainCursor::skip() {
  uint64_t due = 1;
  while (due > 0 && !at_end_) {
    due += items_inside(item_);
    --due;
    advance();
  }
}

std::string encode_error(const PlainError& error) {
  std::string meta;
  PlainWriter out(meta);
  auto text = [&](std::string_view key, std::string_view value) {
    out.string(key);
    out.string(shortened(value));
  };
  out.map(6);
  text("type", error.type);
  text("message", error.message);
  text("function", error.function);
  text("language", error.language);
  text("traceback", error.traceback);
  out.string("pid");
  out.integer(error.pid);
  return small_envelope(Tag::kPlain, meta);
}

Result<PlainError> decode_error(std::span<const uint8_t> envelope) {
  ASSIGN_OR_RETURN(PlainCursor cursor, PlainCursor::open(envelope));
  if (cursor.peek() != PlainKind::kMap) return Status(Code::kInvalid, "an encoded error is no map");
  PlainError error;
  uint32_t pairs = cursor.item().count;
  cursor.advance();
  for (uint32_t i = 0; i < pairs; ++i) {
    std::string key = cursor.peek() == PlainKind::kString ? std::string(cursor.item().text()) : std::string();
    cursor.skip();
    const PlainItem& item = cursor.item();
    if (item.kind == PlainKind::kInt && key == "pid") error.pid = item.integer;
    if (item.kind == PlainKind::kString) {
      std::string* field = key == "type"        ? &error.type
                           : key == "message"   ? &error.message
                           : key == "function"  ? &error.function
                           : key == "language"  ? &error.language
                           : key == "traceback" ? &error.traceback
                                                : nullptr;
      if (field != nullptr) *field = item.text();
    }
    cursor.skip();
  }
  return error;
}

}  // namespace mobula
