// Boxes, labels and contact sheets on RGB pictures, for people to look at results. Link libmobula_data
// besides libmobula. What lies outside a picture is cut off, so coordinates from a model need no check. A
// picture is a Tensor of uint8, height x width x 3; RayValueException for any other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <mobula/box.h>
#include <mobula/tensor.h>

namespace mobula::inline v1 {

struct Color {
  uint8_t red = 0;
  uint8_t green = 0;
  uint8_t blue = 0;
};

/// Draws the border of a box, `thickness` pixels wide, inwards. The tensor has to own its memory.
void DrawBox(Tensor& picture, const Box& box, int thickness, Color color);

/// Draws printable ASCII in a 5x7 font from the pixel `left`, `top` on, each of its dots `scale` pixels wide;
/// anything else shows as '?'. The tensor has to own its memory.
void DrawText(Tensor& picture, int left, int top, std::string_view text, int scale, Color color);

/// One picture of a contact sheet.
struct Tile {
  Tensor picture;
  std::string label;  ///< drawn below it; may be empty
  std::vector<Box> boxes;
};

struct SheetOptions {
  int columns = 0;  ///< 0: as square as may be
  /// Each picture is letterboxed into this, in pixels; so are the gap, the boxes' lines and the text's dots.
  int tile_width = 192;
  int tile_height = 192;
  int gap = 6;
  int box_thickness = 2;
  int text_scale = 1;
  Color background{24, 24, 28};
  Color text{230, 230, 230};
  Color box{60, 220, 90};
};

/// The tiles in rows, in their order, as one picture. RayValueException for no tile, a picture that is not
/// RGB, or a sheet that is too large.
Tensor ContactSheet(const std::vector<Tile>& tiles, const SheetOptions& options = {});

}  // namespace mobula::inline v1
