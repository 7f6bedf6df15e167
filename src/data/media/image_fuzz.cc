// Fuzzes the image decoders: whatever the bytes, the answer is pixels of the promised size or a Status.
// Corpus: tests/corpus/image_fuzz. The first byte chooses the options.
#include "base/check.h"
#include "data/media/image.h"

namespace {

using mobula::media::Image;
using mobula::media::ImageOptions;
using mobula::media::PixelFormat;

constexpr int64_t kPixelsMax = 1 << 20;  // keeps a run short

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ImageOptions options;
  options.format = static_cast<PixelFormat>(data[0] % 3);
  options.shrinks_while_decoding = (data[0] & 4) != 0;
  options.filter = static_cast<mobula::media::Filter>(data[0] >> 3 & 3);
  options.fit = static_cast<mobula::media::Fit>(data[0] >> 5 & 1);
  if ((data[0] & 64) != 0) options.size = {33, 17};
  options.pixels_max = kPixelsMax;
  const std::span<const uint8_t> bytes(data + 1, size - 1);
  const auto info = mobula::media::probe_image(bytes, "fuzz");
  const auto decoded = mobula::media::decode_image(bytes, "fuzz", options);
  if (!decoded.is_ok()) return 0;
  const Image& image = decoded.value();
  CHECK(info.is_ok());
  CHECK(image.pixels.size() == picture_bytes(image.size, options.format));
  CHECK(options.size.is_empty() || image.size == options.size);
  return 0;
}
