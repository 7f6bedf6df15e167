// Predictor over ov::Core, ov::CompiledModel and ov::InferRequest. Every call into OpenVINO stands inside
// guarded(), the only place that catches. Tests: predictor_test.cc.
#include "data/model/predictor.h"

#include <openvino/core/preprocess/pre_post_process.hpp>
#include <openvino/frontend/manager.hpp>
#include <openvino/openvino.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <filesystem>
#include <functional>
#include <utility>

namespace mobula::model {
namespace {

constexpr int kThreadsMax = 1024;
constexpr size_t kMessageMax = 300;

/// The last line of OpenVINO's message: the ones before it are places in its own source.
std::string reason(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const size_t line = text.rfind('\n');
  if (line != std::string_view::npos) text = text.substr(line + 1);
  return std::string(text.substr(0, kMessageMax));
}

Status guarded(Code code, const std::string& what, const std::function<void()>& call) {
  try {
    call();
    return {};
  } catch (const std::exception& thrown) {
    return {code, what + ": " + reason(thrown.what())};
  } catch (...) {
    return {Code::kInternal, what + ": OpenVINO threw something unknown"};
  }
}

constexpr std::array<std::pair<Element, ov::element::Type_t>, 13> kElements{{
    {Element::kBool, ov::element::Type_t::boolean},
    {Element::kU8, ov::element::Type_t::u8},
    {Element::kI8, ov::element::Type_t::i8},
    {Element::kU16, ov::element::Type_t::u16},
    {Element::kI16, ov::element::Type_t::i16},
    {Element::kU32, ov::element::Type_t::u32},
    {Element::kI32, ov::element::Type_t::i32},
    {Element::kU64, ov::element::Type_t::u64},
    {Element::kI64, ov::element::Type_t::i64},
    {Element::kF16, ov::element::Type_t::f16},
    {Element::kBf16, ov::element::Type_t::bf16},
    {Element::kF32, ov::element::Type_t::f32},
    {Element::kF64, ov::element::Type_t::f64},
}};

Element element_of(const ov::element::Type& type) {
  for (const auto& [ours, theirs] : kElements) {
    if (type == theirs) return ours;
  }
  return Element::kOther;
}

ov::element::Type type_of(Element element) {
  for (const auto& [ours, theirs] : kElements) {
    if (element == ours) return theirs;
  }
  return ov::element::dynamic;
}

Port describe(const ov::Output<const ov::Node>& port, const std::string& fallback) {
  Port described;
  described.name = port.get_names().empty() ? fallback : port.get_any_name();
  described.element = element_of(port.get_element_type());
  const ov::PartialShape shape = port.get_partial_shape();
  if (shape.rank().is_static()) {
    for (const ov::Dimension& axis : shape)
      described.shape.push_back(axis.is_static() ? axis.get_length() : -1);
  }
  return described;
}

bool fits(const Shape& given, const Shape& wanted) {
  if (given.size() != wanted.size()) return false;
  for (size_t i = 0; i < given.size(); ++i) {
    if (given[i] < 0 || (wanted[i] >= 0 && given[i] != wanted[i])) return false;
  }
  return true;
}

Status check_options(const PredictorOptions& options) {
  if (options.threads < 0 || options.threads > kThreadsMax || options.streams < 0 ||
      options.streams > kThreadsMax || options.requests < 0 || options.requests > kThreadsMax) {
    return {Code::kInvalid,
            "threads, streams and requests of a predictor are 0.." + std::to_string(kThreadsMax)};
  }
  return {};
}

Status check_file(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored)) return {};
  return {Code::kNotFound,
          "no model at '" + path +
              "': give the path of an .onnx, .tflite, .pb or .xml file or of a SavedModel folder"};
}

}  // namespace

struct Predictor::State {
  Status load(const PredictorOptions& options);
  std::shared_ptr<ov::Model> read();
  void change_input(std::shared_ptr<ov::Model>& model, const InputChange& change) const;
  ov::AnyMap settings(const PredictorOptions& options) const;
  Status set_inputs(size_t request, std::span<const TensorView> tensors);
  std::vector<TensorView> read_outputs(size_t request);

