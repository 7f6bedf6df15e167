// Tests of image decoding, encoding and resizing. Pictures are made by our own encoders; the resizing figures
// are Pillow 13's for the same pixels.
#include "data/media/image.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "data/media/resize.h"

namespace mobula::media {
namespace {

Image gradient(Size size, PixelFormat format) {
  Image image{size, format, {}};
  const size_t bytes = channels(format);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (size_t c = 0; c < bytes; ++c) {
        const int step = static_cast<int>(c) + 1;
        image.pixels.push_back(static_cast<uint8_t>((x * 3 * step + y * 5 + static_cast<int>(c) * 40) % 256));
      }
    }
  }
  return image;
}

/// Smooth enough for JPEG to keep.
Image smooth(Size size) {
  Image image{size, PixelFormat::kRgb24, {}};
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      image.pixels.push_back(static_cast<uint8_t>(x * 255 / size.width));
      image.pixels.push_back(static_cast<uint8_t>(y * 255 / size.height));
      image.pixels.push_back(128);
    }
  }
  return image;
}

int largest_difference(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  int largest = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return a.size() == b.size() ? largest : 256;
}

uint32_t sum_of(std::span<const uint8_t> pixels) {
  uint32_t hash = 2166136261U;
  for (uint8_t byte : pixels) hash = (hash ^ byte) * 16777619U;
  return hash;
}

/// The smallest lossy WebP of Pillow's: 4x2 pixels of one colour.
const std::vector<uint8_t> kWebp{
    0x52, 0x49, 0x46, 0x46, 0x3A, 0x00, 0x00, 0x00, 0x57, 0x45, 0x42, 0x50, 0x56, 0x50, 0x38, 0x20, 0x2E,
    0x00, 0x00, 0x00, 0xF0, 0x01, 0x00, 0x9D, 0x01, 0x2A, 0x04, 0x00, 0x02, 0x00, 0x01, 0x40, 0x26, 0x25,
    0xA0, 0x02, 0x74, 0xBA, 0x01, 0xF8, 0x00, 0x04, 0xC8, 0x00, 0x00, 0xFE, 0xAE, 0x17, 0xFF, 0x36, 0x04,
    0x0C, 0xD0, 0xFA, 0x60, 0xFF, 0xD2, 0x6C, 0xF1, 0x36, 0x78, 0x9B, 0x3E, 0x39, 0x80, 0x00};

TEST(Png, GivesBackWhatWasEncoded) {
  for (PixelFormat format : {PixelFormat::kRgb24, PixelFormat::kGray8, PixelFormat::kRgba32}) {
    const Image image = gradient({37, 23}, format);
    const auto png = encode_png(image.view());
    ASSERT_TRUE(png.is_ok());
    ImageOptions options;
    options.format = format;
    const auto decoded = decode_image(png.value(), "picture", options);
    ASSERT_TRUE(decoded.is_ok()) << decoded.status().to_string();
    EXPECT_EQ(decoded.value().pixels, image.pixels);
    const auto info = probe_image(png.value(), "picture");
    ASSERT_TRUE(info.is_ok());
    EXPECT_EQ(info.value().size, image.size);
    EXPECT_EQ(info.value().channels, static_cast<int>(channels(format)));
  }
}

TEST(Png, ChannelsAreConvertedOnTheWay) {
  const Image gray = gradient({9, 5}, PixelFormat::kGray8);
  const auto png = encode_png(gray.view());
  ASSERT_TRUE(png.is_ok());
  ImageOptions options;
  options.format = PixelFormat::kRgba32;
  const auto rgba = decode_image(png.value(), "picture", options);
  ASSERT_TRUE(rgba.is_ok());
  for (size_t i = 0; i < gray.pixels.size(); ++i) {
    EXPECT_EQ(rgba.value().pixels[4 * i + 2], gray.pixels[i]);
    EXPECT_EQ(rgba.value().pixels[4 * i + 3], 255);
  }
  const Image colour{{1, 1}, PixelFormat::kRgb24, {200, 100, 50}};
  const auto one = encode_png(colour.view());
  options.format = PixelFormat::kGray8;
  EXPECT_EQ(decode_image(one.value(), "picture", options).value().pixels[0], 124);
}

TEST(Jpeg, GivesBackNearlyWhatWasEncoded) {
  const Image image = smooth({160, 120});
  const auto jpeg = encode_jpeg(image.view(), 95);
  ASSERT_TRUE(jpeg.is_ok());
  const auto decoded = decode_image(jpeg.value(), "picture", {});
  ASSERT_TRUE(decoded.is_ok()) << decoded.status().to_string();
  EXPECT_EQ(decoded.value().size, image.size);
  EXPECT_LE(largest_difference(decoded.value().pixels, image.pixels), 6);
  EXPECT_EQ(probe_image(jpeg.value(), "picture").value().kind, ImageKind::kJpeg);
}

