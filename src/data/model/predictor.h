// Runs a model file (ONNX, TFLite, TensorFlow, OpenVINO IR) on OpenVINO: inputs in caller memory, several
// requests in flight. One thread at a time owns a predictor; OpenVINO computes on threads of its own.
// OpenVINO's exceptions end here and become a Status. Tests: predictor_test.cc, face_detector_test.cc.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/model/model.h"

namespace mobula::model {

/// kLatency: one request uses all threads. kThroughput: as many streams as threads, each request on one of
/// them.
enum class Mode : uint8_t { kLatency, kThroughput };

/// Changes the model's first input, so that callers hand over what they have.
struct InputChange {
  /// The caller's element type; converted to the model's own inside.
  std::optional<Element> element;
  /// The model sees value / scale - mean; exact in the model's own type. 1 and 0: unchanged.
  float scale = 1;
  float mean = 0;
  /// A shape that replaces the model's, for another batch size; empty: unchanged.
  Shape shape;
};

struct PredictorOptions {
  /// .onnx, .tflite, .pb, .xml, or the folder of a TensorFlow SavedModel.
  std::string path;
  std::string device = "CPU";
  /// Threads to compute with; 0: one for each core.
  int threads = 0;
  Mode mode = Mode::kLatency;
  /// Streams of kThroughput; 0: one for each thread, or as OpenVINO thinks best where threads is 0.
  int streams = 0;
  /// Requests that may be in flight; 0: as many as keep all streams busy.
  int requests = 0;
  InputChange input;
};

class Predictor {
 public:
  /// Names a request in flight. Each is waited for once.
  struct Ticket {
    size_t request = 0;
  };

  /// not_found: no such file. invalid: not a model, or one that does not fit the options. unsupported: the
  /// device.
  static Result<std::unique_ptr<Predictor>> open(const PredictorOptions& options);
  /// Waits for what is in flight.
  ~Predictor();
  Predictor(const Predictor&) = delete;
  Predictor& operator=(const Predictor&) = delete;

  const std::vector<Port>& inputs() const;
  const std::vector<Port>& outputs() const;
  /// Requests that may be in flight.
  size_t requests() const;
  size_t in_flight() const;

  /// Runs the model once, in order of inputs(). The answer lies in the predictor's memory, valid until the
  /// next infer() or submit(). busy: requests are in flight.
  Result<std::vector<TensorView>> infer(std::span<const TensorView> inputs);

  /// Starts the model on inputs that must stay as they are until wait(). busy: all requests are in flight.
  Result<Ticket> submit(std::span<const TensorView> inputs);
  /// The outputs, in order of outputs(), valid until the next submit().
  Result<std::vector<TensorView>> wait(Ticket ticket);

 private:
  struct State;
  explicit Predictor(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace mobula::model
