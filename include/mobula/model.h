// Models on OpenVINO: any model file as tensors in, tensors out; and a face detector. Link libmobula_model
// besides libmobula and libmobula_data. A model is best held by an actor: it is loaded once, and compiled
// for the machine it runs on. What is wrong with a model is thrown as a ModelException.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mobula/box.h>
#include <mobula/exception.h>
#include <mobula/tensor.h>

namespace mobula::inline v1 {

/// A model file is missing or is none, its inputs do not fit what is given, or the device is not there.
class ModelException : public RayException {
 public:
  using RayException::RayException;
};

/// kLatency: one request uses all threads. kThroughput: each of several requests runs on a thread of its own.
enum class ModelMode : uint8_t { kLatency, kThroughput };

/// An input or output of a model.
struct ModelPort {
  std::string name;
  std::optional<DType> dtype;  ///< nothing for types that a Tensor does not have, as bfloat16
  std::vector<int64_t> shape;  ///< -1 where it is free
};

struct PredictorOptions {
  std::string device = "CPU";  ///< OpenVINO's name of it
  int threads = 0;             ///< to compute with; 0: one for each core
  ModelMode mode = ModelMode::kLatency;
  int streams = 0;   ///< of kThroughput; 0: one for each thread
  int requests = 0;  ///< in flight; 0: as many as keep all streams busy
  /// The element type that the caller has, converted to the model's own inside; nothing: the model's own.
  std::optional<DType> input_dtype = {};
  /// The model sees value / input_scale - input_mean.
  float input_scale = 1;
  float input_mean = 0;
  /// Replaces the shape of the first input, for another batch size; empty: the model's own.
  std::vector<int64_t> input_shape = {};
};

/// Runs a model. One thread at a time; it computes on threads of its own.
class Predictor {
 public:
  /// A .onnx, .tflite, .pb or .xml file, or the folder of a TensorFlow SavedModel.
  explicit Predictor(const std::string& path, const PredictorOptions& options = {});
  Predictor(Predictor&&) noexcept;
  Predictor& operator=(Predictor&&) noexcept;
  ~Predictor();

  const std::vector<ModelPort>& inputs() const;
  const std::vector<ModelPort>& outputs() const;

  /// The outputs, in order of outputs(), for inputs in order of inputs(). Inputs are read in place.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);
  /// The same for many independent inputs, in order, as many at a time as there are requests.
  std::vector<std::vector<Tensor>> run_all(const std::vector<std::vector<Tensor>>& inputs);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A face in a picture; all places are shares of the picture's width and height.
struct Face {
  Box box;
  float score = 0;  ///< 0 to 1
  /// Right eye, left eye, nose tip, mouth centre, right ear, left ear: of the person, not of the picture.
  std::array<Point, 6> key_points{};
  MOBULA_SERIALIZE(box, score, key_points);
};

struct FaceDetectorOptions {
  int threads = 0;  ///< to compute with; 0: one for each core
  ModelMode mode = ModelMode::kThroughput;
  /// Limits of all(): the least score, and how much (intersection over union) two boxes may overlap that are
  /// not taken for one.
  float score_min = 0.5F;
  float overlap_max = 0.3F;
};

/// Finds faces with MediaPipe's short-range BlazeFace model (Bazarevsky et al., "BlazeFace: Sub-millisecond
/// Neural Face Detection on Mobile GPUs", 2019). One thread at a time; it computes on threads of its own.
class FaceDetector {
 public:
  /// Side of the square frames in pixels.
  static constexpr int kSide = 128;

  /// `path`: face_detection_short_range.tflite.
  explicit FaceDetector(const std::string& path, const FaceDetectorOptions& options = {});
  FaceDetector(FaceDetector&&) noexcept;
  FaceDetector& operator=(FaceDetector&&) noexcept;
  ~FaceDetector();

  /// The best face of each frame, whatever its score. `frames`: uint8, n x 128 x 128 x 3, RGB, usually
  /// letterboxed; read in place. RayValueException for a tensor of another shape or type.
  std::vector<Face> best(const Tensor& frames);
  /// All faces of each frame that score enough, the best first.
  std::vector<std::vector<Face>> all(const Tensor& frames);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace mobula::inline v1
