// The words that everything in this folder shares: pixel formats, sizes, fits, filters and views of caller
// memory. Plain values, any thread. Pixels are 8 bits a channel, rows from the top, without padding between
// the rows. Tests: video_test.cc, image_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace mobula::media {

enum class PixelFormat : uint8_t { kRgb24, kGray8, kRgba32 };

/// How a picture of one shape is put into another: kStretch fills it, kLetterbox keeps the aspect with black
/// borders.
enum class Fit : uint8_t { kStretch, kLetterbox };

/// kArea averages the pixels that a target pixel covers.
enum class Filter : uint8_t { kNearest, kBilinear, kBicubic, kArea };

/// The longest side of a picture that anything here reads or writes.
inline constexpr int kSideMax = 1 << 15;

struct Size {
  int width = 0;
  int height = 0;
  bool is_empty() const { return width <= 0 || height <= 0; }
  bool operator==(const Size&) const = default;
};

/// Bytes of one pixel.
size_t channels(PixelFormat format);
/// Bytes of one picture. The size must not be empty.
size_t picture_bytes(Size size, PixelFormat format);
/// kInvalid when a side is not in 1..kSideMax; `what` begins the message.
Status check_size(Size size, const std::string& what);

/// A picture in someone else's memory: exactly picture_bytes(size, format) bytes.
struct ImageView {
  Size size;
  PixelFormat format = PixelFormat::kRgb24;
  std::span<const uint8_t> pixels;
};

/// A picture in someone else's memory that may be written to.
struct ImageSpan {
  Size size;
  PixelFormat format = PixelFormat::kRgb24;
  std::span<uint8_t> pixels;
};

/// A picture with its own memory.
struct Image {
  Size size;
  PixelFormat format = PixelFormat::kRgb24;
  std::vector<uint8_t> pixels;
  ImageView view() const { return {size, format, pixels}; }
  ImageSpan span() { return {size, format, pixels}; }
};

/// A rectangle of whole pixels; also where a letterboxed picture lies on its canvas.
struct Rect {
  int left = 0;
  int top = 0;
  Size size;
  bool operator==(const Rect&) const = default;
};

/// Where a picture of size `from` lies on a canvas of size `to`. A letterboxed side is rounded half to even,
/// as Python's round() does, and never below one pixel. Neither size may be empty.
Rect place(Size from, Size to, Fit fit);

/// For each of `to` positions along a side, the nearest of `from` ones: int((i + 0.5) * from / to) in
/// doubles.
std::vector<int> nearest_positions(int from, int to);

}  // namespace mobula::media
