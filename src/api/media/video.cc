// The public VideoReader and Frames over media::VideoReader. Tests: api_media_test.cc.
#include <mobula/media.h>

#include <algorithm>
#include <utility>

#include "api/media/pictures.h"
#include "data/media/video.h"

namespace mobula::inline v1 {
namespace {

media::VideoOptions options_of(const VideoOptions& options) {
  media::VideoOptions wanted;
  wanted.size = {options.width, options.height};
  wanted.fit = internal::fit_of(options.fit);
  wanted.filter = internal::filter_of(options.filter);
  wanted.format = internal::format_of(options.format);
  wanted.every = options.every;
  wanted.fps = options.fps;
  wanted.start_s = options.start_s;
  wanted.stop_s = options.stop_s;
  wanted.threads = options.threads;
  wanted.rotate = options.rotate;
  wanted.tolerate_errors = options.tolerate_errors;
  wanted.frame_pixels_max = options.frame_pixels_max;
  return wanted;
}

VideoInfo info_of(const media::VideoInfo& known, PixelFormat format) {
  return {.width = known.size.width,
          .height = known.size.height,
          .frame_width = known.frame.width,
          .frame_height = known.frame.height,
          .channels = static_cast<int>(media::channels(internal::format_of(format))),
          .fps = known.fps,
          .frames = known.frames,
          .duration_s = known.duration_s,
          .codec = known.codec,
          .container = known.container,
          .has_audio = known.has_audio,
          .rotation_degrees = known.rotation_degrees};
}

}  // namespace

struct VideoReader::State {
  State(Result<std::unique_ptr<media::VideoReader>> opened, PixelFormat format)
      : reader(internal::unwrap_media(std::move(opened))), info(info_of(reader->info(), format)) {}

  std::unique_ptr<media::VideoReader> reader;
  VideoInfo info;
  VideoCounts counts;
  Status failure;  // thrown by the next read
};

VideoReader::VideoReader(const std::string& path, const VideoOptions& options)
    : state_(std::make_unique<State>(media::VideoReader::open(path, options_of(options)), options.format)) {}

VideoReader::VideoReader(std::span<const uint8_t> bytes, const std::string& name, const VideoOptions& options)
    : state_(std::make_unique<State>(media::VideoReader::open_bytes(bytes, name, options_of(options)),
                                     options.format)) {}

VideoReader::VideoReader(VideoReader&&) noexcept = default;
VideoReader& VideoReader::operator=(VideoReader&&) noexcept = default;
VideoReader::~VideoReader() = default;

const VideoInfo& VideoReader::info() const { return state_->info; }
const VideoCounts& VideoReader::counts() const { return state_->counts; }

Frames VideoReader::read(size_t frames_max) {
  if (frames_max == 0) throw RayValueException("VideoReader::read(0): at least one frame has to be read");
  internal::expect_media(std::exchange(state_->failure, {}));
  const VideoInfo& info = state_->info;
  const auto shape = [&info](size_t frames) {
    return std::vector<int64_t>{static_cast<int64_t>(frames), info.frame_height, info.frame_width,
                                info.channels};
  };
  Frames frames;
  frames.pixels = Tensor(DType::kUint8, shape(frames_max));
  const std::span<uint8_t> room = frames.pixels.mutable_span<uint8_t>();
  const size_t bytes = state_->reader->info().frame_bytes;
  media::FrameInfo frame;
  while (frames.size() < frames_max) {
    const auto more = state_->reader->read_into(room.subspan(frames.size() * bytes, bytes), frame);
    if (!more.is_ok()) state_->failure = more.status();
    if (!more.is_ok() || !more.value()) break;
    frames.index.push_back(frame.index);
    frames.time_s.push_back(frame.time_s);
    frames.is_key.push_back(frame.is_key);
    frames.is_damaged.push_back(frame.is_damaged);
  }
  const media::VideoCounts& counts = state_->reader->counts();
  state_->counts = {counts.decoded, counts.handed_out, counts.skipped_packets, counts.damaged_frames};
  if (frames.size() == 0) internal::expect_media(std::exchange(state_->failure, {}));
  if (frames.size() < frames_max) {
    const std::span<const uint8_t> read = room.first(frames.size() * bytes);
    frames.pixels = Tensor::copy_of(read, shape(frames.size()));
  }
  return frames;
}

std::span<const uint8_t> Frames::frame(size_t i) const {
  if (i >= size()) {
    throw RayValueException("frame " + std::to_string(i) + " of " + std::to_string(size()));
  }
  const size_t bytes = pixels.size_bytes() / size();
  return pixels.as_span<uint8_t>().subspan(i * bytes, bytes);
}

}  // namespace mobula::inline v1
