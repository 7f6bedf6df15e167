// One function a codec, for image.cc alone. C libraries that leave by longjmp are shut in here: between
// setjmp and the library nothing has a destructor. Tests: image_test.cc, image_fuzz.cc.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/media/image.h"

namespace mobula::media {

/// What a codec wrote about its failure, without allocating.
using CodecMessage = std::array<char, 240>;

/// "image 'x' is damaged (PNG): …"
Status damaged(std::string_view name, std::string_view codec, std::string_view why);

/// kInvalid when a picture is empty, or larger than options.pixels_max or kSideMax.
Status check_pixels(Size size, std::string_view name, const ImageOptions& options);

Result<ImageInfo> probe_jpeg(std::span<const uint8_t> bytes, std::string_view name);
Result<ImageInfo> probe_png(std::span<const uint8_t> bytes, std::string_view name);
Result<ImageInfo> probe_webp(std::span<const uint8_t> bytes, std::string_view name);

/// Asked once, when a codec knows the size: where the picture_bytes(size, options.format) pixels go.
using PixelSink = std::function<std::span<uint8_t>(Size size)>;

/// The whole picture in options.format at its own size, or shrunk while decoding where the options allow.
Status decode_jpeg(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                   const PixelSink& sink);
Status decode_png(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                  const PixelSink& sink);
Status decode_webp(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                   const PixelSink& sink);

/// Luma as Pillow reckons it: (19595 R + 38470 G + 7471 B + 0x8000) >> 16.
void rgb_to_gray(std::span<const uint8_t> rgb, std::span<uint8_t> gray);

}  // namespace mobula::media
