// Finds faces in 128x128 RGB frames with MediaPipe's short-range BlazeFace model. One thread at a time owns a
// detector; batches keep several requests in flight. Tests: face_detector_test.cc.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/model/face_decode.h"
#include "data/model/predictor.h"

namespace mobula::model {

struct FaceDetectorOptions {
  /// face_detection_short_range.tflite
  std::string path;
  /// Threads to compute with; 0: one for each core.
  int threads = 0;
  Mode mode = Mode::kThroughput;
  /// all_faces' limits.
  float score_min = 0.5F;
  float overlap_max = 0.3F;
};

class FaceDetector {
 public:
  /// Bytes of a frame: 128 x 128 x 3, RGB, usually letterboxed.
  static constexpr size_t kFrameBytes = size_t{kFaceSide} * kFaceSide * 3;

  /// Predictor::open's errors; invalid where the model is another one.
  static Result<std::unique_ptr<FaceDetector>> open(const FaceDetectorOptions& options);

  /// The best face of each frame, whatever its score. `frames` holds faces.size() frames one after another.
  Status best(std::span<const uint8_t> frames, std::span<Face> faces);
  /// The same one frame at a time, so that requests stay in flight from batch to batch: up to requests() of
  /// them, each waited for once, the frame staying where it is until then. best() and all() want none in
  /// flight.
  size_t requests() const { return predictor_->requests(); }
  Result<Predictor::Ticket> submit(std::span<const uint8_t> frame);
  Result<Face> wait(Predictor::Ticket ticket);
  /// All faces of one frame.
  Result<std::vector<Face>> all(std::span<const uint8_t> frame);

 private:
  FaceDetector(const FaceDetectorOptions& options, std::unique_ptr<Predictor> predictor);
  FaceNumbers numbers(const std::vector<TensorView>& outputs) const;

  FaceDetectorOptions options_;
  std::unique_ptr<Predictor> predictor_;
  size_t regressors_ = 0;  // places among the model's outputs
  size_t logits_ = 0;
};

}  // namespace mobula::model
