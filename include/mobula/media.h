// Clips and pictures as tensors: decoded by FFmpeg, libjpeg, libpng and libwebp. Link libmobula_data besides
// libmobula. Pixels are uint8, rows from the top; what is wrong with a file or its bytes is thrown as a
// MediaException.
//
//   mobula::VideoReader clip("clip.mp4", {.width = 128, .height = 128});
//   while (mobula::Frames frames = clip.read(32); frames.size() > 0) Use(frames.pixels);  // n x 128 x 128 x
//   3
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mobula/codec.h>
#include <mobula/exception.h>
#include <mobula/tensor.h>

namespace mobula::inline v1 {

/// A clip or picture cannot be read, is damaged or of a kind that is not known, or the options do not fit it.
/// The message names the file, and where in it.
class MediaException : public RayException {
 public:
  using RayException::RayException;
};

/// Channels of a pixel: 3, 1 or 4.
enum class PixelFormat : uint8_t { kRgb24, kGray8, kRgba32 };

/// How a picture of one shape is put into another: kStretch fills it, kLetterbox keeps the aspect with black
/// borders.
enum class Fit : uint8_t { kStretch, kLetterbox };

/// How pixels are resampled. kNearest takes them as NumPy indexing would; kArea averages those that a target
/// pixel covers.
enum class Filter : uint8_t { kNearest, kBilinear, kBicubic, kArea };

/// What is read of a clip.
struct VideoOptions {
  /// Size of the frames in pixels; both 0: the clip's own. One side 0 follows from the clip's aspect.
  int width = 0;
  int height = 0;
  Fit fit = Fit::kStretch;
  Filter filter = Filter::kBilinear;
  /// kRgb24 or kGray8.
  PixelFormat format = PixelFormat::kRgb24;
  /// Frames 0, n, 2n, … of the chosen span.
  int every = 1;
  /// At most so many frames a second: the first one at or after each tick k / fps; none is repeated. 0: all.
  double fps = 0;
  /// Seconds from the clip's first frame: frames with start_s <= time < stop_s.
  double start_s = 0;
  double stop_s = std::numeric_limits<double>::infinity();
  /// Threads of the decoder; 0: one for each core. 1 is best where several clips are decoded at once.
  int threads = 0;
  /// Turn frames upright as the clip's display matrix says.
  bool rotate = true;
  /// Skip and count what cannot be decoded instead of stopping there; damaged frames are handed out, marked.
  bool tolerate_errors = false;
  /// Refuse clips with larger frames than this.
  int64_t frame_pixels_max = int64_t{1} << 26;
};

/// What is known of a clip before it is decoded.
struct VideoInfo {
  int width = 0;  ///< of the clip's frames in pixels, upright
  int height = 0;
  int frame_width = 0;  ///< of the frames that are read
  int frame_height = 0;
  int channels = 0;               ///< of the frames that are read
  double fps = 0;                 ///< frames a second on average; 0 if the container does not say
  std::optional<int64_t> frames;  ///< as the container says, unchecked
  std::optional<double> duration_s;
  std::string codec;      ///< "h264"
  std::string container;  ///< "mov,mp4,m4a,3gp,3g2,mj2"
  bool has_audio = false;
  int rotation_degrees = 0;  ///< clockwise; applied with VideoOptions::rotate
  MOBULA_SERIALIZE(width, height, frame_width, frame_height, channels, fps, frames, duration_s, codec,
                   container, has_audio, rotation_degrees);
};

/// Some frames of a clip, one after another. A value: it passes from task to task, its pixels in place.
struct Frames {
  Tensor pixels;               ///< uint8, n x height x width x channels
  std::vector<int64_t> index;  ///< place of each in the clip, from 0; reckoned after a seek and after damage
  std::vector<double> time_s;  ///< seconds since the clip's first frame
  std::vector<bool> is_key;    ///< whether it is decoded by itself
  std::vector<bool> is_damaged;  ///< errors were concealed in it; only with tolerate_errors
  MOBULA_SERIALIZE(pixels, index, time_s, is_key, is_damaged);

  size_t size() const { return index.size(); }
  /// The bytes of frame `i`: height x width x channels.
  std::span<const uint8_t> frame(size_t i) const;
};

/// What has become of a clip so far.
struct VideoCounts {
  int64_t decoded = 0;  ///< frames that came out of the decoder
  int64_t handed_out = 0;
  int64_t skipped_packets = 0;  ///< could not be decoded
  int64_t damaged_frames = 0;
  MOBULA_SERIALIZE(decoded, handed_out, skipped_packets, damaged_frames);
};

/// Reads a clip from its start to its end. It holds a few frames, never the clip. One thread at a time.
class VideoReader {
 public:
  explicit VideoReader(const std::string& path, const VideoOptions& options = {});
  /// A clip that lies in memory, which has to outlive the reader; `name` is for messages.
  VideoReader(std::span<const uint8_t> bytes, const std::string& name, const VideoOptions& options = {});
  VideoReader(VideoReader&&) noexcept;
  VideoReader& operator=(VideoReader&&) noexcept;
  ~VideoReader();

  const VideoInfo& info() const;
  const VideoCounts& counts() const;

  /// The next frames: `frames_max` of them, fewer at the end of the clip or before damage, none when there
  /// are no more. Memory for `frames_max` frames is taken beforehand. Damage is thrown once, when all
  /// frames before it have been read; after it there are no more. RayValueException for frames_max of 0.
  Frames read(size_t frames_max);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How a picture is decoded.
struct ImageOptions {
  /// In pixels; both 0: the picture's own.
  int width = 0;
  int height = 0;
  Fit fit = Fit::kStretch;
  /// Pillow's filters of these names, bit for bit (kArea is its BOX).
  Filter filter = Filter::kBilinear;
  PixelFormat format = PixelFormat::kRgb24;
  /// Let libjpeg shrink by 2, 4 or 8 while it decodes: several times faster for large pictures, but the
  /// pixels are then no longer those of a full decode.
  bool shrinks_while_decoding = false;
  /// Refuse pictures with more pixels than this.
  int64_t pixels_max = int64_t{1} << 28;
};

/// A JPEG, PNG or WebP as uint8, height x width x channels. `name` is for messages.
Tensor DecodeImage(std::span<const uint8_t> bytes, const std::string& name, const ImageOptions& options = {});

/// A picture (uint8; height x width x 3, or x 1, or height x width) as a JPEG file; quality 1 to 100.
/// RayValueException for a tensor that is no picture.
Bytes EncodeJpeg(const Tensor& picture, int quality = 90);

/// The same as a PNG file, which may have 4 channels too; level is zlib's, 0 to 9.
Bytes EncodePng(const Tensor& picture, int level = 6);

}  // namespace mobula::inline v1
