// VideoReader: the loop that feeds packets, takes frames, picks the wanted ones and has them converted.
// Invariant: an error in the clip is kept until the good frames before it have come out of the decoder.
// Tests: video_test.cc, video_fuzz.cc.
#include "data/media/video.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>
}

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "data/media/clip_file.h"
#include "data/media/ffmpeg_log.h"
#include "data/media/video_convert.h"

namespace mobula::media {
namespace {

constexpr int kErrorsInARowMax = 64;
constexpr int kThreadsMax = 64;
constexpr double kGapFrames = 1.5;
constexpr double kIndexMax = 1e15;
constexpr double kTickSlack_s = 1e-6;
constexpr double kSeekMarginFrames = 20;  // more than any decoder holds back to put frames in order

struct FreeCodec {
  void operator()(AVCodecContext* codec) const { avcodec_free_context(&codec); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { av_packet_free(&packet); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const { av_frame_free(&frame); }
};

double fps_of(const AVStream& stream) {
  const AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  return rate.num > 0 && rate.den > 0 ? av_q2d(rate) : 0;
}

Status check_options(const VideoOptions& options) {
  if (options.format == PixelFormat::kRgba32) {
    return {Code::kUnsupported, "video has no alpha channel: ask for rgb24 or gray8"};
  }
  if (options.every < 1 || !(options.fps >= 0) || (options.every > 1 && options.fps > 0)) {
    return {Code::kInvalid, "every must be at least 1 and fps at least 0, and only one of them given"};
  }
  if (!(options.start_s >= 0) || !(options.stop_s > options.start_s)) {
    return {Code::kInvalid, "the span must have 0 <= start_s < stop_s"};
  }
  if (options.threads < 0 || options.threads > kThreadsMax) {
    return {Code::kInvalid,
            "threads is " + std::to_string(options.threads) + ": give 0.." + std::to_string(kThreadsMax)};
  }
  if (options.size.width < 0 || options.size.height < 0) return check_size(options.size, "the output size");
  return {};
}

Size output_size(Size clip, Size wanted) {
  const auto follow = [](int side, int other, int other_wanted) {
    return std::max(1, static_cast<int>(std::lround(static_cast<double>(side) * other_wanted / other)));
  };
  if (wanted.width == 0 && wanted.height == 0) return clip;
  if (wanted.width == 0) wanted.width = follow(clip.width, clip.height, wanted.height);
  if (wanted.height == 0) wanted.height = follow(clip.height, clip.width, wanted.width);
  return wanted;
}

}  // namespace

struct VideoReader::State {
  Status start();
  Status open_codec();
  void describe();
  void seek();
  Result<bool> decode();
  Status feed();
  Status on_error(int error, std::string what);
  bool is_beyond_damage() const;
  double seconds_at(int64_t pts) const;
  bool is_wanted(const FrameInfo& frame);
  FrameInfo describe_frame();
  Result<bool> read_into(std::span<uint8_t> pixels, FrameInfo& info);
  std::string where(int64_t index, double time_s) const;

