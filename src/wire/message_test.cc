// Every message there and back, and cut short at every byte.
#include "wire/message.h"

#include <gtest/gtest.h>

#include "wire/message_samples.h"
#include "wire/segment.h"
#include "wire/views.h"

namespace mobula {
namespace {

TEST(Messages, EveryUpwardMessageHasASample) {
  std::vector<UpMessage> samples = up_samples();
  ASSERT_EQ(samples.size(), std::variant_size_v<UpMessage>);
  for (size_t i = 0; i < samples.size(); ++i) EXPECT_EQ(samples[i].index(), i);
}

TEST(Messages, EveryDownwardMessageHasASample) {
  std::vector<DownMessage> samples = down_samples();
  ASSERT_EQ(samples.size(), std::variant_size_v<DownMessage>);
  for (size_t i = 0; i < samples.size(); ++i) EXPECT_EQ(samples[i].index(), i);
}

TEST(Messages, WhatIsEncodedIsDecodedAgain) {
  for (const UpMessage& message : up_samples()) {
    std::string bytes = encode(message);
    Result<UpMessage> back = decode_up(bytes);
    ASSERT_TRUE(back.is_ok()) << back.status().to_string();
    EXPECT_EQ(back->index(), message.index());
    EXPECT_EQ(encode(*back), bytes);
  }
  for (const DownMessage& message : down_samples()) {
    std::string bytes = encode(message);
    Result<DownMessage> back = decode_down(bytes);
    ASSERT_TRUE(back.is_ok()) << back.status().to_string();
    EXPECT_EQ(back->index(), message.index());
    EXPECT_EQ(encode(*back), bytes);
  }
}

TEST(Messages, FieldsArriveInTheirPlaces) {
  auto back = decode_up(encode(up_samples()[1]));
  ASSERT_TRUE(back.is_ok());
  const auto& specs = std::get<SubmitMessage>(*back).specs;
  const TaskSpec sample = sample_spec();
  ASSERT_EQ(specs.size(), 2u);
  EXPECT_EQ(specs[0].id, sample.id);
  EXPECT_EQ(specs[0].name, sample.name);
  EXPECT_EQ(specs[0].refs, sample.refs);
  EXPECT_EQ(specs[0].resources, sample.resources);
  EXPECT_EQ(specs[0].max_retries, sample.max_retries);
  EXPECT_EQ(specs[0].retry_exceptions, sample.retry_exceptions);
  EXPECT_EQ(specs[0].placement, sample.placement);
  EXPECT_EQ(specs[0].actor, sample.actor);
}

TEST(Messages, WhatIsCutShortOrTooLongIsRefused) {
  for (const UpMessage& message : up_samples()) {
    std::string bytes = encode(message);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_up(std::string_view(bytes).substr(0, size)).is_ok())
          << message.index() << " " << size;
    }
    EXPECT_FALSE(decode_up(bytes + "x").is_ok());
  }
  for (const DownMessage& message : down_samples()) {
    std::string bytes = encode(message);
    for (size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(decode_down(std::string_view(bytes).substr(0, size)).is_ok());
    }
    EXPECT_FALSE(decode_down(bytes + "x").is_ok());
  }
}

TEST(Messages, AKindThatDoesNotExistIsRefused) {
  for (int kind = 0; kind < 256; ++kind) {
    std::string bytes(1, static_cast<char>(kind));
    bytes += std::string(3, '\0');
    bool is_up = kind < static_cast<int>(std::variant_size_v<UpMessage>);
    bool is_down = kind < static_cast<int>(std::variant_size_v<DownMessage>);
    EXPECT_TRUE(is_up || !decode_up(bytes).is_ok());
    EXPECT_TRUE(is_down || !decode_down(bytes).is_ok());
  }
}

TEST(Messages, AHostileLengthIsRefusedBeforeAnythingIsReserved) {
  std::string bytes = encode(UpMessage(ReleaseMessage{{}}));
  bytes.replace(1, 4, "\xff\xff\xff\xff");
  EXPECT_FALSE(decode_up(bytes).is_ok());
  bytes += std::string(1000, '\0');
  EXPECT_FALSE(decode_up(bytes).is_ok());
}

