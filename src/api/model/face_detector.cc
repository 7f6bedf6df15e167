// The public FaceDetector over model::FaceDetector. Tests: api_model_test.cc.
#include <mobula/model.h>

#include <utility>

#include "api/model/tensors.h"
#include "data/model/face_detector.h"

namespace mobula::inline v1 {
namespace {

static_assert(FaceDetector::kSide == model::kFaceSide);

Face face_of(const model::Face& found) {
  Face face;
  face.box = {found.box.x, found.box.y, found.box.width, found.box.height};
  face.score = found.score;
  for (size_t i = 0; i < face.key_points.size(); ++i)
    face.key_points[i] = {found.key_points[i].x, found.key_points[i].y};
  return face;
}

/// How many frames the tensor holds.
size_t frames_in(const Tensor& frames) {
  const std::vector<int64_t>& shape = frames.shape();
  const std::vector<int64_t> frame{FaceDetector::kSide, FaceDetector::kSide, 3};
  if (frames.dtype() == DType::kUint8 && shape.size() == 4 &&
      std::equal(frame.begin(), frame.end(), shape.begin() + 1)) {
    return static_cast<size_t>(shape[0]);
  }
  std::string text;
  for (int64_t side : shape) text += (text.empty() ? "" : " x ") + std::to_string(side);
  throw RayValueException("a face detector takes frames as uint8, n x 128 x 128 x 3; given was a tensor of " +
                          std::string(to_string(frames.dtype())) + ", " + text);
}

model::FaceDetectorOptions options_of(const std::string& path, const FaceDetectorOptions& options) {
  model::FaceDetectorOptions wanted;
  wanted.path = path;
  wanted.threads = options.threads;
  wanted.mode = internal::mode_of(options.mode);
  wanted.score_min = options.score_min;
  wanted.overlap_max = options.overlap_max;
  return wanted;
}

}  // namespace

struct FaceDetector::State {
  std::unique_ptr<model::FaceDetector> detector;
};

FaceDetector::FaceDetector(const std::string& path, const FaceDetectorOptions& options)
    : state_(std::make_unique<State>(
          State{internal::unwrap_model(model::FaceDetector::open(options_of(path, options)))})) {}

FaceDetector::FaceDetector(FaceDetector&&) noexcept = default;
FaceDetector& FaceDetector::operator=(FaceDetector&&) noexcept = default;
FaceDetector::~FaceDetector() = default;

std::vector<Face> FaceDetector::best(const Tensor& frames) {
  std::vector<model::Face> found(frames_in(frames));
  internal::expect_model(state_->detector->best(frames.as_span<uint8_t>(), found));
  std::vector<Face> faces;
  faces.reserve(found.size());
  for (const model::Face& face : found) faces.push_back(face_of(face));
  return faces;
}

std::vector<std::vector<Face>> FaceDetector::all(const Tensor& frames) {
  const size_t count = frames_in(frames);
  std::vector<std::vector<Face>> faces(count);
  for (size_t i = 0; i < count; ++i) {
    const auto frame = frames.as_span<uint8_t>().subspan(i * model::FaceDetector::kFrameBytes,
                                                         model::FaceDetector::kFrameBytes);
    for (const model::Face& face : internal::unwrap_model(state_->detector->all(frame)))
      faces[i].push_back(face_of(face));
  }
  return faces;
}

}  // namespace mobula::inline v1
