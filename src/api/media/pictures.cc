// Pictures in and out, and the words of the public API as those of data/media. Tests: api_media_test.cc.
#include "api/media/pictures.h"

#include "data/media/image.h"

namespace mobula::inline v1 {
namespace internal {
namespace {

[[noreturn]] void no_picture(const Tensor& tensor, const char* what, const char* wanted) {
  std::string shape;
  for (int64_t side : tensor.shape()) shape += (shape.empty() ? "" : " x ") + std::to_string(side);
  throw RayValueException(std::string(what) + " takes " + wanted + ", not a tensor of " +
                          std::string(to_string(tensor.dtype())) + ", " + shape);
}

media::Size size_of(const Tensor& picture, const char* what) {
  const std::vector<int64_t>& shape = picture.shape();
  const bool is_picture = picture.dtype() == DType::kUint8 && (shape.size() == 2 || shape.size() == 3) &&
                          shape[0] > 0 && shape[1] > 0 && shape[0] <= media::kSideMax &&
                          shape[1] <= media::kSideMax;
  if (!is_picture) no_picture(picture, what, "a picture (uint8, height x width x channels)");
  return {static_cast<int>(shape[1]), static_cast<int>(shape[0])};
}

}  // namespace

media::Fit fit_of(Fit fit) { return fit == Fit::kLetterbox ? media::Fit::kLetterbox : media::Fit::kStretch; }

media::Filter filter_of(Filter filter) {
  switch (filter) {
    case Filter::kNearest:
      return media::Filter::kNearest;
    case Filter::kBilinear:
      return media::Filter::kBilinear;
    case Filter::kBicubic:
      return media::Filter::kBicubic;
    case Filter::kArea:
      return media::Filter::kArea;
  }
  throw RayValueException("there is no filter of number " + std::to_string(static_cast<int>(filter)));
}

media::PixelFormat format_of(PixelFormat format) {
  switch (format) {
    case PixelFormat::kRgb24:
      return media::PixelFormat::kRgb24;
    case PixelFormat::kGray8:
      return media::PixelFormat::kGray8;
    case PixelFormat::kRgba32:
      return media::PixelFormat::kRgba32;
  }
  throw RayValueException("there is no pixel format of number " + std::to_string(static_cast<int>(format)));
}

media::ImageView view_of(const Tensor& picture, const char* what) {
  const media::Size size = size_of(picture, what);
  const int64_t channels = picture.rank() == 2 ? 1 : picture.shape()[2];
  if (channels != 1 && channels != 3 && channels != 4) {
    no_picture(picture, what, "a picture of 1, 3 or 4 channels");
  }
  const auto format = channels == 1   ? media::PixelFormat::kGray8
                      : channels == 3 ? media::PixelFormat::kRgb24
                                      : media::PixelFormat::kRgba32;
  return {size, format, picture.as_span<uint8_t>()};
}

media::ImageSpan canvas_of(Tensor& picture, const char* what) {
  const media::Size size = size_of(picture, what);
  if (picture.rank() != 3 || picture.shape()[2] != 3) {
    no_picture(picture, what, "an RGB picture (uint8, height x width x 3)");
  }
  return {size, media::PixelFormat::kRgb24, picture.mutable_span<uint8_t>()};
}

Tensor tensor_of(const media::Image& image) {
  const auto channels = static_cast<int64_t>(media::channels(image.format));
  return Tensor::copy_of(image.pixels, {image.size.height, image.size.width, channels});
}

void expect_media(const Status& status) {
  if (!status.is_ok()) throw MediaException(status.message());
}

}  // namespace internal

Tensor DecodeImage(std::span<const uint8_t> bytes, const std::string& name, const ImageOptions& options) {
  media::ImageOptions wanted;
  wanted.format = internal::format_of(options.format);
  wanted.size = {options.width, options.height};
  wanted.fit = internal::fit_of(options.fit);
  wanted.filter = internal::filter_of(options.filter);
  wanted.shrinks_while_decoding = options.shrinks_while_decoding;
  wanted.pixels_max = options.pixels_max;
  return internal::tensor_of(internal::unwrap_media(media::decode_image(bytes, name, wanted)));
}

namespace {

Bytes bytes_of(const std::vector<uint8_t>& file) { return {std::string(file.begin(), file.end())}; }

}  // namespace

Bytes EncodeJpeg(const Tensor& picture, int quality) {
  const media::ImageView view = internal::view_of(picture, "EncodeJpeg");
  return bytes_of(internal::unwrap_media(media::encode_jpeg(view, quality)));
}

Bytes EncodePng(const Tensor& picture, int level) {
  const media::ImageView view = internal::view_of(picture, "EncodePng");
  return bytes_of(internal::unwrap_media(media::encode_png(view, level)));
}

}  // namespace mobula::inline v1
