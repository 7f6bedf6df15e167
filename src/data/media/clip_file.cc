// Containers for VideoReader. FFmpeg reads through one AVIO context, a file's or one over memory; its io_open
// is refused, so a playlist cannot make it open anything else. Tests: video_test.cc, video_fuzz.cc.
#include "data/media/clip_file.h"

extern "C" {
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/mem.h>
}

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/media/ffmpeg_log.h"

namespace mobula::media {
namespace {

constexpr int kBufferBytes = 1 << 16;
constexpr const char* kNoProtocol = "none";

/// What the memory callbacks see.
struct ByteSource {
  std::span<const uint8_t> bytes;
  int64_t position = 0;
};

int read_bytes(void* opaque, uint8_t* buffer, int wanted) {
  auto& source = *static_cast<ByteSource*>(opaque);
  const int64_t left = static_cast<int64_t>(source.bytes.size()) - source.position;
  const int64_t taken = std::min<int64_t>(wanted, left);
  if (taken <= 0) return AVERROR_EOF;
  std::memcpy(buffer, source.bytes.data() + source.position, static_cast<size_t>(taken));
  source.position += taken;
  return static_cast<int>(taken);
}

int64_t seek_bytes(void* opaque, int64_t offset, int whence) {
  auto& source = *static_cast<ByteSource*>(opaque);
  const auto size = static_cast<int64_t>(source.bytes.size());
  switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
      return size;
    case SEEK_SET:
      break;
    case SEEK_CUR:
      offset += source.position;
      break;
    case SEEK_END:
      offset += size;
      break;
    default:
      return AVERROR(EINVAL);
  }
  if (offset < 0 || offset > size) return AVERROR(EINVAL);
  source.position = offset;
  return offset;
}

int refuse_to_open(AVFormatContext*, AVIOContext**, const char*, int, AVDictionary**) {
  return AVERROR(EACCES);
}

Status cannot_open(const std::string& name, int error, std::string& log) {
  const Code code = code_of(error);
  std::string message = "clip '" + name + "' cannot be opened: " + explain(error, log);
  if (code == Code::kNotFound) message += "; check the path";
  if (code == Code::kInvalid) message += "; it is no video, or its beginning or index is damaged";
  return {code, message};
}

}  // namespace

struct ClipFile::State {
  ~State();
  ByteSource source;
  AVIOContext* input = nullptr;
  bool reads_memory = false;
  AVFormatContext* container = nullptr;
  AVStream* video = nullptr;
};

ClipFile::State::~State() {
  avformat_close_input(&container);
  if (reads_memory && input != nullptr) {
    av_freep(&input->buffer);
    avio_context_free(&input);
  } else {
    avio_closep(&input);
  }
}

Result<std::unique_ptr<ClipFile>> ClipFile::open(const std::string& path, std::string& log) {
  auto state = std::make_unique<State>();
  const int error = avio_open2(&state->input, ("file:" + path).c_str(), AVIO_FLAG_READ, nullptr, nullptr);
  if (error < 0) return cannot_open(path, error, log);
  return probe(std::move(state), path, log);
}

Result<std::unique_ptr<ClipFile>> ClipFile::open_bytes(std::span<const uint8_t> bytes,
                                                       const std::string& name, std::string& log) {
  auto state = std::make_unique<State>();
  state->source.bytes = bytes;
  state->reads_memory = true;
  auto* buffer = static_cast<unsigned char*>(av_malloc(kBufferBytes));
  if (buffer == nullptr) return Status{Code::kFull, "no memory to open clip '" + name + "'"};
  state->input = avio_alloc_context(buffer, kBufferBytes, 0, &state->source, read_bytes, nullptr, seek_bytes);
  if (state->input == nullptr) {
    av_free(buffer);
    return Status{Code::kFull, "no memory to open clip '" + name + "'"};
  }
  return probe(std::move(state), name, log);
}

Result<std::unique_ptr<ClipFile>> ClipFile::probe(std::unique_ptr<State> state, const std::string& name,
                                                  std::string& log) {
  state->container = avformat_alloc_context();
  if (state->container == nullptr) return Status{Code::kFull, "no memory to open clip '" + name + "'"};
  state->container->pb = state->input;
  state->container->flags |= AVFMT_FLAG_CUSTOM_IO;
  state->container->io_open = refuse_to_open;
  state->container->protocol_whitelist =
      av_strdup(kNoProtocol);  // for containers that open others by themselves
  int error = avformat_open_input(&state->container, name.c_str(), nullptr, nullptr);
  if (error < 0) return cannot_open(name, error, log);
  error = avformat_find_stream_info(state->container, nullptr);
  if (error < 0) return cannot_open(name, error, log);
  for (unsigned i = 0; i < state->container->nb_streams; ++i) {
    AVStream* stream = state->container->streams[i];
    const bool is_video = stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
                          (stream->disposition & AV_DISPOSITION_ATTACHED_PIC) == 0;
    if (is_video && state->video == nullptr) {
      state->video = stream;
    } else {
      stream->discard = AVDISCARD_ALL;
    }
  }
  if (state->video == nullptr) {
    return Status{Code::kInvalid, "clip '" + name + "' has no video stream (" +
                                      state->container->iformat->name + " with " +
                                      std::to_string(state->container->nb_streams) + " streams)"};
  }
  return std::unique_ptr<ClipFile>(new ClipFile(std::move(state)));
}

ClipFile::ClipFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClipFile::~ClipFile() = default;

AVFormatContext& ClipFile::container() const { return *state_->container; }
AVStream& ClipFile::video() const { return *state_->video; }

bool ClipFile::has_audio() const {
  for (unsigned i = 0; i < state_->container->nb_streams; ++i) {
    if (state_->container->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO) return true;
  }
  return false;
}

int ClipFile::rotation_degrees() const {
  size_t bytes = 0;
  const uint8_t* matrix = av_stream_get_side_data(state_->video, AV_PKT_DATA_DISPLAYMATRIX, &bytes);
  if (matrix == nullptr || bytes < 9 * sizeof(int32_t)) return 0;
  const double counterclockwise = av_display_rotation_get(reinterpret_cast<const int32_t*>(matrix));
  if (std::isnan(counterclockwise)) return 0;
  const int quarters = static_cast<int>(std::lround(-counterclockwise / 90)) % 4;
  return (quarters + 4) % 4 * 90;
}

}  // namespace mobula::media
