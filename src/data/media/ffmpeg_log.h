// Keeps FFmpeg from writing to stderr, and keeps its first complaint for the status message instead.
// A capture belongs to the thread that made it; what FFmpeg's own decoder threads say is dropped.
// Tests: video_test.cc.
#pragma once

#include <string>

#include "base/status.h"

namespace mobula::media {

/// While it lives, the first error that FFmpeg logs on this thread lands in `line`, if that is empty.
/// Captures nest: the innermost one hears.
class LogCapture {
 public:
  explicit LogCapture(std::string& line);
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

 private:
  std::string* outer_;
};

/// FFmpeg's words for an error number, with the captured line, which is then emptied:
/// "Invalid data found when processing input: moov atom not found".
std::string explain(int ffmpeg_error, std::string& line);

/// Our code for an FFmpeg error number.
Code code_of(int ffmpeg_error);

}  // namespace mobula::media