  std::string path;
  ov::frontend::FrontEndManager formats;
  ov::Core core;
  ov::CompiledModel compiled;
  std::vector<ov::InferRequest> requests;
  std::vector<bool> is_in_flight;
  size_t next_request = 0;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

void Predictor::State::change_input(std::shared_ptr<ov::Model>& model, const InputChange& change) const {
  if (!change.shape.empty()) {
    ov::PartialShape shape;
    for (int64_t length : change.shape)
      shape.push_back(length < 0 ? ov::Dimension::dynamic() : ov::Dimension(length));
    model->reshape({{model->input(0), shape}});
  }
  if (!change.element && change.scale == 1 && change.mean == 0) return;
  const ov::element::Type own = model->input(0).get_element_type();
  ov::preprocess::PrePostProcessor changes(model);
  auto& input = changes.input(0);
  if (change.element) input.tensor().set_element_type(type_of(*change.element));
  input.preprocess().convert_element_type(own);
  if (change.scale != 1) input.preprocess().scale(change.scale);
  if (change.mean != 0) input.preprocess().mean(change.mean);
  model = changes.build();
}

ov::AnyMap Predictor::State::settings(const PredictorOptions& options) const {
  const bool is_throughput = options.mode == Mode::kThroughput;
  ov::AnyMap chosen{ov::hint::performance_mode(is_throughput ? ov::hint::PerformanceMode::THROUGHPUT
                                                             : ov::hint::PerformanceMode::LATENCY)};
  if (options.device != "CPU") return chosen;
  // Pinned threads would fight with the caller's; bf16 would move results by more than rounding does.
  chosen.insert(ov::hint::enable_cpu_pinning(false));
  chosen.insert(ov::hint::inference_precision(ov::element::f32));
  const int streams = is_throughput && options.streams == 0 ? options.threads : options.streams;
  if (options.threads > 0) chosen.insert(ov::inference_num_threads(options.threads));
  if (streams > 0) chosen.insert(ov::num_streams(is_throughput ? streams : 1));
  return chosen;
}

/// Core::read_model offers a damaged file to one format after another, and their parsers print. So the format
/// is chosen by the name where the name says it.
std::shared_ptr<ov::Model> Predictor::State::read() {
  const std::string extension = std::filesystem::path(path).extension().string();
  if (extension != ".onnx" && extension != ".tflite") return core.read_model(path);
  const auto format = formats.load_by_framework(extension.substr(1));
  return format->convert(format->load(path));
}

Status Predictor::State::load(const PredictorOptions& options) {
  std::shared_ptr<ov::Model> model;
  TRY(guarded(Code::kInvalid, "model '" + path + "' cannot be read", [&] { model = read(); }));
  if (model == nullptr || model->outputs().empty() || model->inputs().empty()) {
    return {Code::kInvalid,
            "model '" + path + "' has no inputs or no outputs: the file is damaged, or no model"};
  }
  TRY(guarded(Code::kInvalid, "model '" + path + "' does not take the wanted input",
              [&] { change_input(model, options.input); }));
  TRY(guarded(Code::kUnsupported, "model '" + path + "' cannot run on device '" + options.device + "'",
              [&] { compiled = core.compile_model(model, options.device, settings(options)); }));
  return guarded(Code::kInternal, "model '" + path + "' cannot be set up", [&] {
    for (const auto& port : compiled.inputs()) {
      inputs.push_back(describe(port, "input" + std::to_string(inputs.size())));
    }
    for (const auto& port : compiled.outputs()) {
      outputs.push_back(describe(port, "output" + std::to_string(outputs.size())));
    }
    size_t count = static_cast<size_t>(options.requests);
    if (count == 0) count = compiled.get_property(ov::optimal_number_of_infer_requests) + 1;
    for (size_t i = 0; i < count; ++i) requests.push_back(compiled.create_infer_request());
    is_in_flight.assign(count, false);
  });
}

Status Predictor::State::set_inputs(size_t request, std::span<const TensorView> tensors) {
  if (tensors.size() != inputs.size()) {
    return {Code::kInvalid, "model '" + path + "' takes " + std::to_string(inputs.size()) +
                                " inputs and was given " + std::to_string(tensors.size())};
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorView& given = tensors[i];
    const Port& port = inputs[i];
    const size_t bytes = element_count(given.shape) * element_bytes(given.element);
    if (given.element != port.element || !fits(given.shape, port.shape) || bytes != given.bytes.size()) {
      return {Code::kInvalid,
              "input '" + port.name + "' of model '" + path + "' is " + std::string(to_string(port.element)) +
                  " " + to_string(port.shape) + " and was given " + std::string(to_string(given.element)) +
                  " " + to_string(given.shape) + " in " + std::to_string(given.bytes.size()) + " bytes"};
    }
  }
  return guarded(Code::kInvalid, "model '" + path + "' refuses its inputs", [&] {
    for (size_t i = 0; i < tensors.size(); ++i) {
      const ov::Shape shape(tensors[i].shape.begin(), tensors[i].shape.end());
      void* bytes = const_cast<std::byte*>(tensors[i].bytes.data());  // OpenVINO only reads it
      requests[request].set_input_tensor(i, ov::Tensor(type_of(tensors[i].element), shape, bytes));
    }
  });
}

std::vector<TensorView> Predictor::State::read_outputs(size_t request) {
  std::vector<TensorView> views;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ov::Tensor tensor = requests[request].get_output_tensor(i);
    const ov::Shape& shape = tensor.get_shape();
    views.push_back({outputs[i].element,
                     Shape(shape.begin(), shape.end()),
                     {static_cast<const std::byte*>(std::as_const(tensor).data()), tensor.get_byte_size()}});
  }
  return views;
}

