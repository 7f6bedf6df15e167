// Envelopes and argument lists: layout, alignment, refusal of what does not add up.
#include "wire/envelope.h"

#include <gtest/gtest.h>

#include <cstring>

namespace mobula {
namespace {

std::span<const uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string write(Tag tag, std::string_view meta, const std::vector<std::string>& buffers) {
  std::vector<size_t> sizes;
  for (const auto& buffer : buffers) sizes.push_back(buffer.size());
  EnvelopePlan plan(tag, meta.size(), sizes);
  std::string out(plan.total_bytes(), '\0');
  std::span<uint8_t> room(reinterpret_cast<uint8_t*>(out.data()), out.size());
  plan.write_head(room, meta);
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (!buffers[i].empty()) std::memcpy(plan.buffer(room, i).data(), buffers[i].data(), buffers[i].size());
  }
  return out;
}

TEST(Envelope, PartsAreReadAsTheyWereWritten) {
  const std::string encoded = write(Tag::kPickle, "meta", {"first", "", std::string(1000, 'z')});
  auto view = parse_envelope(bytes_of(encoded));
  ASSERT_TRUE(view.is_ok());
  EXPECT_EQ(view->tag, Tag::kPickle);
  EXPECT_EQ(view->meta, "meta");
  ASSERT_EQ(view->buffers.size(), 3u);
  EXPECT_EQ(std::memcmp(view->buffers[0].data(), "first", 5), 0);
  EXPECT_EQ(view->buffers[1].size(), 0u);
  EXPECT_EQ(view->buffers[2].size(), 1000u);
}

TEST(Envelope, BuffersAreAlignedFromItsStart) {
  const std::string encoded = write(Tag::kPlain, "seven b", {"a", "bc", "def"});
  auto view = parse_envelope(bytes_of(encoded));
  ASSERT_TRUE(view.is_ok());
  for (auto buffer : view->buffers) {
    EXPECT_EQ(static_cast<size_t>(buffer.data() - bytes_of(encoded).data()) % kBufferAlignment, 0u);
  }
}

TEST(Envelope, ASmallOneIsHeaderAndMeta) {
  const std::string encoded = small_envelope(Tag::kString, "text");
  EXPECT_EQ(encoded.size(), sizeof(EnvelopeHeader) + 4);
  auto view = parse_envelope(bytes_of(encoded));
  ASSERT_TRUE(view.is_ok());
  EXPECT_EQ(view->meta, "text");
  EXPECT_TRUE(view->buffers.empty());
}

TEST(Envelope, WhatIsCutShortIsRefused) {
  const std::string encoded = write(Tag::kPlain, "meta", {"0123456789"});
  for (size_t size = 0; size < encoded.size(); ++size) {
    auto view = parse_envelope(bytes_of(encoded).first(size));
    EXPECT_FALSE(view.is_ok()) << size;
  }
}

TEST(Envelope, LengthsPastTheEndAreRefused) {
  std::string encoded = small_envelope(Tag::kBytes, "x");
  EnvelopeHeader header;
  auto with = [&](auto change) {
    std::memcpy(&header, encoded.data(), sizeof header);
    change(header);
    std::string changed = encoded;
    std::memcpy(changed.data(), &header, sizeof header);
    return parse_envelope(bytes_of(changed)).is_ok();
  };
  EXPECT_TRUE(with([](EnvelopeHeader&) {}));
  EXPECT_FALSE(with([](EnvelopeHeader& h) { h.meta_bytes = 2; }));
  EXPECT_FALSE(with([](EnvelopeHeader& h) { h.meta_bytes = ~uint64_t{0}; }));
  EXPECT_FALSE(with([](EnvelopeHeader& h) { h.buffers = 0xFFFFFFFF; }));
  EXPECT_FALSE(with([](EnvelopeHeader& h) { h.version = 2; }));
  EXPECT_FALSE(with([](EnvelopeHeader& h) { h.tag = static_cast<Tag>(99); }));
}

TEST(Arguments, ValuesAndReferencesKeepTheirOrderAndNames) {
  std::string list;
  ArgumentWriter writer(list);
  writer.value("", small_envelope(Tag::kTrue, ""));
  writer.reference("");
  writer.value("key", small_envelope(Tag::kString, "v"));
  writer.reference("other");
  auto views = parse_arguments(list);
  ASSERT_TRUE(views.is_ok());
  ASSERT_EQ(views->size(), 4u);
  EXPECT_FALSE((*views)[0].is_reference);
  EXPECT_TRUE((*views)[1].is_reference);
  EXPECT_EQ((*views)[2].keyword, "key");
  EXPECT_EQ(parse_envelope((*views)[2].envelope)->meta, "v");
  EXPECT_TRUE((*views)[3].is_reference);
  EXPECT_EQ((*views)[3].keyword, "other");
}

TEST(Arguments, AListCutShortIsRefused) {
  std::string list;
  ArgumentWriter(list).value("key", "envelope");
  for (size_t size = 1; size < list.size(); ++size) {
    EXPECT_FALSE(parse_arguments(std::string_view(list).substr(0, size)).is_ok()) << size;
  }
  EXPECT_TRUE(parse_arguments("").is_ok());
  EXPECT_FALSE(parse_arguments("\x07").is_ok());
}

}  // namespace
}  // namespace mobula
