// Fuzzes VideoReader: whatever the bytes, it ends, with frames of the promised size or a Status, and a reader
// that has failed or ended stays so. Corpus: tests/corpus/video_fuzz. The first byte chooses the options.
#include "base/check.h"
#include "data/media/video.h"

namespace {

constexpr int64_t kPixelsMax = 1 << 18;  // keeps a run short
constexpr int kFramesMax = 50;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobula::media;
  if (size == 0) return 0;
  VideoOptions options;
  options.threads = 1;
  options.tolerate_errors = (data[0] & 1) != 0;
  options.filter = static_cast<Filter>(data[0] >> 1 & 3);
  options.fit = static_cast<Fit>(data[0] >> 3 & 1);
  if ((data[0] & 16) != 0) options.size = {40, 24};
  if ((data[0] & 32) != 0) options.format = PixelFormat::kGray8;
  if ((data[0] & 64) != 0) options.start_s = 1.5;
  options.frame_pixels_max = kPixelsMax;
  auto reader = VideoReader::open_bytes({data + 1, size - 1}, "fuzz", options);
  if (!reader.is_ok()) return 0;
  Frame frame;
  for (int i = 0; i < kFramesMax; ++i) {
    auto next = reader.value()->next(frame);
    if (next.is_ok() && next.value()) {
      CHECK(frame.pixels.size() == reader.value()->info().frame_bytes);
      continue;
    }
    auto after = reader.value()->next(frame);
    CHECK(after.is_ok() && !after.value());
    break;
  }
  return 0;
}
