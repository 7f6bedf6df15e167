// The plain encoding: round trips, shortest forms, and refusal of what does not add up.
#include "wire/plain.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace mobula {
namespace {

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// An envelope of Tag::kPlain with these buffers.
std::string envelope(const std::string& meta, const std::vector<std::string>& buffers = {}) {
  std::vector<size_t> sizes;
  for (const auto& buffer : buffers) sizes.push_back(buffer.size());
  EnvelopePlan plan(Tag::kPlain, meta.size(), sizes);
  std::string out(plan.total_bytes(), '\0');
  std::span<uint8_t> room(reinterpret_cast<uint8_t*>(out.data()), out.size());
  plan.write_head(room, meta);
  for (size_t i = 0; i < buffers.size(); ++i) {
    std::memcpy(plan.buffer(room, i).data(), buffers[i].data(), buffers[i].size());
  }
  return out;
}

PlainCursor open(const std::string& bytes) {
  auto cursor = PlainCursor::open(bytes_of(bytes));
  EXPECT_TRUE(cursor.is_ok()) << cursor.status().to_string();
  return std::move(cursor).value();
}

TEST(Plain, EveryScalarIsReadAsItWasWritten) {
  std::string meta;
  PlainWriter out(meta);
  out.list(9);
  out.null();
  out.boolean(true);
  out.boolean(false);
  out.integer(std::numeric_limits<int64_t>::min());
  out.unsigned_integer(std::numeric_limits<uint64_t>::max());
  out.unsigned_integer(7);
  out.real(-0.5);
  out.string("καλημέρα");
  out.bytes(std::string_view("\0\xff", 2));
  const std::string encoded = envelope(meta);
  PlainCursor in = open(encoded);
  ASSERT_EQ(in.peek(), PlainKind::kList);
  EXPECT_EQ(in.item().count, 9u);
  in.advance();
  EXPECT_EQ(in.peek(), PlainKind::kNull);
  in.advance();
  EXPECT_EQ(in.peek(), PlainKind::kTrue);
  in.advance();
  EXPECT_EQ(in.peek(), PlainKind::kFalse);
  in.advance();
  EXPECT_EQ(in.item().integer, std::numeric_limits<int64_t>::min());
  in.advance();
  ASSERT_EQ(in.peek(), PlainKind::kUint);
  EXPECT_EQ(in.item().unsigned_integer, std::numeric_limits<uint64_t>::max());
  in.advance();
  ASSERT_EQ(in.peek(), PlainKind::kInt);
  EXPECT_EQ(in.item().integer, 7);
  in.advance();
  EXPECT_EQ(in.item().real, -0.5);
  in.advance();
  EXPECT_EQ(in.item().text(), "καλημέρα");
  in.advance();
  EXPECT_EQ(in.item().text(), std::string_view("\0\xff", 2));
  in.advance();
  EXPECT_TRUE(in.at_end());
}

TEST(Plain, ATensorIsReadInPlaceFromItsBuffer) {
  std::string meta;
  const int64_t shape[] = {2, 3};
  PlainWriter(meta).tensor(ElementType::kInt16, shape, 0);
  const std::string encoded = envelope(meta, {"abcdefghijkl"});
  PlainCursor in = open(encoded);
  ASSERT_EQ(in.peek(), PlainKind::kTensor);
  EXPECT_EQ(in.item().shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(in.item().text(), "abcdefghijkl");
  EXPECT_GE(in.item().bytes.data(), bytes_of(encoded).data());
  EXPECT_LT(in.item().bytes.data(), bytes_of(encoded).data() + encoded.size());
}

TEST(Plain, ReferencesAndActorsKeepAllTheirParts) {
  std::string meta;
  PlainWriter out(meta);
  out.list(2, PlainKind::kTuple);
  out.reference({TaskId{5}, 6, 7});
  out.actor({.id = {8},
             .session = 7,
             .language = 1,
             .max_task_retries = -1,
             .definition = {1, 2},
             .class_name = "Counter",
             .handle = "extra"});
  const std::string encoded = envelope(meta);
  PlainCursor in = open(encoded);
  in.advance();
  EXPECT_EQ(in.item().reference, (ObjectId{TaskId{5}, 6, 7}));
  in.advance();
  EXPECT_EQ(in.item().actor.id.value, 8u);
  EXPECT_EQ(in.item().actor.max_task_retries, -1);
  EXPECT_EQ(in.item().actor.definition, (FunctionId{1, 2}));
  EXPECT_EQ(in.item().actor.class_name, "Counter");
  EXPECT_EQ(in.item().actor.handle, "extra");
}

TEST(Plain, SkipStepsOverAWholeValue) {
  std::string meta;
  PlainWriter out(meta);
  out.list(2);
  out.map(2);
  out.string("a");
  out.list(2, PlainKind::kSet);
  out.integer(1);
  out.integer(2);
  out.string("b");
  out.null();
  out.integer(42);
  const std::string encoded = envelope(meta);
  PlainCursor in = open(encoded);
  in.advance();
  in.skip();
  ASSERT_EQ(in.peek(), PlainKind::kInt);
  EXPECT_EQ(in.item().integer, 42);
}

TEST(Plain, ScalarsGetTheTagsThatAllLanguagesKnow) {
  auto tag = [](auto write) {
    std::string meta;
    PlainWriter out(meta);
    write(out);
    return shortest_envelope(meta).tag;
  };
  EXPECT_EQ(tag([](PlainWriter& out) { out.null(); }), Tag::kNone);
  EXPECT_EQ(tag([](PlainWriter& out) { out.boolean(true); }), Tag::kTrue);
  EXPECT_EQ(tag([](PlainWriter& out) { out.integer(1); }), Tag::kInt);
  EXPECT_EQ(tag([](PlainWriter& out) { out.real(1); }), Tag::kFloat);
  EXPECT_EQ(tag([](PlainWriter& out) { out.string("x"); }), Tag::kString);
  EXPECT_EQ(tag([](PlainWriter& out) { out.bytes("x"); }), Tag::kBytes);
  EXPECT_EQ(tag([](PlainWriter& out) { out.arrow(0); }), Tag::kArrow);
  EXPECT_EQ(tag([](PlainWriter& out) { out.list(0); }), Tag::kPlain);
  EXPECT_EQ(tag([](PlainWriter& out) { out.unsigned_integer(~uint64_t{0}); }), Tag::kPlain);
}

TEST(Plain, AShortEnvelopeIsReadLikeTheLongOne) {
  std::string meta;
  PlainWriter(meta).string("hello");
  auto [tag, short_meta] = shortest_envelope(meta);
  const std::string short_form = small_envelope(tag, short_meta), long_form = envelope(meta);
  EXPECT_LT(short_form.size(), long_form.size());
  PlainCursor one = open(short_form), other = open(long_form);
  EXPECT_EQ(one.peek(), PlainKind::kString);
  EXPECT_EQ(one.item().text(), other.item().text());
}

Status refusal(const std::string& bytes) {
  auto cursor = PlainCursor::open(bytes_of(bytes));
  EXPECT_FALSE(cursor.is_ok());
  return cursor.status();
}

TEST(Plain, APickleIsRefusedWithTheWayOut) {
  const Status status = refusal(small_envelope(Tag::kPickle, "x"));
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("NumPy"), std::string::npos);
}

TEST(Plain, WhatIsCutShortIsRefused) {
  std::string meta;
  PlainWriter out(meta);
  out.list(2);
  out.string("abc");
  out.integer(1);
  for (size_t size = 0; size < meta.size(); ++size) {
    EXPECT_EQ(refusal(envelope(meta.substr(0, size))).code(), Code::kInvalid) << size;
  }
  EXPECT_EQ(refusal(envelope(meta + "x")).code(), Code::kInvalid);
}

TEST(Plain, ATensorOfAnotherSizeThanItsBufferIsRefused) {
  auto refuse = [](std::vector<int64_t> shape, uint32_t buffer) {
    std::string meta;
    PlainWriter(meta).tensor(ElementType::kInt64, shape, buffer);
    EXPECT_EQ(refusal(envelope(meta, {std::string(16, 'x')})).code(), Code::kInvalid);
  };
  refuse({3}, 0);
  refuse({2}, 1);
  refuse({-2}, 0);
  refuse({int64_t{1} << 62, 4}, 0);
}

TEST(Plain, ListsNestedTooDeepAreRefused) {
  std::string meta;
  PlainWriter out(meta);
  for (size_t i = 0; i <= kPlainDepthMax; ++i) out.list(1);
  out.null();
  EXPECT_NE(refusal(envelope(meta)).message().find("deep"), std::string::npos);
}

TEST(Plain, AHostileCountIsRefusedBeforeItIsBelieved) {
  std::string meta;
  PlainWriter(meta).list(0xFFFFFFFF);
  EXPECT_EQ(refusal(envelope(meta)).code(), Code::kInvalid);
  meta.clear();
  PlainWriter(meta).map(0x80000000);
  EXPECT_EQ(refusal(envelope(meta)).code(), Code::kInvalid);
}

TEST(Plain, AnErrorKeepsItsParts) {
  PlainError error{.type = "ValueError",
                   .message = "no",
                   .function = "f",
                   .language = "python",
                   .traceback = "t",
                   .pid = 12};
  const std::string encoded = encode_error(error);
  auto decoded = decode_error(bytes_of(encoded));
  ASSERT_TRUE(decoded.is_ok());
  EXPECT_EQ(decoded->type, "ValueError");
  EXPECT_EQ(decoded->message, "no");
  EXPECT_EQ(decoded->function, "f");
  EXPECT_EQ(decoded->language, "python");
  EXPECT_EQ(decoded->traceback, "t");
  EXPECT_EQ(decoded->pid, 12);
}

TEST(Plain, ALongErrorIsCutBetweenCharacters) {
  PlainError error;
  for (size_t i = 0; i < kErrorTextMax; ++i) error.message += "ä";
  const std::string encoded = encode_error(error);
  auto decoded = decode_error(bytes_of(encoded));
  ASSERT_TRUE(decoded.is_ok());
  EXPECT_LE(decoded->message.size(), kErrorTextMax);
  EXPECT_EQ(decoded->message.size() % 2, 0u);
}

TEST(Plain, AnErrorWithUnknownKeysIsStillRead) {
  std::string meta;
  PlainWriter out(meta);
  out.map(3);
  out.string("frames");
  out.list(1);
  out.string("message");
  out.string("message");
  out.string("found");
  out.integer(3);
  out.null();
  const std::string encoded = envelope(meta);
  auto decoded = decode_error(bytes_of(encoded));
  ASSERT_TRUE(decoded.is_ok());
  EXPECT_EQ(decoded->message, "found");
}

}  // namespace
}  // namespace mobula
