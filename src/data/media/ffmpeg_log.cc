// FFmpeg's log goes to the capture of the calling thread, or nowhere. One thread-local pointer is the whole
// state, since FFmpeg offers one callback a process. Tests: video_test.cc.
#include "data/media/ffmpeg_log.h"

extern "C" {
#include <libavutil/error.h>
#include <libavutil/log.h>
}

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>

namespace mobula::media {
namespace {

constexpr size_t kLineMax = 240;

thread_local std::string* innermost = nullptr;

void on_log(void*, int level, const char* format, va_list arguments) {
  if (level > AV_LOG_ERROR || innermost == nullptr || !innermost->empty()) return;
  std::array<char, kLineMax> text{};
  std::vsnprintf(text.data(), text.size(), format, arguments);
  std::string line = text.data();
  line = line.substr(0, line.find('\n'));
  std::replace_if(line.begin(), line.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  *innermost = line;
}

}  // namespace

LogCapture::LogCapture(std::string& line) : outer_(innermost) {
  static const bool installed = (av_log_set_callback(on_log), true);
  static_cast<void>(installed);
  innermost = &line;
}

LogCapture::~LogCapture() { innermost = outer_; }

std::string explain(int ffmpeg_error, std::string& line) {
  std::array<char, AV_ERROR_MAX_STRING_SIZE> text{};
  av_strerror(ffmpeg_error, text.data(), text.size());
  std::string message = text.data();
  if (!line.empty()) message += ": " + line;
  line.clear();
  return message;
}

Code code_of(int ffmpeg_error) {
  switch (ffmpeg_error) {
    case AVERROR(ENOENT):
      return Code::kNotFound;
    case AVERROR(EACCES):
    case AVERROR(EPERM):
      return Code::kDenied;
    case AVERROR(ENOMEM):
      return Code::kFull;
    case AVERROR(ENOSYS):
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
      return Code::kUnsupported;
    default:
      return Code::kInvalid;
  }
}

}  // namespace mobula::media