TEST(Messages, AValueGivenByItsBytesKnowsItsSize) {
  Located value = located_bytes(PayloadKind::kCancelled, "late");
  EXPECT_EQ(value.size, 4u);
  EXPECT_EQ(value.kind, PayloadKind::kCancelled);
  EXPECT_FALSE(value.in_arena);
}

TEST(Views, AClusterAndItsFiguresAreReadBack) {
  NodeView node{"abc", true, {{"CPU", 20'000}}, {{"CPU", 5'000}}, {{"zone", "one"}}};
  auto cluster = decode_cluster(encode_cluster({{node, node}, 3}));
  ASSERT_TRUE(cluster.is_ok());
  ASSERT_EQ(cluster->nodes.size(), 2u);
  EXPECT_EQ(cluster->nodes[1].available, node.available);
  EXPECT_EQ(cluster->nodes[1].labels, node.labels);
  EXPECT_EQ(cluster->epoch, 3u);
  EngineStats stats;
  stats.objects = 7;
  EXPECT_EQ(decode_stats(encode_stats(stats))->objects, 7u);
  std::string bytes = encode_cluster({{node}, 3});
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_cluster(bytes.substr(0, size)).is_ok());
  EXPECT_FALSE(decode_stats("short").is_ok());
}

TEST(Views, PlacementGroupsAreReadBackAndBrokenOnesRefused) {
  GroupView group{GroupId{8}, sample_group(), GroupState::kCreated, false, {"abc", "abc"}};
  std::string bytes = encode_groups({group, GroupView{}});
  auto groups = decode_groups(bytes);
  ASSERT_TRUE(groups.is_ok());
  ASSERT_EQ(groups->size(), 2u);
  const GroupView& read = groups->front();
  EXPECT_EQ(read.id, group.id);
  EXPECT_EQ(read.spec.bundles, group.spec.bundles);
  EXPECT_EQ(read.spec.bundle_nodes, group.spec.bundle_nodes);
  EXPECT_EQ(read.spec.strategy, GroupStrategy::kStrictSpread);
  EXPECT_EQ(read.spec.name + read.spec.space, "pairspace");
  EXPECT_TRUE(read.spec.detached);
  EXPECT_EQ(read.state, GroupState::kCreated);
  EXPECT_FALSE(read.feasible);
  EXPECT_EQ(read.nodes, group.nodes);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decode_groups(bytes.substr(0, size)).is_ok());
  group.state = static_cast<GroupState>(7);
  EXPECT_FALSE(decode_groups(encode_groups({group})).is_ok());
}

TEST(Segment, SlotsAndTheirRingsDoNotOverlap) {
  std::vector<uint8_t> memory(segment_bytes(3, 10) + 4096);
  auto at = reinterpret_cast<uintptr_t>(memory.data());
  uint8_t* segment = memory.data() + (4096 - at % 4096) % 4096;
  uint8_t* end = segment + kSlotsOffset;
  for (uint32_t i = 0; i < 3; ++i) {
    Slot slot(segment, i);
    EXPECT_EQ(reinterpret_cast<uint8_t*>(slot.header), end);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(slot.header) % 4096, 0u);
    EXPECT_GE(slot.data(), end + sizeof(SlotHeader));
    new (slot.header) SlotHeader();
    size_t done = 0;
    EXPECT_TRUE(slot.tasks.push(std::string(kTaskRingBytes / 4, 't'), &done));
    EXPECT_TRUE(slot.replies.push(std::string(kReplyRingBytes / 4, 'r'), &(done = 0)));
    EXPECT_TRUE(slot.up.push(std::string(kUpRingBytes / 4, 'u'), &(done = 0)));
    end += kSlotBytes;
  }
  EXPECT_LE(end, segment + segment_bytes(3, 0));
  for (uint32_t i = 0; i < 3; ++i) {
    Slot slot(segment, i);
    EXPECT_EQ(slot.tasks.pop(), std::string(kTaskRingBytes / 4, 't'));
    EXPECT_EQ(slot.up.pop(), std::string(kUpRingBytes / 4, 'u'));
  }
}

}  // namespace
}  // namespace mobula
