// Still pictures: JPEG, PNG and WebP from memory into caller memory, JPEG and PNG back out. The format is
// told by the bytes, never by a file's name. Any thread; every byte is distrusted. Tests: image_test.cc,
// image_fuzz.cc.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/media/media.h"

namespace mobula::media {

enum class ImageKind : uint8_t { kJpeg, kPng, kWebp };

struct ImageInfo {
  ImageKind kind = ImageKind::kJpeg;
  Size size;
  int channels = 0;  ///< as stored: 1 gray, 2 gray with alpha, 3 colour, 4 with alpha or CMYK
};

struct ImageOptions {
  PixelFormat format = PixelFormat::kRgb24;
  /// Size of the pixels handed out; {0, 0} means the picture's own.
  Size size;
  Fit fit = Fit::kStretch;
  /// How it is resized: Pillow's filters of these names, bit for bit (kArea is its BOX).
  Filter filter = Filter::kBilinear;
  /// Let libjpeg shrink by 2, 4 or 8 while it decodes, down to no less than `size`: several times faster for
  /// large pictures, but the pixels are then no longer those of a full decode.
  bool shrinks_while_decoding = false;
  /// Refuse pictures with more pixels than this.
  int64_t pixels_max = int64_t{1} << 28;
};

/// Reads the header only. kUnsupported: neither JPEG, PNG nor WebP. `name` is for messages.
Result<ImageInfo> probe_image(std::span<const uint8_t> bytes, std::string_view name);

/// Colour to gray is luma as Pillow reckons it; alpha is dropped for kRgb24 and kGray8; EXIF turns are not
/// applied.
Result<Image> decode_image(std::span<const uint8_t> bytes, std::string_view name,
                           const ImageOptions& options);

/// Into memory of picture_bytes(options.size, options.format) bytes; options.size must be given.
Status decode_image_into(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                         std::span<uint8_t> pixels);

/// RGB or gray, quality 1..100.
Result<std::vector<uint8_t>> encode_jpeg(const ImageView& image, int quality = 90);

/// RGB, RGBA or gray; level is zlib's 0..9.
Result<std::vector<uint8_t>> encode_png(const ImageView& image, int level = 6);

}  // namespace mobula::media
