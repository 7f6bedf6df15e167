// FaceDetector: a predictor that takes bytes (the model's own range of -1..1 is made inside), and
// face_decode. Tests: face_detector_test.cc.
#include "data/model/face_detector.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace mobula::model {
namespace {

const Shape kFrameShape{1, kFaceSide, kFaceSide, 3};
constexpr float kHalfRange = 127.5F;

TensorView as_tensor(std::span<const uint8_t> frame) {
  return {Element::kU8, kFrameShape, std::as_bytes(frame)};
}

Status check_frame(std::span<const uint8_t> frame) {
  if (frame.size() == FaceDetector::kFrameBytes) return {};
  return {Code::kInvalid, "a frame of 128x128 RGB takes " + std::to_string(FaceDetector::kFrameBytes) +
                              " bytes, given were " + std::to_string(frame.size())};
}

/// Index of the output with this many numbers for each anchor; the number of outputs if there is none.
size_t find_output(const std::vector<Port>& outputs, size_t numbers) {
  const Shape wanted{1, static_cast<int64_t>(kFaceAnchors), static_cast<int64_t>(numbers)};
  const auto found = std::find_if(outputs.begin(), outputs.end(), [&wanted](const Port& port) {
    return port.shape == wanted && port.element == Element::kF32;
  });
  return static_cast<size_t>(found - outputs.begin());
}

}  // namespace

FaceDetector::FaceDetector(const FaceDetectorOptions& options, std::unique_ptr<Predictor> predictor)
    : options_(options),
      predictor_(std::move(predictor)),
      regressors_(find_output(predictor_->outputs(), kFaceNumbers)),
      logits_(find_output(predictor_->outputs(), 1)) {}

Result<std::unique_ptr<FaceDetector>> FaceDetector::open(const FaceDetectorOptions& options) {
  PredictorOptions wanted;
  wanted.path = options.path;
  wanted.threads = options.threads;
  wanted.mode = options.mode;
  wanted.input.element = Element::kU8;
  wanted.input.scale = kHalfRange;
  wanted.input.mean = 1;
  ASSIGN_OR_RETURN(auto predictor, Predictor::open(wanted));
  const bool takes_frames = predictor->inputs().size() == 1 && predictor->inputs()[0].shape == kFrameShape;
  const size_t outputs = predictor->outputs().size();
  if (!takes_frames || find_output(predictor->outputs(), kFaceNumbers) == outputs ||
      find_output(predictor->outputs(), 1) == outputs) {
    return Status{Code::kInvalid, "model '" + options.path + "' is no short-range BlazeFace model (input " +
                                      to_string(kFrameShape) +
                                      ", outputs 1x896x16 and 1x896x1): give "
                                      "face_detection_short_range.tflite"};
  }
  return std::unique_ptr<FaceDetector>(new FaceDetector(options, std::move(predictor)));
}

FaceNumbers FaceDetector::numbers(const std::vector<TensorView>& outputs) const {
  return {outputs[regressors_].floats(), outputs[logits_].floats()};
}

Result<Predictor::Ticket> FaceDetector::submit(std::span<const uint8_t> frame) {
  TRY(check_frame(frame));
  const TensorView input = as_tensor(frame);
  return predictor_->submit({&input, 1});
}

Result<Face> FaceDetector::wait(Predictor::Ticket ticket) {
  ASSIGN_OR_RETURN(const auto outputs, predictor_->wait(ticket));
  return best_face(numbers(outputs));
}

Status FaceDetector::best(std::span<const uint8_t> frames, std::span<Face> faces) {
  if (frames.size() != faces.size() * kFrameBytes) {
    return {Code::kInvalid, std::to_string(faces.size()) + " frames of 128x128 RGB take " +
                                std::to_string(faces.size() * kFrameBytes) + " bytes, given were " +
                                std::to_string(frames.size())};
  }
  std::deque<Predictor::Ticket> in_flight;
  Status failure;
  size_t submitted = 0;
  for (size_t taken = 0; taken < submitted || (submitted < faces.size() && failure.is_ok());) {
    if (failure.is_ok() && submitted < faces.size() && in_flight.size() < requests()) {
      const auto ticket = submit(frames.subspan(submitted * kFrameBytes, kFrameBytes));
      if (ticket.is_ok()) {
        in_flight.push_back(ticket.value());
        ++submitted;
      } else {
        failure = ticket.status();
      }
      continue;
    }
    auto face = wait(in_flight.front());
    in_flight.pop_front();
    if (face.is_ok()) faces[taken] = face.value();
    if (!face.is_ok() && failure.is_ok()) failure = face.status();
    ++taken;
  }
  return failure;
}

Result<std::vector<Face>> FaceDetector::all(std::span<const uint8_t> frame) {
  TRY(check_frame(frame));
  const TensorView input = as_tensor(frame);
  ASSIGN_OR_RETURN(const auto outputs, predictor_->infer({&input, 1}));
  return all_faces(numbers(outputs), options_.score_min, options_.overlap_max);
}

}  // namespace mobula::model
