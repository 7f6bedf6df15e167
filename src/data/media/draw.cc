// Drawing on packed RGB memory. All drawing ends in fill_rectangle, which cuts off what is outside.
// Tests: draw_test.cc.
#include "data/media/draw.h"

#include <algorithm>
#include <cmath>

#include "data/media/font.h"
#include "data/media/resize.h"

namespace mobula::media {
namespace {

constexpr int kLetterAdvance = kGlyphWidth + 1;
constexpr float kShareMax = 16;  // keeps a wild box within int

struct Layout {
  int columns = 0;
  int rows = 0;
  int label_height = 0;
  Size cell;  // tile, label and gap
  Size sheet;
};

Layout lay_out(std::span<const Tile> tiles, const SheetOptions& options) {
  Layout layout;
  const int count = static_cast<int>(tiles.size());
  layout.columns = options.columns > 0 ? options.columns
                                       : static_cast<int>(std::ceil(std::sqrt(static_cast<double>(count))));
  layout.columns = std::clamp(layout.columns, 1, count);
  layout.rows = (count + layout.columns - 1) / layout.columns;
  const bool labelled =
      std::any_of(tiles.begin(), tiles.end(), [](const Tile& t) { return !t.label.empty(); });
  layout.label_height = labelled ? (kGlyphHeight + 4) * options.text_scale : 0;
  layout.cell = {options.tile.width + options.gap, options.tile.height + layout.label_height + options.gap};
  layout.sheet = {layout.columns * layout.cell.width + options.gap,
                  layout.rows * layout.cell.height + options.gap};
  return layout;
}

Status check_options(std::span<const Tile> tiles, const SheetOptions& options) {
  if (tiles.empty()) return {Code::kInvalid, "a contact sheet needs at least one tile"};
  if (tiles.size() > static_cast<size_t>(kSideMax))
    return {Code::kInvalid, "too many tiles for one contact sheet"};
  TRY(check_size(options.tile, "a tile of the contact sheet"));
  if (options.gap < 0 || options.gap > kSideMax || options.text_scale < 1 ||
      options.text_scale > kTextScaleMax) {
    return {Code::kInvalid, "a contact sheet's gap is at least 0, its text scale 1..64"};
  }
  for (const Tile& tile : tiles) {
    TRY(check_size(tile.image.size, "tile '" + tile.label + "'"));
    if (tile.image.format != PixelFormat::kRgb24 ||
        tile.image.pixels.size() != picture_bytes(tile.image.size, tile.image.format)) {
      return {Code::kInvalid, "tile '" + tile.label + "' is no complete rgb24 picture"};
    }
  }
  return {};
}

}  // namespace

Rect box_on(const Rect& picture, const Box& box) {
  const auto scaled = [](float share, int side) {
    if (std::isnan(share)) return 0;
    return static_cast<int>(std::lround(std::clamp(share, -kShareMax, kShareMax) * static_cast<float>(side)));
  };
  return {picture.left + scaled(box.x, picture.size.width),
          picture.top + scaled(box.y, picture.size.height),
          {scaled(box.width, picture.size.width), scaled(box.height, picture.size.height)}};
}

void fill_rectangle(const ImageSpan& canvas, const Rect& rect, Color color) {
  const int left = std::max(rect.left, 0);
  const int right = std::min(rect.left + rect.size.width, canvas.size.width);
  const int bottom = std::min(rect.top + rect.size.height, canvas.size.height);
  for (int y = std::max(rect.top, 0); y < bottom; ++y) {
    const size_t row = static_cast<size_t>(y) * static_cast<size_t>(canvas.size.width);
    for (int x = left; x < right; ++x) {
      uint8_t* pixel = canvas.pixels.data() + (row + static_cast<size_t>(x)) * 3;
      pixel[0] = color.red;
      pixel[1] = color.green;
      pixel[2] = color.blue;
    }
  }
}

void draw_rectangle(const ImageSpan& canvas, const Rect& rect, int thickness, Color color) {
  if (rect.size.is_empty() || thickness <= 0) return;
  const int down = std::min(thickness, rect.size.height);
  const int across = std::min(thickness, rect.size.width);
  fill_rectangle(canvas, {rect.left, rect.top, {rect.size.width, down}}, color);
  fill_rectangle(canvas, {rect.left, rect.top + rect.size.height - down, {rect.size.width, down}}, color);
  fill_rectangle(canvas, {rect.left, rect.top, {across, rect.size.height}}, color);
  fill_rectangle(canvas, {rect.left + rect.size.width - across, rect.top, {across, rect.size.height}}, color);
}

void draw_text(const ImageSpan& canvas, Point top_left, std::string_view text, int scale, Color color) {
  for (char character : text) {
    if (top_left.x >= canvas.size.width) return;
    const Glyph& glyph = glyph_of(character);
    for (int column = 0; column < kGlyphWidth; ++column) {
      for (int row = 0; row < kGlyphHeight; ++row) {
        if ((glyph[static_cast<size_t>(column)] >> row & 1) == 0) continue;
        fill_rectangle(canvas, {top_left.x + column * scale, top_left.y + row * scale, {scale, scale}},
                       color);
      }
    }
    top_left.x += kLetterAdvance * scale;
  }
}

Size text_size(std::string_view text, int scale) {
  if (text.empty()) return {0, 0};
  return {(static_cast<int>(text.size()) * kLetterAdvance - 1) * scale, kGlyphHeight * scale};
}

Result<Image> contact_sheet(std::span<const Tile> tiles, const SheetOptions& options) {
  TRY(check_options(tiles, options));
  const Layout layout = lay_out(tiles, options);
  TRY(check_size(layout.sheet, "the contact sheet"));
  Image sheet{layout.sheet, PixelFormat::kRgb24, {}};
  sheet.pixels.resize(picture_bytes(sheet.size, sheet.format));
  fill_rectangle(sheet.span(), {0, 0, sheet.size}, options.background);
  Image cell{options.tile, PixelFormat::kRgb24, {}};
  cell.pixels.resize(picture_bytes(cell.size, cell.format));
  for (size_t i = 0; i < tiles.size(); ++i) {
    const Tile& tile = tiles[i];
    const int left = options.gap + static_cast<int>(i) % layout.columns * layout.cell.width;
    const int top = options.gap + static_cast<int>(i) / layout.columns * layout.cell.height;
    TRY(resize_to_fit(tile.image, cell.span(), Filter::kBilinear, Fit::kLetterbox));
    const Rect inner = place(tile.image.size, options.tile, Fit::kLetterbox);
    for (const Box& box : tile.boxes) {
      draw_rectangle(cell.span(), box_on(inner, box), options.box_thickness, options.box);
    }
    const size_t row_bytes = static_cast<size_t>(cell.size.width) * 3;
    for (int y = 0; y < cell.size.height; ++y) {
      const size_t row = static_cast<size_t>(top + y) * static_cast<size_t>(sheet.size.width);
      std::copy_n(cell.pixels.data() + static_cast<size_t>(y) * row_bytes, row_bytes,
                  sheet.pixels.data() + (row + static_cast<size_t>(left)) * 3);
    }
    const size_t letters = static_cast<size_t>(options.tile.width / (kLetterAdvance * options.text_scale));
    draw_text(sheet.span(), {left, top + cell.size.height + 2 * options.text_scale},
              tile.label.substr(0, letters), options.text_scale, options.text);
  }
  return sheet;
}

}  // namespace mobula::media
