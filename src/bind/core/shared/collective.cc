// Collective groups from Python. Arrays come as writable, contiguous buffers with the name of their element
// type; a failure comes back as (code, message), from which mobula.util.collective makes its exceptions.
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>

#include <memory>
#include <vector>

#include "bind/core/driver.h"
#include "collective/rendezvous.h"
#include "worker/python_session.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::python {
namespace {

using collective::ElementType;
using collective::Group;
using collective::Interrupted;
using collective::ReduceOp;

struct CollectiveGroup {
  std::shared_ptr<Group> group;
};

/// An array of Python's for the time of a call.
class Buffer {
 public:
  Buffer(const nb::handle& array, bool writable) {
    if (PyObject_GetBuffer(array.ptr(), &view_, writable ? PyBUF_CONTIG : PyBUF_CONTIG_RO) != 0) raise();
  }
  ~Buffer() { PyBuffer_Release(&view_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::span<uint8_t> bytes() const {
    return {static_cast<uint8_t*>(view_.buf), static_cast<size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

class Buffers {
 public:
  Buffers(const nb::list& arrays, bool writable) {
    for (nb::handle array : arrays) held_.push_back(std::make_unique<Buffer>(array, writable));
  }
  template <typename Byte>
  std::vector<std::span<Byte>> spans() const {
    std::vector<std::span<Byte>> out;
    for (const auto& one : held_) out.emplace_back(one->bytes());
    return out;
  }

 private:
  std::vector<std::unique_ptr<Buffer>> held_;
};

nb::object answer(const Status& status) {
  if (status.is_ok()) return nb::none();
  return nb::make_tuple(std::string(to_string(status.code())), status.message());
}

/// Calls without the GIL; on the main thread signals are looked at while it waits.
template <typename Call>
nb::object run(Call call) {
  Interrupted interrupted;
  if (on_main_thread()) {
    interrupted = [] {
      nb::gil_scoped_acquire held;
      return PyErr_CheckSignals() < 0;
    };
  }
  Status status;
  {
    WithoutGil released;
    status = call(interrupted);
  }
  if (PyErr_Occurred()) raise();
  return answer(status);
}

ElementType type_of(std::string_view name) {
  Result<ElementType> type = collective::element_type(name);
  if (!type.is_ok()) throw nb::type_error(type.status().message().c_str());
  return *type;
}

ReduceOp op_of(uint32_t number) {
  if (number > static_cast<uint32_t>(ReduceOp::kMax)) throw nb::value_error("no such ReduceOp");
  return static_cast<ReduceOp>(number);
}

/// (group, None) or (None, failure)
nb::tuple join(const std::string& meeting, const std::string& name, uint32_t world, uint32_t rank,
               int64_t timeout_ms) {
  collective::GroupOptions options{name, world, rank, std::chrono::milliseconds(timeout_ms)};
  std::shared_ptr<Group> group;
  nb::object failed = run([&](const Interrupted& interrupted) -> Status {
    ASSIGN_OR_RETURN(group, collective::join(meeting, options, interrupted));
    return Status::ok();
  });
  return nb::make_tuple(group ? nb::cast(CollectiveGroup{group}) : nb::none(), failed);
}

nb::object all_reduce(const CollectiveGroup& self, const nb::handle& array, std::string_view type,
                      uint32_t op) {
  ElementType element = type_of(type);
  ReduceOp combine = op_of(op);
  Buffer data(array, true);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->all_reduce(data.bytes(), element, combine, interrupted);
  });
}

nb::object reduce(const CollectiveGroup& self, const nb::handle& array, std::string_view type, uint32_t op,
                  uint32_t root) {
  ElementType element = type_of(type);
  ReduceOp combine = op_of(op);
  Buffer data(array, true);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->reduce(data.bytes(), element, combine, root, interrupted);
  });
}

nb::object reduce_scatter(const CollectiveGroup& self, const nb::list& arrays, const nb::handle& result,
                          std::string_view type, uint32_t op) {
  ElementType element = type_of(type);
  ReduceOp combine = op_of(op);
  Buffers inputs(arrays, false);
  Buffer out(result, true);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->reduce_scatter(inputs.spans<const uint8_t>(), out.bytes(), element, combine, interrupted);
  });
}

nb::object all_gather(const CollectiveGroup& self, const nb::handle& array, const nb::list& results,
                      std::string_view type) {
  ElementType element = type_of(type);
  Buffer data(array, false);
  Buffers outs(results, true);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->all_gather(data.bytes(), outs.spans<uint8_t>(), element, interrupted);
  });
}

nb::object broadcast(const CollectiveGroup& self, const nb::handle& array, std::string_view type,
                     uint32_t root) {
  ElementType element = type_of(type);
  Buffer data(array, true);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->broadcast(data.bytes(), element, root, interrupted);
  });
}

nb::object barrier(const CollectiveGroup& self) {
  return run([group = self.group](const Interrupted& interrupted) { return group->barrier(interrupted); });
}

nb::object send(const CollectiveGroup& self, const nb::handle& array, std::string_view type, uint32_t to) {
  ElementType element = type_of(type);
  Buffer data(array, false);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->send(data.bytes(), element, to, interrupted);
  });
}

nb::object receive(const CollectiveGroup& self, const nb::handle& array, std::string_view type,
                   uint32_t from) {
  ElementType element = type_of(type);
  Buffer data(array, true);
  return run([&, group = self.group](const Interrupted& interrupted) {
    return group->receive(data.bytes(), element, from, interrupted);
  });
}

}  // namespace

void add_collective(nb::module_& module) {
  nb::class_<CollectiveGroup>(module, "CollectiveGroup",
                              "A member's place in a group; every call gives None or (code, message).")
      .def("all_reduce", all_reduce, "array"_a, "type"_a, "op"_a, "In place, on all ranks.")
      .def("reduce", reduce, "array"_a, "type"_a, "op"_a, "root"_a, "In place, on rank `root`.")
      .def("reduce_scatter", reduce_scatter, "arrays"_a, "result"_a, "type"_a, "op"_a,
           "`result` gets the combination of all ranks' arrays[own rank].")
      .def("all_gather", all_gather, "array"_a, "results"_a, "type"_a, "results[r] gets rank r's array.")
      .def("broadcast", broadcast, "array"_a, "type"_a, "root"_a, "All get rank `root`'s array.")
      .def("barrier", barrier, "Waits for all ranks.")
      .def("send", send, "array"_a, "type"_a, "to"_a, "Sends to one rank.")
      .def("receive", receive, "array"_a, "type"_a, "source"_a, "Receives from one rank.")
      .def(
          "leave", [](const CollectiveGroup& self) { self.group->leave(); },
          "Tells the others that this rank does not come any more.");
  module.def("join_collective_group", join, "meeting"_a, "name"_a, "world"_a, "rank"_a, "timeout_ms"_a,
             "Waits for all ranks: (group, None) or (None, (code, message)).");
}

}  // namespace mobula::python
