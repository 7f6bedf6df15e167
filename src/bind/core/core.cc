// The extension module mobula._core: the engine, the codec and the runner of tasks, for the Python package
// alone. It links neither Arrow nor NumPy, so that `import mobula` stays light.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/core/calls.h"
#include "bind/core/driver.h"
#include "bind/core/object_ref.h"
#include "bind/core/objects.h"
#include "bind/core/stream.h"
#include "bind/core/waker.h"
#include "worker/python_codec.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::python {
namespace {

struct Waker {
  std::shared_ptr<WakerState> state = std::make_shared<WakerState>();
};

void notify(const Waker& waker, uint64_t token, const nb::handle& ref) {
  Session* current = require_session();
  if (!current) raise();
  if (!is_ref(ref.ptr())) throw nb::type_error("notify() takes an ObjectRef");
  ObjectId id = id_of_ref(ref.ptr());
  if (!check_session(current, id)) raise();
  current->engine->on_ready(std::span<const ObjectId>(&id, 1),
                            [state = waker.state, token] { state->signal(token); });
}

void wait(const Waker& waker, int timeout_ms) {
  std::shared_ptr<WakerState> state = waker.state;
  WithoutGil released;
  state->wait(timeout_ms);
}

/// encode and decode, for tests and for what keeps values outside of the engine.
nb::bytes encode_bytes(const nb::handle& value) {
  Encoded encoded;
  if (!encode(value.ptr(), "a value", &encoded)) raise();
  EnvelopePlan plan = encoded.plan();
  nb::object out = nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(plan.total_bytes())));
  if (!out.is_valid()) raise();
  encoded.write(plan, {reinterpret_cast<uint8_t*>(PyBytes_AS_STRING(out.ptr())), plan.total_bytes()});
  return nb::borrow<nb::bytes>(out);
}

/// A definition: (its envelope, the references and handles that it captured).
nb::tuple encode_definition(const nb::handle& value, const std::string& where) {
  Encoded encoded;
  if (!encode(value.ptr(), where, &encoded)) raise();
  EnvelopePlan plan = encoded.plan();
  std::string bytes(plan.total_bytes(), '\0');
  encoded.write(plan, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  nb::list handles;
  for (const Owned& handle : encoded.kept) handles.append(nb::borrow(handle.get()));
  return nb::make_tuple(nb::bytes(bytes.data(), bytes.size()), handles);
}

nb::object decode_bytes(const nb::bytes& envelope) {
  PyObject* value = decode({static_cast<const uint8_t*>(envelope.data()), envelope.size()}, nullptr);
  if (!value) raise();
  return nb::steal(value);
}

}  // namespace

void add_waker(nb::module_& module) {
  nb::class_<Waker>(module, "Waker", "Tells an event loop or a thread which objects have become ready.")
      .def(nb::init<>())
      .def(
          "fileno", [](const Waker& w) { return w.state->fd; }, "Readable when take() has something.")
      .def("notify", notify, "token"_a, "ref"_a, "take() gives the token once the object is there.")
      .def(
          "signal", [](const Waker& w, uint64_t token) { w.state->signal(token); }, "token"_a,
          "take() gives the token.")
      .def(
          "take", [](const Waker& w) { return w.state->take(); }, "The tokens of what became ready.")
      .def("wait", wait, "timeout_ms"_a, "Blocks until take() has something.");
}

}  // namespace mobula::python

NB_MODULE(_core, module) {
  using namespace mobula::python;
  nb::set_leak_warnings(
      false);  // at the interpreter's end references to objects are still held, and that is fine
  PyObject* raw = module.ptr();
  if (!add_codec_types(raw) || !add_ref_type(raw) || !add_stream_type(raw) || !add_caller_types(raw) ||
      !add_actor_types(raw) || !add_object_functions(raw)) {
    raise();
  }
  add_driver(module);
  add_worker(module);
  add_waker(module);
  add_cross_language(module);
  add_metrics(module);
  add_collective(module);
  module.def("encode", encode_bytes, "value"_a.none(), "A value as the bytes of an envelope.");
  module.def("encode_definition", encode_definition, "value"_a, "where"_a,
             "(envelope, captured references and handles)");
  module.def("decode", decode_bytes, "envelope"_a, "The value of an envelope.");
}
