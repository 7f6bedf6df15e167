// Chooses the codec by the first bytes, and resizes what it gives where another size is wanted.
// Tests: image_test.cc, image_fuzz.cc.
#include "data/media/image.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "data/media/codec/codec.h"
#include "data/media/resize.h"

namespace mobula::media {
namespace {

Result<ImageKind> kind_of(std::span<const uint8_t> bytes, std::string_view name) {
  const auto starts_with = [bytes](std::string_view magic, size_t at) {
    return bytes.size() >= at + magic.size() &&
           std::memcmp(bytes.data() + at, magic.data(), magic.size()) == 0;
  };
  if (starts_with("\xff\xd8\xff", 0)) return ImageKind::kJpeg;
  if (starts_with("\x89PNG\r\n\x1a\n", 0)) return ImageKind::kPng;
  if (starts_with("RIFF", 0) && starts_with("WEBP", 8)) return ImageKind::kWebp;
  return Status{Code::kUnsupported, "image '" + std::string(name) + "' of " + std::to_string(bytes.size()) +
                                        " bytes is neither JPEG, PNG nor WebP: convert it to one of them"};
}

Status decode(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
              const PixelSink& sink) {
  ASSIGN_OR_RETURN(const ImageKind kind, kind_of(bytes, name));
  switch (kind) {
    case ImageKind::kJpeg:
      return decode_jpeg(bytes, name, options, sink);
    case ImageKind::kPng:
      return decode_png(bytes, name, options, sink);
    case ImageKind::kWebp:
      return decode_webp(bytes, name, options, sink);
  }
  return {Code::kInternal, "unknown image kind"};
}

}  // namespace

Status damaged(std::string_view name, std::string_view codec, std::string_view why) {
  return {Code::kInvalid,
          "image '" + std::string(name) + "' is damaged (" + std::string(codec) + "): " + std::string(why)};
}

Status check_pixels(Size size, std::string_view name, const ImageOptions& options) {
  TRY(check_size(size, "image '" + std::string(name) + "'"));
  if (int64_t{size.width} * size.height <= options.pixels_max) return {};
  return {Code::kInvalid, "image '" + std::string(name) + "' has " + std::to_string(size.width) + "x" +
                              std::to_string(size.height) + " pixels, the limit is " +
                              std::to_string(options.pixels_max) + ": raise pixels_max"};
}

void rgb_to_gray(std::span<const uint8_t> rgb, std::span<uint8_t> gray) {
  const uint8_t* pixel = rgb.data();
  for (uint8_t& luma : gray) {
    luma = static_cast<uint8_t>((19595U * pixel[0] + 38470U * pixel[1] + 7471U * pixel[2] + 0x8000U) >> 16);
    pixel += 3;
  }
}

Result<ImageInfo> probe_image(std::span<const uint8_t> bytes, std::string_view name) {
  ASSIGN_OR_RETURN(const ImageKind kind, kind_of(bytes, name));
  switch (kind) {
    case ImageKind::kJpeg:
      return probe_jpeg(bytes, name);
    case ImageKind::kPng:
      return probe_png(bytes, name);
    case ImageKind::kWebp:
      return probe_webp(bytes, name);
  }
  return Status{Code::kInternal, "unknown image kind"};
}

Result<Image> decode_image(std::span<const uint8_t> bytes, std::string_view name,
                           const ImageOptions& options) {
  Image decoded{{}, options.format, {}};
  const PixelSink sink = [&decoded](Size size) {
    decoded.size = size;
    decoded.pixels.resize(picture_bytes(size, decoded.format));
    return std::span<uint8_t>(decoded.pixels);
  };
  if (options.size != Size{}) TRY(check_size(options.size, "the wanted picture"));
  TRY(decode(bytes, name, options, sink));
  if (options.size == Size{} || options.size == decoded.size) return decoded;
  Image resized{options.size, options.format, {}};
  resized.pixels.resize(picture_bytes(options.size, options.format));
  TRY(resize_to_fit(decoded.view(), resized.span(), options.filter, options.fit));
  return resized;
}

Status decode_image_into(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                         std::span<uint8_t> pixels) {
  TRY(check_size(options.size, "the wanted picture"));
  if (pixels.size() != picture_bytes(options.size, options.format)) {
    return {Code::kInvalid, "image '" + std::string(name) + "' needs " +
                                std::to_string(picture_bytes(options.size, options.format)) +
                                " bytes and was given " + std::to_string(pixels.size())};
  }
  Image decoded{{}, options.format, {}};
  const PixelSink sink = [&](Size size) {
    decoded.size = size;
    if (size == options.size) return pixels;
    decoded.pixels.resize(picture_bytes(size, decoded.format));
    return std::span<uint8_t>(decoded.pixels);
  };
  TRY(decode(bytes, name, options, sink));
  if (decoded.size == options.size) return {};
  return resize_to_fit(decoded.view(), {options.size, options.format, pixels}, options.filter, options.fit);
}

}  // namespace mobula::media
