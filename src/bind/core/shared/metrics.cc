// Metrics from Python: series in the workers' shared table, or in a driver in memory of its own, which
// outlives its engines. GIL held; nothing here waits.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <sys/mman.h>

#include <memory>

#include "base/metric_table.h"
#include "bind/core/driver.h"
#include "sys/process.h"
#include "worker/python_session.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace mobula::python {
namespace {

/// This process's own table; made at its first use, and kept: what was counted once is never forgotten.
MetricTable own_table() {
  static void* const memory = mmap(nullptr, MetricTable::kBytes, PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return MetricTable({static_cast<uint8_t*>(memory), MetricTable::kBytes});
}

MetricTable table_here() {
  Session* current = session();
  if (current && current->worker && !current->worker->metric_memory().empty())
    return MetricTable(current->worker->metric_memory());
  return own_table();
}

bool is_gone(uint64_t owner) { return !process_runs(owner); }

nb::object series(uint32_t kind, const std::string& key, const std::vector<double>& bounds) {
  auto found =
      table_here().find_or_add(static_cast<MetricKind>(kind), key, bounds, process_mark(own_pid()), is_gone);
  return found ? nb::cast(*found) : nb::none();
}

void append_rows(const MetricTable& table, nb::list* out) {
  for (MetricRow& row : table.rows()) {
    if (row.kind == MetricKind::kGauge && !process_runs(row.owner)) continue;
    out->append(
        nb::make_tuple(static_cast<uint32_t>(row.kind), row.key, row.owner >> 32, row.bounds, row.values));
  }
}

nb::list rows() {
  nb::list out;
  append_rows(own_table(), &out);
  Session* current = session();
  if (current && current->driver) append_rows(MetricTable(current->driver->metric_memory()), &out);
  return out;
}

uint64_t refused() {
  uint64_t count = own_table().refused();
  Session* current = session();
  if (current && current->driver) count += MetricTable(current->driver->metric_memory()).refused();
  return count;
}

}  // namespace

void keep_metrics() {
  MetricTable kept = own_table();
  for (const MetricRow& row : MetricTable(session()->driver->metric_memory()).rows()) {
    if (row.kind == MetricKind::kGauge) continue;  // who set it is gone
    auto found = kept.find_or_add(row.kind, row.key, row.bounds, 0, is_gone);
    if (found) found->merge(row.values);
  }
}

void add_metrics(nb::module_& module) {
  nb::class_<MetricSeries>(module, "MetricSeries",
                           "One metric with one set of tags, as this process sees it.")
      .def("add", &MetricSeries::add, "amount"_a, "Raises a counter.")
      .def("set", &MetricSeries::set, "value"_a, "Sets a gauge.")
      .def("observe", &MetricSeries::observe, "value"_a, "Counts a value of a histogram.");
  module.def("metric_series", series, "kind"_a, "key"_a, "bounds"_a,
             "The series of a key (1 counter, 2 gauge, 3 histogram); None when the table is full.");
  module.def("metric_rows", rows,
             "(kind, key, pid of a gauge's process, bounds, values) of this process and its workers.");
  module.def("metrics_refused", refused, "How many series found no room.");
}

}  // namespace mobula::python
