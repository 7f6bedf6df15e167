// Turns a decoded FFmpeg frame into packed pixels in caller memory: colour, size, letterbox and rotation at
// once. One thread at a time. At native size the pixels are those of PyAV's to_ndarray; see video_convert.cc
// for how nearest-neighbour sampling gets them without converting the whole frame. Tests: video_test.cc.
#pragma once

#include <memory>
#include <span>

#include "base/status.h"
#include "data/media/media.h"

struct AVFrame;

namespace mobula::media {

struct ConvertOptions {
  Size size;  ///< of the output, after rotation; never empty
  PixelFormat format = PixelFormat::kRgb24;
  Fit fit = Fit::kStretch;
  Filter filter = Filter::kBilinear;
  int quarter_turns = 0;  ///< clockwise turns of 90 degrees that set the frame upright: 0..3
};

class FrameConverter {
 public:
  explicit FrameConverter(ConvertOptions options);
  ~FrameConverter();
  FrameConverter(const FrameConverter&) = delete;
  FrameConverter& operator=(const FrameConverter&) = delete;

  /// Fills `out`, which has exactly picture_bytes(size, format) bytes.
  Status convert(const AVFrame& frame, std::span<uint8_t> out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mobula::media
