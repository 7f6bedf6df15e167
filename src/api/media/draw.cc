// The public drawing functions over data/media/draw. Tests: api_media_test.cc.
#include <mobula/draw.h>

#include "api/media/pictures.h"
#include "data/media/draw.h"

namespace mobula::inline v1 {
namespace {

media::Color color_of(Color color) { return {color.red, color.green, color.blue}; }
media::Box box_of(const Box& box) { return {box.x, box.y, box.width, box.height}; }

}  // namespace

void DrawBox(Tensor& picture, const Box& box, int thickness, Color color) {
  const media::ImageSpan canvas = internal::canvas_of(picture, "DrawBox");
  const media::Rect all{0, 0, canvas.size};
  media::draw_rectangle(canvas, media::box_on(all, box_of(box)), thickness, color_of(color));
}

void DrawText(Tensor& picture, int left, int top, std::string_view text, int scale, Color color) {
  if (scale < 1 || scale > media::kTextScaleMax) {
    throw RayValueException("DrawText: scale " + std::to_string(scale) + " is not in 1.." +
                            std::to_string(media::kTextScaleMax));
  }
  media::draw_text(internal::canvas_of(picture, "DrawText"), {left, top}, text, scale, color_of(color));
}

Tensor ContactSheet(const std::vector<Tile>& tiles, const SheetOptions& options) {
  std::vector<media::Tile> wanted;
  wanted.reserve(tiles.size());
  for (const Tile& tile : tiles) {
    wanted.push_back({internal::view_of(tile.picture, "ContactSheet"), tile.label, {}});
    for (const Box& box : tile.boxes) wanted.back().boxes.push_back(box_of(box));
  }
  media::SheetOptions sheet;
  sheet.columns = options.columns;
  sheet.tile = {options.tile_width, options.tile_height};
  sheet.gap = options.gap;
  sheet.box_thickness = options.box_thickness;
  sheet.text_scale = options.text_scale;
  sheet.background = color_of(options.background);
  sheet.text = color_of(options.text);
  sheet.box = color_of(options.box);
  const auto drawn = media::contact_sheet(wanted, sheet);
  if (!drawn.is_ok()) throw RayValueException(drawn.status().message());
  return internal::tensor_of(drawn.value());
}

}  // namespace mobula::inline v1
