// Opens a clip for FFmpeg: from a file or from bytes in memory, and nothing else. Whatever the clip refers to
// (playlists, network addresses, other files) stays shut, since clips come from strangers.
// Owned by one VideoReader. Tests: video_test.cc.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/status.h"

struct AVFormatContext;
struct AVStream;

namespace mobula::media {

/// An opened container and its first video stream.
class ClipFile {
 public:
  /// `log` collects FFmpeg's complaints.
  static Result<std::unique_ptr<ClipFile>> open(const std::string& path, std::string& log);
  static Result<std::unique_ptr<ClipFile>> open_bytes(std::span<const uint8_t> bytes, const std::string& name,
                                                      std::string& log);
  ~ClipFile();
  ClipFile(const ClipFile&) = delete;
  ClipFile& operator=(const ClipFile&) = delete;

  AVFormatContext& container() const;
  AVStream& video() const;
  bool has_audio() const;
  /// Clockwise, from the display matrix: 0, 90, 180 or 270.
  int rotation_degrees() const;

 private:
  struct State;
  explicit ClipFile(std::unique_ptr<State> state);
  static Result<std::unique_ptr<ClipFile>> probe(std::unique_ptr<State> state, const std::string& name,
                                                 std::string& log);
  std::unique_ptr<State> state_;
};

}  // namespace mobula::media