Predictor::Predictor(std::unique_ptr<State> state) : state_(std::move(state)) {}

Predictor::~Predictor() {
  for (size_t i = 0; i < state_->requests.size(); ++i) {
    if (!state_->is_in_flight[i]) continue;
    static_cast<void>(guarded(Code::kInternal, "stop", [&] { state_->requests[i].wait(); }).is_ok());
  }
}

Result<std::unique_ptr<Predictor>> Predictor::open(const PredictorOptions& options) {
  TRY(check_options(options));
  TRY(check_file(options.path));
  std::unique_ptr<State> state;
  TRY(guarded(Code::kInternal, "OpenVINO cannot start", [&] { state = std::make_unique<State>(); }));
  state->path = options.path;
  TRY(state->load(options));
  return std::unique_ptr<Predictor>(new Predictor(std::move(state)));
}

const std::vector<Port>& Predictor::inputs() const { return state_->inputs; }
const std::vector<Port>& Predictor::outputs() const { return state_->outputs; }
size_t Predictor::requests() const { return state_->requests.size(); }

size_t Predictor::in_flight() const {
  return static_cast<size_t>(std::count(state_->is_in_flight.begin(), state_->is_in_flight.end(), true));
}

Result<std::vector<TensorView>> Predictor::infer(std::span<const TensorView> inputs) {
  if (in_flight() > 0) {
    return Status{Code::kBusy, "model '" + state_->path + "' has requests in flight: wait() for them first"};
  }
  TRY(state_->set_inputs(0, inputs));
  std::vector<TensorView> outputs;
  TRY(guarded(Code::kInternal, "model '" + state_->path + "' failed", [&] {
    state_->requests[0].infer();
    outputs = state_->read_outputs(0);
  }));
  return outputs;
}

Result<Predictor::Ticket> Predictor::submit(std::span<const TensorView> inputs) {
  const size_t count = state_->requests.size();
  for (size_t tried = 0; tried < count; ++tried) {
    const size_t request = state_->next_request;
    state_->next_request = (request + 1) % count;
    if (state_->is_in_flight[request]) continue;
    TRY(state_->set_inputs(request, inputs));
    TRY(guarded(Code::kInternal, "model '" + state_->path + "' failed",
                [&] { state_->requests[request].start_async(); }));
    state_->is_in_flight[request] = true;
    return Ticket{request};
  }
  return Status{Code::kBusy, "all " + std::to_string(count) + " requests of model '" + state_->path +
                                 "' are in flight: wait() for one first"};
}

Result<std::vector<TensorView>> Predictor::wait(Ticket ticket) {
  if (ticket.request >= state_->requests.size() || !state_->is_in_flight[ticket.request]) {
    return Status{Code::kInvalid, "request " + std::to_string(ticket.request) + " of model '" + state_->path +
                                      "' is not in flight: each ticket is waited for once"};
  }
  std::vector<TensorView> outputs;
  const Status status = guarded(Code::kInternal, "model '" + state_->path + "' failed", [&] {
    state_->requests[ticket.request].wait();
    outputs = state_->read_outputs(ticket.request);
  });
  state_->is_in_flight[ticket.request] = false;
  TRY(status);
  return outputs;
}

}  // namespace mobula::model