TEST(Jpeg, ShrinkingWhileDecodingStaysClose) {
  const Image image = smooth({640, 480});
  const auto jpeg = encode_jpeg(image.view(), 95);
  ASSERT_TRUE(jpeg.is_ok());
  ImageOptions options;
  options.size = {100, 75};
  const auto full = decode_image(jpeg.value(), "picture", options);
  options.shrinks_while_decoding = true;
  const auto shrunk = decode_image(jpeg.value(), "picture", options);
  ASSERT_TRUE(full.is_ok() && shrunk.is_ok());
  EXPECT_LE(largest_difference(full.value().pixels, shrunk.value().pixels), 4);
}

TEST(Webp, IsDecoded) {
  const auto info = probe_image(kWebp, "picture");
  ASSERT_TRUE(info.is_ok()) << info.status().to_string();
  EXPECT_EQ(info.value().kind, ImageKind::kWebp);
  const auto decoded = decode_image(kWebp, "picture", {});
  ASSERT_TRUE(decoded.is_ok()) << decoded.status().to_string();
  EXPECT_EQ(decoded.value().size, (Size{4, 2}));
  EXPECT_NEAR(decoded.value().pixels[0], 200, 4);
  EXPECT_NEAR(decoded.value().pixels[1], 100, 4);
  EXPECT_NEAR(decoded.value().pixels[2], 50, 4);
}

TEST(DecodeImage, WritesIntoTheCallersMemory) {
  const Image image = gradient({20, 10}, PixelFormat::kRgb24);
  const auto png = encode_png(image.view());
  ImageOptions options;
  options.size = {20, 10};
  std::vector<uint8_t> pixels(600);
  ASSERT_TRUE(decode_image_into(png.value(), "picture", options, pixels).is_ok());
  EXPECT_EQ(pixels, image.pixels);
  options.size = {10, 10};
  EXPECT_EQ(decode_image_into(png.value(), "picture", options, pixels).code(), Code::kInvalid);
  pixels.resize(300);
  EXPECT_TRUE(decode_image_into(png.value(), "picture", options, pixels).is_ok());
}

TEST(DecodeImage, DamagedPicturesAreNamed) {
  const Image image = gradient({64, 64}, PixelFormat::kRgb24);
  for (auto bytes : {encode_png(image.view()).value(), encode_jpeg(image.view(), 90).value(), kWebp}) {
    bytes.resize(bytes.size() * 2 / 3);
    const auto cut = decode_image(bytes, "cut.picture", {});
    ASSERT_FALSE(cut.is_ok());
    EXPECT_EQ(cut.status().code(), Code::kInvalid);
    EXPECT_NE(cut.status().message().find("'cut.picture'"), std::string::npos);
  }
}

