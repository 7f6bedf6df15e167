// Execution: a run of a plan, as python/mobula/data/run.py drives it. Conversion only; what happens is in
// data/exec/run.h. Waits without the GIL; actors are made by Python, so the run's thread takes the GIL for
// them.
#include <nanobind/nanobind.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <unistd.h>

#include <chrono>
#include <cmath>

#include "bind/data/data.h"
#include "data/exec/run.h"
#include "wire/envelope.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::data::python {
namespace {

constexpr const char* kEngineCapsule = "mobula.engine";

ResourceMap resources_from(const std::map<std::string, double>& amounts) {
  ResourceMap out;
  for (const auto& [name, amount] : amounts) out[name] = std::llround(amount * kResourceUnit);
  return out;
}

std::string bytes_of(const nb::handle& value) {
  auto bytes = nb::cast<nb::bytes>(value);
  return {static_cast<const char*>(bytes.data()), bytes.size()};
}

ObjectId object_from(const nb::handle& value) {
  std::string raw = bytes_of(value), text;
  for (unsigned char byte : raw) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  ObjectId id;
  if (!from_hex(text, &id)) throw nb::value_error("an object's id has 16 bytes");
  return id;
}

nb::bytes object_bytes(ObjectId id) {
  std::string text = to_hex(id), out;
  auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i + 1 < text.size(); i += 2)
    out += static_cast<char>(digit(text[i]) << 4 | digit(text[i + 1]));
  return nb::bytes(out.data(), out.size());
}

/// The order key so that bytes compare as keys do.
nb::bytes order_bytes(const OrderKey& key) {
  std::string out;
  for (char32_t part : key) {
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(part >> shift & 0xFF);
  }
  return nb::bytes(out.data(), out.size());
}

template <typename T>
T field(const nb::dict& fields, const char* name, T otherwise) {
  return fields.contains(name) ? nb::cast<T>(fields[name]) : otherwise;
}

OpKind kind_from(const std::string& name) {
  if (name == "input") return OpKind::kInput;
  if (name == "map") return OpKind::kMap;
  if (name == "limit") return OpKind::kLimit;
  if (name == "union") return OpKind::kUnion;
  throw nb::value_error("an operator is an input, a map, a limit or a union");
}

Operator operator_from(const nb::dict& fields) {
  Operator out;
  out.name = nb::cast<std::string>(fields["name"]);
  out.kind = kind_from(nb::cast<std::string>(fields["kind"]));
  out.upstream = nb::cast<std::vector<OpIndex>>(fields["upstream"]);
  out.resources = resources_from(field(fields, "resources", std::map<std::string, double>{}));
  out.tasks_max = field(fields, "tasks_max", 0);
  out.rows_per_bundle = field<int64_t>(fields, "rows_per_bundle", 0);
  out.rows_limit = field<int64_t>(fields, "rows_limit", 0);
  out.block_bytes_max = field<int64_t>(fields, "block_bytes_max", out.block_bytes_max);
  if (fields.contains("actors_min")) {
    ActorPool pool;
    pool.actors_min = nb::cast<int>(fields["actors_min"]);
    pool.actors_max = nb::cast<int>(fields["actors_max"]);
    pool.actors_initial = nb::cast<int>(fields["actors_initial"]);
    pool.calls_per_actor_max = nb::cast<int>(fields["calls_per_actor_max"]);
    out.pool = pool;
  }
  return out;
}

FunctionId function_from(const nb::handle& digest) {
  std::string bytes = bytes_of(digest);
  FunctionId out;
  if (bytes.size() != sizeof out) throw nb::value_error("a digest has 16 bytes");
  std::memcpy(&out.high, bytes.data(), 8);
  std::memcpy(&out.low, bytes.data() + 8, 8);
  return out;
}

Binding binding_from(const nb::dict& fields, const Operator& node) {
  Binding out;
  if (fields.contains("literals")) {
    for (nb::handle literal : nb::cast<nb::list>(fields["literals"]))
      out.literals.push_back(bytes_of(literal));
  }
  if (!fields.contains("function")) return out;
  out.spec.function = function_from(fields["function"]);
  out.spec.name = node.name;
  out.spec.method = field(fields, "method", std::string());
  out.spec.runtime_env = field(fields, "runtime_env", std::string());
  if (!node.pool) out.spec.resources = node.resources;
  return out;
}

/// (id, rows, bytes, offset, length) of a block that exists; the run takes a reference of its own.
BlockRef block_from(const nb::tuple& fields, Engine& engine) {
  BlockRef out;
  out.object = object_from(fields[0]);
  out.rows = nb::cast<int64_t>(fields[1]);
  out.bytes = nb::cast<int64_t>(fields[2]);
  out.offset = nb::cast<int64_t>(fields[3]);
  out.length = nb::cast<int64_t>(fields[4]);
  engine.add_reference(out.object);
  return out;
}