  std::string name;
  VideoOptions options;
  std::string log;  // FFmpeg's first complaint that no message has told yet
  std::unique_ptr<ClipFile> file;
  std::unique_ptr<AVCodecContext, FreeCodec> codec;
  std::unique_ptr<AVPacket, FreePacket> packet{av_packet_alloc()};
  std::unique_ptr<AVFrame, FreeFrame> frame{av_frame_alloc()};
  std::unique_ptr<FrameConverter> converter;
  VideoInfo info;
  VideoCounts counts;
  bool is_draining = false;
  bool is_done = false;
  Status pending;                        // told when the decoder is empty
  int64_t damaged_pts = AV_NOPTS_VALUE;  // of the packet that made `pending`, if it has one
  int errors_in_a_row = 0;
  bool has_sought = false;
  int64_t next_index = -1;  // -1: no frame seen
  double last_time_s = 0;
  int64_t first_pts = AV_NOPTS_VALUE;
  int64_t in_span = 0;
  double next_tick = 0;
};

Status VideoReader::State::start() {
  if (packet == nullptr || frame == nullptr) return {Code::kFull, "no memory to decode clip '" + name + "'"};
  TRY(open_codec());
  describe();
  TRY(check_size(info.size, "the frame size of clip '" + name + "'"));
  TRY(check_size(info.frame, "the output size for clip '" + name + "'"));
  if (int64_t{info.size.width} * info.size.height > options.frame_pixels_max) {
    return {Code::kInvalid, "clip '" + name + "' has frames of " + std::to_string(info.size.width) + "x" +
                                std::to_string(info.size.height) + " pixels, the limit is " +
                                std::to_string(options.frame_pixels_max) + ": raise frame_pixels_max"};
  }
  converter =
      std::make_unique<FrameConverter>(ConvertOptions{info.frame, options.format, options.fit, options.filter,
                                                      options.rotate ? info.rotation_degrees / 90 : 0});
  seek();
  return {};
}

Status VideoReader::State::open_codec() {
  const AVStream& stream = file->video();
  const AVCodec* decoder = avcodec_find_decoder(stream.codecpar->codec_id);
  if (decoder == nullptr) {
    return {Code::kUnsupported, "clip '" + name + "' is coded as " +
                                    avcodec_get_name(stream.codecpar->codec_id) +
                                    ", for which this FFmpeg has no decoder: convert it to H.264"};
  }
  codec.reset(avcodec_alloc_context3(decoder));
  if (codec == nullptr) return {Code::kFull, "no memory to decode clip '" + name + "'"};
  int error = avcodec_parameters_to_context(codec.get(), stream.codecpar);
  if (error >= 0) {
    codec->pkt_timebase = stream.time_base;
    codec->thread_count = options.threads;
    codec->max_pixels = options.frame_pixels_max;
    error = avcodec_open2(codec.get(), decoder, nullptr);
  }
  if (error >= 0) return {};
  return {code_of(error),
          "clip '" + name + "' (" + decoder->name + ") cannot be decoded: " + explain(error, log)};
}

void VideoReader::State::describe() {
  const AVStream& stream = file->video();
  const AVFormatContext& container = file->container();
  info.rotation_degrees = file->rotation_degrees();
  info.size = {stream.codecpar->width, stream.codecpar->height};
  if (options.rotate && info.rotation_degrees % 180 != 0) std::swap(info.size.width, info.size.height);
  info.frame = info.size.is_empty() ? info.size : output_size(info.size, options.size);
  info.frame_bytes = info.frame.is_empty() ? 0 : picture_bytes(info.frame, options.format);
  info.fps = fps_of(stream);
  if (stream.nb_frames > 0) info.frames = stream.nb_frames;
  if (stream.duration != AV_NOPTS_VALUE) {
    info.duration_s = static_cast<double>(stream.duration) * av_q2d(stream.time_base);
  } else if (container.duration != AV_NOPTS_VALUE) {
    info.duration_s = static_cast<double>(container.duration) / AV_TIME_BASE;
  }
  info.codec = avcodec_get_name(stream.codecpar->codec_id);
  info.container = container.iformat->name;
  info.has_audio = file->has_audio();
  if (stream.start_time != AV_NOPTS_VALUE) first_pts = stream.start_time;
}

/// Jumps to a key frame well before start_s; frames before start_s are decoded and dropped.
void VideoReader::State::seek() {
  if (options.start_s <= 0 || info.fps <= 0 || first_pts == AV_NOPTS_VALUE) return;
  const double target_s = options.start_s - std::max(1.0, kSeekMarginFrames / info.fps);
  const double target = target_s / av_q2d(file->video().time_base) + static_cast<double>(first_pts);
  if (target_s <= 0 || !(target < 9e18)) return;
  const int stream = file->video().index;
  has_sought =
      av_seek_frame(&file->container(), stream, static_cast<int64_t>(target), AVSEEK_FLAG_BACKWARD) >= 0;
}

std::string VideoReader::State::where(int64_t index, double time_s) const {
  char text[64];
  std::snprintf(text, sizeof(text), "frame %lld (%.3f s)", static_cast<long long>(index), time_s);
  return "clip '" + name + "' is damaged at " + text + ": ";
}

/// Tolerant: counts the error and goes on. Otherwise: lets the decoder run empty, after which the error is
/// told.
Status VideoReader::State::on_error(int error, std::string what) {
  ++counts.skipped_packets;
  if (options.tolerate_errors && ++errors_in_a_row <= kErrorsInARowMax) return {};
  if (!options.tolerate_errors && pending.is_ok()) {
    pending = {code_of(error), std::move(what)};
    damaged_pts = packet->pts;
  }
  if (!is_draining) {
    is_draining = true;
    avcodec_send_packet(codec.get(), nullptr);
    return {};
  }
  is_done = errors_in_a_row++ > kErrorsInARowMax;  // a decoder that only ever fails while it runs empty
  return {};
}

/// Sends one packet to the decoder, or starts to run it empty at the end of the clip.
Status VideoReader::State::feed() {
  av_packet_unref(packet.get());
  int error = av_read_frame(&file->container(), packet.get());
  if (error == AVERROR_EOF) {
    is_draining = true;
    avcodec_send_packet(codec.get(), nullptr);
    return {};
  }
  if (error < 0) return on_error(error, explain(error, log));
  if (packet->stream_index != file->video().index) return {};
  if ((packet->flags & AV_PKT_FLAG_CORRUPT) != 0) {
    if (!options.tolerate_errors) return on_error(AVERROR_INVALIDDATA, "the file ends within a frame");
    ++counts.skipped_packets;
  }
  error = avcodec_send_packet(codec.get(), packet.get());
  if (error < 0 && error != AVERROR(EAGAIN)) return on_error(error, explain(error, log));
  return {};
}

/// The next frame out of the decoder is in `frame`; false at the end.
Result<bool> VideoReader::State::decode() {
  while (!is_done) {
    const int error = avcodec_receive_frame(codec.get(), frame.get());
    if (error >= 0) {
      errors_in_a_row = 0;
      if (!is_beyond_damage()) return true;
      is_done = true;
      break;
    }
    if (error == AVERROR_EOF) {
      is_done = true;
    } else if (error == AVERROR(EAGAIN) && !is_draining) {
      TRY(feed());
    } else {
      TRY(on_error(error, explain(error, log)));
    }
  }
  if (pending.is_ok()) return false;
  const std::string frames = std::to_string(counts.decoded);
  const double damage_s = next_index > 0 && info.fps > 0 ? last_time_s + 1 / info.fps : last_time_s;
  return Status{pending.code(), where(std::max<int64_t>(next_index, 0), damage_s) + pending.message() + "; " +
                                    frames +
                                    " frames before it are good; set tolerate_errors to skip the damage"};
}

/// Time of a frame since the clip's first.
double VideoReader::State::seconds_at(int64_t pts) const {
  return (static_cast<double>(pts) - static_cast<double>(first_pts)) * av_q2d(file->video().time_base);
}

/// Frames are decoded out of their order: some that are to be shown after the lost one may be there already.
bool VideoReader::State::is_beyond_damage() const {
  const int64_t pts = frame->best_effort_timestamp;
  if (pending.is_ok() || pts == AV_NOPTS_VALUE || first_pts == AV_NOPTS_VALUE) return false;
  if (damaged_pts != AV_NOPTS_VALUE && pts >= damaged_pts) return true;
  return info.fps > 0 && seconds_at(pts) - last_time_s > kGapFrames / info.fps;
}

FrameInfo VideoReader::State::describe_frame() {
  const double seconds_a_frame = info.fps > 0 ? 1 / info.fps : 0.04;
  const int64_t pts = frame->best_effort_timestamp;
  FrameInfo described;
  if (pts != AV_NOPTS_VALUE) {
    if (first_pts == AV_NOPTS_VALUE) first_pts = pts;
    described.time_s = seconds_at(pts);
  } else {
    described.time_s = next_index < 0 ? 0 : last_time_s + seconds_a_frame;
  }
  if ((next_index < 0 && has_sought) || counts.skipped_packets > 0) {
    const double reckoned = std::round(described.time_s * info.fps);
    next_index = std::max(next_index, static_cast<int64_t>(std::clamp(reckoned, 0.0, kIndexMax)));
  }
  next_index = std::max<int64_t>(next_index, 0);
  described.index = next_index++;
  described.is_key = frame->key_frame != 0;
  described.is_damaged = frame->decode_error_flags != 0 || (frame->flags & AV_FRAME_FLAG_CORRUPT) != 0;
  last_time_s = described.time_s;
  return described;
}

bool VideoReader::State::is_wanted(const FrameInfo& described) {
  if (described.time_s < options.start_s - kTickSlack_s) return false;
  const int64_t place = in_span++;
  if (options.fps <= 0) return place % options.every == 0;
  const double tick = (described.time_s - options.start_s + kTickSlack_s) * options.fps;
  if (tick < next_tick) return false;
  next_tick = std::floor(tick) + 1;
  return true;
}

Result<bool> VideoReader::State::read_into(std::span<uint8_t> pixels, FrameInfo& described) {
  if (pixels.size() != info.frame_bytes) {
    return Status{Code::kInvalid, "a frame of clip '" + name + "' needs " + std::to_string(info.frame_bytes) +
                                      " bytes and was given " + std::to_string(pixels.size())};
  }
  while (!is_done) {
    auto decoded = decode();
    if (!decoded.is_ok() || !decoded.value()) return decoded;
    ++counts.decoded;
    const FrameInfo next = describe_frame();
    if (next.time_s >= options.stop_s - kTickSlack_s) break;
    const bool wanted = is_wanted(next);
    if (next.is_damaged) {
      ++counts.damaged_frames;
      if (!options.tolerate_errors && next.time_s >= options.start_s) {
        is_done = true;
        return Status{Code::kInvalid, where(next.index, next.time_s) +
                                          (log.empty() ? "parts of it could not be decoded" : log) +
                                          "; set tolerate_errors to take it as it is"};
      }
    }
    if (!wanted) continue;
    const Status converted = converter->convert(*frame, pixels);
    av_frame_unref(frame.get());
    if (!converted.is_ok()) {
      is_done = true;
      return Status{converted.code(), "clip '" + name + "': " + converted.message()};
    }
    ++counts.handed_out;
    described = next;
    return true;
  }
  is_done = true;
  return false;
}

VideoReader::VideoReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
VideoReader::~VideoReader() = default;

Result<std::unique_ptr<VideoReader>> VideoReader::open(const std::string& path, VideoOptions options) {
  TRY(check_options(options));
  auto state = std::make_unique<State>();
  state->name = path;
  state->options = options;
  const LogCapture capture(state->log);
  ASSIGN_OR_RETURN(state->file, ClipFile::open(path, state->log));
  TRY(state->start());
  return std::unique_ptr<VideoReader>(new VideoReader(std::move(state)));
}

Result<std::unique_ptr<VideoReader>> VideoReader::open_bytes(std::span<const uint8_t> bytes,
                                                             std::string_view name, VideoOptions options) {
  TRY(check_options(options));
  auto state = std::make_unique<State>();
  state->name = name;
  state->options = options;
  const LogCapture capture(state->log);
  ASSIGN_OR_RETURN(state->file, ClipFile::open_bytes(bytes, state->name, state->log));
  TRY(state->start());
  return std::unique_ptr<VideoReader>(new VideoReader(std::move(state)));
}

const VideoInfo& VideoReader::info() const { return state_->info; }
const VideoCounts& VideoReader::counts() const { return state_->counts; }

Result<bool> VideoReader::read_into(std::span<uint8_t> pixels, FrameInfo& info) {
  const LogCapture capture(state_->log);
  return state_->read_into(pixels, info);
}

Result<bool> VideoReader::next(Frame& frame) {
  frame.pixels.resize(state_->info.frame_bytes);
  return read_into(frame.pixels, frame.info);
}

}  // namespace mobula::media
