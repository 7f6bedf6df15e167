// Tests of drawing: what is set, what is left alone, what is cut off.
#include "data/media/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/media/font.h"
#include "data/media/image.h"

namespace mobula::media {
namespace {

constexpr Color kRed{255, 0, 0};

Image black(Size size) {
  return {size, PixelFormat::kRgb24, std::vector<uint8_t>(picture_bytes(size, PixelFormat::kRgb24))};
}

int red_pixels(const Image& image) {
  int count = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) count += image.pixels[i] == 255 ? 1 : 0;
  return count;
}

uint8_t red_at(const Image& image, int x, int y) {
  return image
      .pixels[(static_cast<size_t>(y) * static_cast<size_t>(image.size.width) + static_cast<size_t>(x)) * 3];
}

TEST(Draw, ARectangleHasABorderOfItsThicknessAndNothingElse) {
  Image image = black({10, 10});
  draw_rectangle(image.span(), {1, 2, {6, 5}}, 1, kRed);
  EXPECT_EQ(red_pixels(image), 6 * 5 - 4 * 3);
  EXPECT_EQ(red_at(image, 1, 2), 255);
  EXPECT_EQ(red_at(image, 6, 6), 255);
  EXPECT_EQ(red_at(image, 2, 3), 0);
  Image thick = black({10, 10});
  draw_rectangle(thick.span(), {1, 2, {6, 5}}, 2, kRed);
  EXPECT_EQ(red_pixels(thick), 6 * 5 - 2 * 1);
}

TEST(Draw, WhatIsOutsideIsCutOff) {
  Image image = black({8, 8});
  draw_rectangle(image.span(), {-3, -3, {100, 100}}, 2, kRed);
  EXPECT_EQ(red_pixels(image), 0);
  fill_rectangle(image.span(), {6, 6, {100, 100}}, kRed);
  EXPECT_EQ(red_pixels(image), 4);
  draw_rectangle(image.span(), {2, 2, {-5, 3}}, 1, kRed);
  EXPECT_EQ(red_pixels(image), 4);
  draw_text(image.span(), {-100, 7}, "long text that leaves the picture on both sides", 3, kRed);
}

TEST(Draw, TextTakesTheSizeThatItSays) {
  const Size size = text_size("A1", 2);
  EXPECT_EQ(size, (Size{22, 14}));
  Image image = black({40, 20});
  draw_text(image.span(), {0, 0}, "A1", 2, kRed);
  EXPECT_GT(red_pixels(image), 0);
  for (int y = 0; y < image.size.height; ++y) {
    for (int x = 0; x < image.size.width; ++x) {
      const bool is_outside = x >= size.width || y >= size.height;
      EXPECT_TRUE(!is_outside || red_at(image, x, y) == 0) << x << " " << y;
    }
  }
}

TEST(Draw, EveryPrintableCharacterHasAGlyphOfItsOwn) {
  for (char a = '!'; a <= '~'; ++a) {
    for (char b = static_cast<char>(a + 1); b <= '~'; ++b) EXPECT_NE(glyph_of(a), glyph_of(b)) << a << b;
  }
  EXPECT_EQ(glyph_of('\n'), glyph_of('?'));
  EXPECT_EQ(glyph_of('\xC3'), glyph_of('?'));
}

TEST(ContactSheet, LaysTilesOutInRows) {
  const Image white{{20, 10}, PixelFormat::kRgb24, std::vector<uint8_t>(600, 255)};
  std::vector<Tile> tiles(5, Tile{white.view(), "frame 7", {}});
  SheetOptions options;
  options.tile = {40, 40};
  options.gap = 4;
  const auto sheet = contact_sheet(tiles, options);
  ASSERT_TRUE(sheet.is_ok()) << sheet.status().to_string();
  EXPECT_EQ(sheet.value().size.width, 3 * 44 + 4);
  EXPECT_EQ(sheet.value().size.height, 2 * (40 + 11 + 4) + 4);
  EXPECT_EQ(red_at(sheet.value(), 4 + 20, 4 + 20), 255);  // the first tile's middle
  EXPECT_EQ(red_at(sheet.value(), 4 + 20, 4), 0);         // its letterbox border
  EXPECT_EQ(red_at(sheet.value(), 1, 1), options.background.red);
  const auto png = encode_png(sheet.value().view());
  ASSERT_TRUE(png.is_ok());
  EXPECT_EQ(decode_image(png.value(), "sheet", {}).value().pixels, sheet.value().pixels);
}

TEST(ContactSheet, DrawsBoxesInSharesOfThePicture) {
  const Image picture = black({40, 40});
  Tile tile{picture.view(), "", {{0.25F, 0.25F, 0.5F, 0.5F}}};
  SheetOptions options;
  options.tile = {40, 40};
  options.gap = 0;
  options.box = kRed;
  options.box_thickness = 1;
  const auto sheet = contact_sheet({&tile, 1}, options);
  ASSERT_TRUE(sheet.is_ok());
  EXPECT_EQ(sheet.value().size, (Size{40, 40}));
  EXPECT_EQ(red_at(sheet.value(), 10, 10), 255);
  EXPECT_EQ(red_at(sheet.value(), 29, 29), 255);
  EXPECT_EQ(red_at(sheet.value(), 20, 20), 0);
}

TEST(ContactSheet, WildBoxesAreCutOff) {
  const Image picture = black({10, 10});
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Tile tile{picture.view(), "x", {{-kInfinity, -1e30F, kInfinity, 1e30F}, {NAN, NAN, NAN, NAN}}};
  EXPECT_TRUE(contact_sheet({&tile, 1}, {}).is_ok());
}

TEST(ContactSheet, NonsenseIsRefused) {
  EXPECT_EQ(contact_sheet({}, {}).status().code(), Code::kInvalid);
  const Image gray{{2, 2}, PixelFormat::kGray8, std::vector<uint8_t>(4)};
  const Tile tile{gray.view(), "gray", {}};
  EXPECT_EQ(contact_sheet({&tile, 1}, {}).status().code(), Code::kInvalid);
  const Image picture = black({2, 2});
  const Tile fine{picture.view(), "", {}};
  SheetOptions options;
  options.tile = {kSideMax, kSideMax};
  EXPECT_EQ(contact_sheet({&fine, 1}, options).status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace mobula::media
