// Rectangles, labels and contact sheets on RGB pictures, for people to look at results. What lies outside a
// picture is cut off, so coordinates from a model need no check. Any thread. Tests: draw_test.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/media/media.h"

namespace mobula::media {

struct Color {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
};

struct Point {
  int x = 0;
  int y = 0;
};

/// Sets all pixels of the rectangle. The canvas must be kRgb24, here and below.
void fill_rectangle(const ImageSpan& canvas, const Rect& rect, Color color);

/// Draws the rectangle's border, `thickness` pixels wide, inwards.
void draw_rectangle(const ImageSpan& canvas, const Rect& rect, int thickness, Color color);

/// The largest dots of a text, in pixels.
inline constexpr int kTextScaleMax = 64;

/// Draws printable ASCII in a 5x7 font, each of its dots `scale` pixels wide; anything else shows as '?'.
void draw_text(const ImageSpan& canvas, Point top_left, std::string_view text, int scale, Color color);

/// Size of draw_text's output.
Size text_size(std::string_view text, int scale);

/// A box in shares of a picture's width and height, as detectors give them.
struct Box {
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
};

/// Where a box lies on a part of a picture; wild numbers end up far outside.
Rect box_on(const Rect& picture, const Box& box);

struct Tile {
  ImageView image;    ///< kRgb24
  std::string label;  ///< drawn below the picture; may be empty
  std::vector<Box> boxes;
};

struct SheetOptions {
  int columns = 0;      ///< 0: as square as may be
  Size tile{192, 192};  ///< each picture is letterboxed into this
  int gap = 6;
  int box_thickness = 2;
  int text_scale = 1;
  Color background{24, 24, 28};
  Color text{230, 230, 230};
  Color box{60, 220, 90};
};

/// Lays the tiles out in rows, in their order. kInvalid: no tile, a picture that is not RGB, a sheet too
/// large.
Result<Image> contact_sheet(std::span<const Tile> tiles, const SheetOptions& options);

}  // namespace mobula::media