/// Arguments and records as envelopes, which is what Python's workers read and write.
TaskCodec envelope_codec() {
  TaskCodec out;
  out.add_bytes = [](std::string& args, std::string_view bytes) {
    ArgumentWriter(args).value("", small_envelope(Tag::kBytes, bytes));
  };
  out.add_encoded = [](std::string& args, std::string_view encoded) {
    ArgumentWriter(args).value("", encoded);
  };
  out.add_reference = [](std::string& args) { ArgumentWriter(args).reference(""); };
  out.bytes_of = [](const Payload& payload) -> Result<std::string_view> {
    ASSIGN_OR_RETURN(EnvelopeView view, parse_envelope(payload.data));
    if (view.tag != Tag::kBytes) return Status(Code::kInvalid, "not raw bytes");
    if (view.buffers.empty()) return view.meta;
    return std::string_view(reinterpret_cast<const char*>(view.buffers[0].data()), view.buffers[0].size());
  };
  return out;
}

/// Calls into Python from the run's thread; a Python error becomes a Status.
ActorFactory factory_from(Engine& engine, nb::callable make, nb::callable end) {
  auto held = std::shared_ptr<std::pair<nb::callable, nb::callable>>(
      new std::pair(std::move(make), std::move(end)), [](auto* pair) {
        nb::gil_scoped_acquire gil;
        delete pair;
      });
  ActorFactory out;
  out.make = [held, &engine](OpIndex op, ActorNumber number) -> Result<MadeActor> {
    nb::gil_scoped_acquire gil;
    try {
      auto made = nb::cast<nb::tuple>(held->first(op, number));
      MadeActor actor{ActorId{nb::cast<uint64_t>(made[0])}, object_from(made[1])};
      engine.add_reference(actor.ready);
      return actor;
    } catch (const std::exception& error) {
      return Status(Code::kInternal, error.what());
    }
  };
  out.end = [held](ActorNumber number) {
    nb::gil_scoped_acquire gil;
    try {
      held->second(number);
    } catch (nb::python_error& error) {
      error.discard_as_unraisable("ending an actor of a dataset");
    }
  };
  return out;
}

/// A run and the references that its inputs hold.
class Execution {
 public:
  Execution(const nb::capsule& engine, const nb::list& operators, const nb::dict& inputs,
            const nb::dict& options, nb::callable make_actor, nb::callable end_actor)
      : engine_(*static_cast<Engine*>(engine_of(engine))) {
    RunSetup setup;
    for (nb::handle item : operators) {
      auto fields = nb::cast<nb::dict>(item);
      setup.plan.operators.push_back(operator_from(fields));
      setup.bindings.push_back(binding_from(fields, setup.plan.operators.back()));
    }
    check(setup.plan.check());
    read_inputs(inputs, &setup);
    setup.options.memory_bytes_max = nb::cast<int64_t>(options["memory_bytes_max"]);
    setup.options.preserve_order = nb::cast<bool>(options["preserve_order"]);
    setup.options.failures_max = nb::cast<int64_t>(options["failures_max"]);
    setup.options.resources = resources_from(nb::cast<std::map<std::string, double>>(options["resources"]));
    setup.actors = factory_from(engine_, std::move(make_actor), std::move(end_actor));
    setup.codec = envelope_codec();
    run_ = std::make_unique<Run>(engine_, std::move(setup));
  }

  ~Execution() {
    if (getpid() != process_) {  // in a forked child the run's thread and the engine are the parent's
      (void)run_.release();
      return;
    }
    if (run_ && running_session() != session_) run_->forget_engine();
    nb::gil_scoped_release released;
    run_.reset();
  }

  void start() { run_->start(); }

  nb::object next(double timeout_s) {
    Answer answer;
    {
      nb::gil_scoped_release released;
      answer = run_->next(Deadline::after(std::chrono::nanoseconds(std::llround(timeout_s * 1e9))));
    }
    switch (answer.kind) {
      case Answer::Kind::kTimeout:
        return nb::none();
      case Answer::Kind::kEnd:
        return nb::make_tuple("end");
      case Answer::Kind::kFailed:
        return nb::make_tuple("failed", failure(answer.failure));
      case Answer::Kind::kBlock:
        break;
    }
    const BlockRef& block = answer.block;
    return nb::make_tuple("block", object_bytes(block.object), block.rows, block.bytes, block.offset,
                          block.length, order_bytes(block.order));
  }

  /// Lets go of the reference that next() handed over.
  void release(const nb::bytes& object) { engine_.release(object_from(object)); }

