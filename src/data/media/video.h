// Reads a clip frame by frame: demux, decode (FFmpeg), pick, convert into caller memory. A clip is never held
// whole. One thread at a time owns a reader; the decoder may have threads of its own. Every byte of a clip is
// distrusted. Tests: video_test.cc, video_fuzz.cc.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/media/media.h"

namespace mobula::media {

struct VideoOptions {
  /// Size of the pixels handed out; {0, 0} means the clip's own. One side 0 follows from the aspect of the
  /// clip.
  Size size;
  Fit fit = Fit::kStretch;
  /// kNearest samples the frame at its own size, as NumPy indexing would; the others are swscale's.
  Filter filter = Filter::kBilinear;
  /// kRgb24 or kGray8.
  PixelFormat format = PixelFormat::kRgb24;
  /// Hand out frames 0, n, 2n, … of the chosen span.
  int every = 1;
  /// At most so many frames a second: the first frame at or after each tick k / fps; none is repeated. 0:
  /// all.
  double fps = 0;
  /// Seconds from the clip's first frame: frames with start_s <= time < stop_s.
  double start_s = 0;
  double stop_s = std::numeric_limits<double>::infinity();
  /// Threads of the decoder; 0: one for each core. 1 is best where several clips are decoded at once.
  int threads = 0;
  /// Turn frames upright as the clip's display matrix says. PyAV does not.
  bool rotate = true;
  /// Skip and count what cannot be decoded instead of stopping there; damaged frames are handed out and
  /// marked.
  bool tolerate_errors = false;
  /// Refuse clips with larger frames than this.
  int64_t frame_pixels_max = int64_t{1} << 26;
};

struct VideoInfo {
  Size size;                      ///< of the clip's frames, upright
  Size frame;                     ///< of the pixels handed out
  size_t frame_bytes = 0;         ///< of the pixels handed out
  double fps = 0;                 ///< average; 0 if the container does not say
  std::optional<int64_t> frames;  ///< as the container says, unchecked
  std::optional<double> duration_s;
  std::string codec;      ///< "h264"
  std::string container;  ///< "mov,mp4,m4a,3gp,3g2,mj2"
  bool has_audio = false;
  int rotation_degrees = 0;  ///< clockwise, applied when VideoOptions::rotate
};

struct FrameInfo {
  /// Place in the clip, counted from 0; reckoned from the time and the frame rate after a seek (start_s > 0)
  /// and after skipped damage.
  int64_t index = 0;
  double time_s = 0;  ///< since the clip's first frame
  bool is_key = false;
  bool is_damaged = false;  ///< decoded with errors concealed; only when tolerate_errors
};

struct Frame {
  FrameInfo info;
  std::vector<uint8_t> pixels;
};

struct VideoCounts {
  int64_t decoded = 0;  ///< frames that came out of the decoder
  int64_t handed_out = 0;
  int64_t skipped_packets = 0;  ///< could not be decoded
  int64_t damaged_frames = 0;
};

class VideoReader {
 public:
  /// not_found, denied: the file cannot be read. invalid: not a video, or damaged. unsupported: no decoder.
  static Result<std::unique_ptr<VideoReader>> open(const std::string& path, VideoOptions options);
  /// Reads a clip that lies in memory, which must outlive the reader; `name` is for messages. Nothing is
  /// copied.
  static Result<std::unique_ptr<VideoReader>> open_bytes(std::span<const uint8_t> bytes,
                                                         std::string_view name, VideoOptions options);
  ~VideoReader();
  VideoReader(const VideoReader&) = delete;
  VideoReader& operator=(const VideoReader&) = delete;

  const VideoInfo& info() const;
  const VideoCounts& counts() const;

  /// Decodes the next wanted frame into `pixels` (VideoInfo::frame_bytes; aligned to 32 bytes is fastest).
  /// False at the end of the clip. An error names the clip, the frame, the second and what FFmpeg said; it is
  /// given once, later calls answer false.
  Result<bool> read_into(std::span<uint8_t> pixels, FrameInfo& info);
  /// The same into the frame's own memory, which is reused.
  Result<bool> next(Frame& frame);

 private:
  struct State;
  explicit VideoReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mobula::media
