// The public Predictor over model::Predictor. Tests: api_model_test.cc.
#include "api/model/tensors.h"

#include <mobula/model.h>

#include <deque>
#include <string>
#include <utility>

#include "data/model/predictor.h"

namespace mobula::inline v1 {
namespace internal {
namespace {

constexpr std::pair<DType, model::Element> kElements[] = {
    {DType::kBool, model::Element::kBool},   {DType::kInt8, model::Element::kI8},
    {DType::kInt16, model::Element::kI16},   {DType::kInt32, model::Element::kI32},
    {DType::kInt64, model::Element::kI64},   {DType::kUint8, model::Element::kU8},
    {DType::kUint16, model::Element::kU16},  {DType::kUint32, model::Element::kU32},
    {DType::kUint64, model::Element::kU64},  {DType::kFloat16, model::Element::kF16},
    {DType::kFloat32, model::Element::kF32}, {DType::kFloat64, model::Element::kF64},
};

std::optional<DType> dtype_of_element(model::Element element) {
  for (const auto& [ours, theirs] : kElements) {
    if (theirs == element) return ours;
  }
  return std::nullopt;
}

}  // namespace

model::Element element_of(DType dtype) {
  for (const auto& [ours, theirs] : kElements) {
    if (ours == dtype) return theirs;
  }
  throw RayValueException("there is no element type of number " + std::to_string(static_cast<int>(dtype)));
}

model::TensorView view_of(const Tensor& tensor) {
  return {element_of(tensor.dtype()),
          tensor.shape(),
          {static_cast<const std::byte*>(tensor.data()), tensor.size_bytes()}};
}

Tensor copy_of(const model::TensorView& view) {
  const std::optional<DType> dtype = dtype_of_element(view.element);
  if (!dtype) {
    throw ModelException("an output of the model has elements of type " +
                         std::string(model::to_string(view.element)) + ", which a Tensor cannot have");
  }
  Tensor tensor(*dtype, view.shape);
  std::copy(view.bytes.begin(), view.bytes.end(), static_cast<std::byte*>(tensor.mutable_data()));
  return tensor;
}

void expect_model(const Status& status) {
  if (!status.is_ok()) throw ModelException(status.message());
}

}  // namespace internal

namespace {

std::vector<ModelPort> ports_of(const std::vector<model::Port>& known) {
  std::vector<ModelPort> ports;
  for (const model::Port& port : known)
    ports.push_back({port.name, internal::dtype_of_element(port.element), port.shape});
  return ports;
}

model::PredictorOptions options_of(const std::string& path, const PredictorOptions& options) {
  model::PredictorOptions wanted;
  wanted.path = path;
  wanted.device = options.device;
  wanted.threads = options.threads;
  wanted.mode = internal::mode_of(options.mode);
  wanted.streams = options.streams;
  wanted.requests = options.requests;
  if (options.input_dtype) wanted.input.element = internal::element_of(*options.input_dtype);
  wanted.input.scale = options.input_scale;
  wanted.input.mean = options.input_mean;
  wanted.input.shape = options.input_shape;
  return wanted;
}

std::vector<model::TensorView> views_of(const std::vector<Tensor>& tensors) {
  std::vector<model::TensorView> views;
  for (const Tensor& tensor : tensors) views.push_back(internal::view_of(tensor));
  return views;
}

std::vector<Tensor> copies_of(const std::vector<model::TensorView>& views) {
  std::vector<Tensor> tensors;
  for (const model::TensorView& view : views) tensors.push_back(internal::copy_of(view));
  return tensors;
}

}  // namespace

struct Predictor::State {
  explicit State(std::unique_ptr<model::Predictor> opened)
      : predictor(std::move(opened)),
        inputs(ports_of(predictor->inputs())),
        outputs(ports_of(predictor->outputs())) {}

  std::unique_ptr<model::Predictor> predictor;
  std::vector<ModelPort> inputs, outputs;
};

Predictor::Predictor(const std::string& path, const PredictorOptions& options)
    : state_(std::make_unique<State>(
          internal::unwrap_model(model::Predictor::open(options_of(path, options))))) {}

Predictor::Predictor(Predictor&&) noexcept = default;
Predictor& Predictor::operator=(Predictor&&) noexcept = default;
Predictor::~Predictor() = default;

const std::vector<ModelPort>& Predictor::inputs() const { return state_->inputs; }
const std::vector<ModelPort>& Predictor::outputs() const { return state_->outputs; }

std::vector<Tensor> Predictor::run(const std::vector<Tensor>& inputs) {
  return copies_of(internal::unwrap_model(state_->predictor->infer(views_of(inputs))));
}

std::vector<std::vector<Tensor>> Predictor::run_all(const std::vector<std::vector<Tensor>>& inputs) {
  model::Predictor& predictor = *state_->predictor;
  std::vector<std::vector<Tensor>> outputs;
  std::deque<model::Predictor::Ticket> in_flight;
  Status failure;
  for (size_t submitted = 0; outputs.size() < inputs.size();) {
    if (failure.is_ok() && submitted < inputs.size() && in_flight.size() < predictor.requests()) {
      const auto ticket = predictor.submit(views_of(inputs[submitted]));
      if (ticket.is_ok()) in_flight.push_back(ticket.value());
      if (!ticket.is_ok()) failure = ticket.status();
      ++submitted;
      continue;
    }
    if (in_flight.empty()) break;  // after a failure
    auto answer = predictor.wait(in_flight.front());
    in_flight.pop_front();
    if (!answer.is_ok() && failure.is_ok()) failure = answer.status();
    outputs.push_back(answer.is_ok() ? copies_of(answer.value()) : std::vector<Tensor>());
  }
  internal::expect_model(failure);
  return outputs;
}

}  // namespace mobula::inline v1