  void stop() {
    nb::gil_scoped_release released;
    run_->stop();
  }

  nb::dict view();

 private:
  static void* engine_of(const nb::capsule& engine) {
    if (std::string_view(engine.name()) != kEngineCapsule) throw nb::type_error("not the engine's capsule");
    return engine.data();
  }

  void read_inputs(const nb::dict& inputs, RunSetup* setup) {
    for (auto [key, value] : inputs) {
      auto op = nb::cast<OpIndex>(key);
      std::vector<BlockRef>& blocks = setup->inputs[op];
      for (nb::handle item : nb::cast<nb::list>(value)) {
        if (nb::isinstance<nb::int_>(item)) {  // a literal's number of rows
          BlockRef literal;
          literal.literal = static_cast<uint32_t>(blocks.size());
          literal.rows = nb::cast<int64_t>(item);
          blocks.push_back(std::move(literal));
        } else {
          blocks.push_back(block_from(nb::cast<nb::tuple>(item), engine_));
        }
      }
    }
  }

  static nb::tuple failure(const FailureDetail& detail) {
    nb::object object = detail.object.is_nil() ? nb::none() : nb::object(object_bytes(detail.object));
    return nb::make_tuple(detail.op, nb::bytes(detail.record.data(), detail.record.size()), object,
                          detail.text);
  }

  /// The number of the engine that runs now; 0 without one, or at the interpreter's end.
  static uint32_t running_session() {
    nb::error_scope kept;  // this may be called while an exception is on its way
    try {
      return nb::cast<uint32_t>(nb::module_::import_("mobula._core").attr("session")());
    } catch (const std::exception&) {
      return 0;
    }
  }

  Engine& engine_;
  const uint32_t session_ = running_session();
  const pid_t process_ = getpid();
  std::unique_ptr<Run> run_;
};

nb::dict view_of(const OpView& view) {
  nb::dict out;
  const Counters& counters = view.counters;
  out["tasks"] = counters.tasks;
  out["bundles"] = counters.bundles;
  out["blocks"] = counters.blocks;
  out["rows"] = counters.rows;
  out["bytes"] = counters.bytes;
  out["rows_in"] = counters.rows_in;
  out["bytes_in"] = counters.bytes_in;
  out["failed"] = counters.failed;
  out["retried"] = counters.retried;
  out["actors_started"] = counters.actors_started;
  out["actors_most"] = counters.actors_most;
  out["tasks_most"] = counters.tasks_most;
  out["bytes_peak"] = counters.bytes_peak;
  out["first_ms"] = counters.first_ms;
  out["last_ms"] = counters.last_ms;
  out["busy_ms"] = view.busy_ms;
  out["held_up_ms"] = view.held_up_ms;
  out["rss_bytes_peak"] = view.rss_bytes_peak;
  out["queued"] = view.queued;
  out["running"] = view.running;
  out["actors"] = view.actors;
  out["done"] = view.done;
  nb::list stages;
  for (const StageTimes& times : view.stages) stages.append(nb::make_tuple(times.busy_ms, times.rows));
  out["stages"] = stages;
  return out;
}

nb::dict Execution::view() {
  RunView now;
  {
    nb::gil_scoped_release released;
    now = run_->view();
  }
  nb::dict out;
  nb::list operators, tolerated;
  for (const OpView& view : now.operators) operators.append(view_of(view));
  for (const FailureDetail& detail : now.tolerated) tolerated.append(failure(detail));
  out["operators"] = operators;
  out["tolerated"] = tolerated;
  out["memory_bytes"] = now.memory_bytes;
  out["memory_bytes_peak"] = now.memory_bytes_peak;
  out["failures"] = now.failures;
  out["elapsed_ms"] = now.elapsed_ms;
  return out;
}

}  // namespace

void add_execution(nb::module_& module) {
  nb::class_<Execution>(module, "Execution", "One run of a physical plan.")
      .def(nb::init<const nb::capsule&, const nb::list&, const nb::dict&, const nb::dict&, nb::callable,
                    nb::callable>(),
           "engine"_a, "operators"_a, "inputs"_a, "options"_a, "make_actor"_a, "end_actor"_a)
      .def("start", &Execution::start, "Begins to run.")
      .def("next", &Execution::next, "timeout_s"_a,
           "None if nothing came in time, ('end',), ('failed', failure) or ('block', id, rows, bytes, "
           "offset, length, order).")
      .def("release", &Execution::release, "object"_a, "Lets go of the reference that came with a block.")
      .def("stop", &Execution::stop, "Ends what runs and releases what was not taken.")
      .def("view", &Execution::view, "Figures of the run so far.");
}

}  // namespace mobula::data::python
