// WebP by libwebp: still pictures, lossy and lossless. Tests: image_test.cc, image_fuzz.cc.
#include <webp/decode.h>

#include "data/media/codec/codec.h"

namespace mobula::media {
namespace {

Result<WebPBitstreamFeatures> features_of(std::span<const uint8_t> bytes, std::string_view name) {
  WebPBitstreamFeatures features{};
  if (WebPGetFeatures(bytes.data(), bytes.size(), &features) != VP8_STATUS_OK) {
    return damaged(name, "WebP", "its header cannot be read");
  }
  if (features.has_animation != 0) {
    return Status{Code::kUnsupported, "image '" + std::string(name) +
                                          "' is an animated WebP: convert it to a video or to stills"};
  }
  return features;
}

}  // namespace

Result<ImageInfo> probe_webp(std::span<const uint8_t> bytes, std::string_view name) {
  ASSIGN_OR_RETURN(const WebPBitstreamFeatures features, features_of(bytes, name));
  return ImageInfo{ImageKind::kWebp, {features.width, features.height}, features.has_alpha != 0 ? 4 : 3};
}

Status decode_webp(std::span<const uint8_t> bytes, std::string_view name, const ImageOptions& options,
                   const PixelSink& sink) {
  ASSIGN_OR_RETURN(const WebPBitstreamFeatures features, features_of(bytes, name));
  const Size size{features.width, features.height};
  TRY(check_pixels(size, name, options));
  const std::span<uint8_t> out = sink(size);
  const bool to_gray = options.format == PixelFormat::kGray8;
  const size_t stride = static_cast<size_t>(size.width) * (to_gray ? 3 : channels(options.format));
  std::vector<uint8_t> scratch(to_gray ? stride * static_cast<size_t>(size.height) : 0);
  const std::span<uint8_t> rows = to_gray ? std::span<uint8_t>(scratch) : out;
  const auto decode = options.format == PixelFormat::kRgba32 ? WebPDecodeRGBAInto : WebPDecodeRGBInto;
  if (decode(bytes.data(), bytes.size(), rows.data(), rows.size(), static_cast<int>(stride)) == nullptr) {
    return damaged(name, "WebP", "its pixels cannot be decoded");
  }
  if (to_gray) rgb_to_gray(scratch, out);
  return {};
}

}  // namespace mobula::media