TEST(DecodeImage, FlippedBitsNeverEscape) {
  const Image image = gradient({48, 32}, PixelFormat::kRgb24);
  std::mt19937_64 random(7);
  for (const auto& whole : {encode_png(image.view()).value(), encode_jpeg(image.view(), 90).value(), kWebp}) {
    for (int round = 0; round < 300; ++round) {
      auto bytes = whole;
      for (int i = 0; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
      ImageOptions options;
      options.pixels_max = 1 << 20;
      const auto decoded = decode_image(bytes, "flipped", options);
      if (decoded.is_ok()) {
        EXPECT_EQ(decoded.value().pixels.size(), picture_bytes(decoded.value().size, PixelFormat::kRgb24));
      }
    }
  }
}

TEST(DecodeImage, OtherBytesAreUnsupported) {
  const std::vector<uint8_t> text(100, 'x');
  EXPECT_EQ(decode_image(text, "text", {}).status().code(), Code::kUnsupported);
  EXPECT_EQ(decode_image({}, "nothing", {}).status().code(), Code::kUnsupported);
  EXPECT_EQ(probe_image(text, "text").status().code(), Code::kUnsupported);
}

TEST(DecodeImage, PicturesBeyondTheLimitAreRefusedBeforeTheyAreDecoded) {
  const auto png = encode_png(gradient({100, 100}, PixelFormat::kGray8).view());
  ImageOptions options;
  options.pixels_max = 9999;
  EXPECT_EQ(decode_image(png.value(), "large", options).status().code(), Code::kInvalid);
}

TEST(Resize, GivesThePixelsOfPillow) {
  struct Case {
    PixelFormat format;
    Size size;
    Filter filter;
    uint32_t sum;
  };
  const std::vector<Case> cases{
      {PixelFormat::kRgb24, {16, 16}, Filter::kBilinear, 0x57B702CB},
      {PixelFormat::kRgb24, {16, 16}, Filter::kBicubic, 0xE7254233},
      {PixelFormat::kRgb24, {16, 16}, Filter::kArea, 0x224DF93E},
      {PixelFormat::kRgb24, {100, 90}, Filter::kBilinear, 0x1DA4BEC9},
      {PixelFormat::kRgb24, {100, 90}, Filter::kBicubic, 0x23A8AD47},
      {PixelFormat::kRgb24, {100, 90}, Filter::kArea, 0x25414515},
      {PixelFormat::kRgb24, {61, 20}, Filter::kBilinear, 0x201FA5A6},
      {PixelFormat::kRgb24, {61, 20}, Filter::kBicubic, 0xFC139ABC},
      {PixelFormat::kRgb24, {61, 20}, Filter::kArea, 0x2C9AE007},
      {PixelFormat::kGray8, {16, 16}, Filter::kBilinear, 0xADC7AAD0},
      {PixelFormat::kGray8, {16, 16}, Filter::kBicubic, 0xA53ACCF2},
      {PixelFormat::kGray8, {16, 16}, Filter::kArea, 0xB5581D4D},
      {PixelFormat::kGray8, {100, 90}, Filter::kBilinear, 0x8ED6023A},
      {PixelFormat::kGray8, {100, 90}, Filter::kBicubic, 0x3482B6E7},
      {PixelFormat::kGray8, {100, 90}, Filter::kArea, 0xA57F2375},
      {PixelFormat::kGray8, {61, 20}, Filter::kBilinear, 0x32580FFA},
      {PixelFormat::kGray8, {61, 20}, Filter::kBicubic, 0xB723FF8A},
      {PixelFormat::kGray8, {61, 20}, Filter::kArea, 0xC96D4833},
      {PixelFormat::kRgba32, {16, 16}, Filter::kBilinear, 0x8551D751},
      {PixelFormat::kRgba32, {16, 16}, Filter::kBicubic, 0xBDAABAD4},
      {PixelFormat::kRgba32, {16, 16}, Filter::kArea, 0x16AFAB2C},
      {PixelFormat::kRgba32, {100, 90}, Filter::kBilinear, 0x2BA972C1},
      {PixelFormat::kRgba32, {100, 90}, Filter::kBicubic, 0x5172DF22},
      {PixelFormat::kRgba32, {100, 90}, Filter::kArea, 0xA22C6B41},
      {PixelFormat::kRgba32, {61, 20}, Filter::kBilinear, 0x9C6F061D},
      {PixelFormat::kRgba32, {61, 20}, Filter::kBicubic, 0xBBFB1355},
      {PixelFormat::kRgba32, {61, 20}, Filter::kArea, 0x2ADA7A24},
  };
  for (const Case& each : cases) {
    const Image from = gradient({61, 47}, each.format);
    Image to{each.size, each.format, std::vector<uint8_t>(picture_bytes(each.size, each.format))};
    ASSERT_TRUE(resize(from.view(), to.span(), each.filter).is_ok());
    EXPECT_EQ(sum_of(to.pixels), each.sum)
        << each.size.width << "x" << each.size.height << " filter " << static_cast<int>(each.filter);
  }
}

TEST(Resize, LetterboxLeavesBlackBorders) {
  const Image from{{4, 2}, PixelFormat::kGray8, std::vector<uint8_t>(8, 200)};
  Image to{{8, 8}, PixelFormat::kGray8, std::vector<uint8_t>(64, 77)};
  ASSERT_TRUE(resize_to_fit(from.view(), to.span(), Filter::kBilinear, Fit::kLetterbox).is_ok());
  EXPECT_EQ(to.pixels[0], 0);
  EXPECT_EQ(to.pixels[8 * 2], 200);
  EXPECT_EQ(to.pixels[8 * 5 + 7], 200);
  EXPECT_EQ(to.pixels[8 * 6], 0);
}

TEST(Resize, MismatchedPicturesAreRefused) {
  const Image from{{4, 2}, PixelFormat::kGray8, std::vector<uint8_t>(8)};
  Image to{{2, 2}, PixelFormat::kRgb24, std::vector<uint8_t>(12)};
  EXPECT_EQ(resize(from.view(), to.span(), Filter::kBilinear).code(), Code::kInvalid);
  Image empty{{0, 0}, PixelFormat::kGray8, {}};
  EXPECT_EQ(resize(from.view(), empty.span(), Filter::kBilinear).code(), Code::kInvalid);
}

TEST(Encode, NonsenseIsRefused) {
  const Image rgba = gradient({4, 4}, PixelFormat::kRgba32);
  EXPECT_EQ(encode_jpeg(rgba.view()).status().code(), Code::kInvalid);
  const Image gray = gradient({4, 4}, PixelFormat::kGray8);
  EXPECT_EQ(encode_jpeg(gray.view(), 0).status().code(), Code::kInvalid);
  EXPECT_EQ(encode_png({{5, 5}, PixelFormat::kGray8, gray.pixels}).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace mobula::media
