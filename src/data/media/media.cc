// Geometry that video, images and drawing share. Its rounding is that of NumPy and Python, bit for bit, since
// programs compare our pixels with theirs. Tests: video_test.cc, image_test.cc.
#include "data/media/media.h"

#include <algorithm>
#include <cmath>

namespace mobula::media {

size_t channels(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb24:
      return 3;
    case PixelFormat::kGray8:
      return 1;
    case PixelFormat::kRgba32:
      return 4;
  }
  return 0;
}

size_t picture_bytes(Size size, PixelFormat format) {
  return static_cast<size_t>(size.width) * static_cast<size_t>(size.height) * channels(format);
}

Status check_size(Size size, const std::string& what) {
  if (size.width >= 1 && size.height >= 1 && size.width <= kSideMax && size.height <= kSideMax) return {};
  return {Code::kInvalid, what + " is " + std::to_string(size.width) + "x" + std::to_string(size.height) +
                              " pixels: each side must be in 1.." + std::to_string(kSideMax)};
}

Rect place(Size from, Size to, Fit fit) {
  if (fit == Fit::kStretch) return {0, 0, to};
  const double scale =
      std::min(static_cast<double>(to.width) / from.width, static_cast<double>(to.height) / from.height);
  const auto scaled = [scale](int side, int limit) {
    return std::clamp(static_cast<int>(std::nearbyint(side * scale)), 1, limit);
  };
  const Size inner{scaled(from.width, to.width), scaled(from.height, to.height)};
  return {(to.width - inner.width) / 2, (to.height - inner.height) / 2, inner};
}

std::vector<int> nearest_positions(int from, int to) {
  std::vector<int> positions(static_cast<size_t>(to));
  for (int i = 0; i < to; ++i) positions[static_cast<size_t>(i)] = static_cast<int>((i + 0.5) * from / to);
  return positions;
}

}  // namespace mobula::media
