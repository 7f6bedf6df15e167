// A header, an index of offsets, then the records: fixed part, bounds, values, key. Offsets and sizes are
// checked whenever they are read: other processes write here too.
#include "base/metric_table.h"

#include <algorithm>
#include <cstring>

namespace mobula {

struct MetricTable::Head {
  std::atomic<uint32_t> count;              // places of the index that were taken
  std::atomic<uint64_t> used, refused;      // bytes of records; series that found no room
  std::atomic<uint32_t> index[kSeriesMax];  // where a record begins, in units of 8 bytes; 0: not finished
};

struct MetricTable::Record {
  MetricKind kind;
  uint32_t bounds, key_bytes, unused;
  std::atomic<uint64_t> owner;

  static uint32_t values_of(MetricKind kind, uint32_t bounds) {
    return kind == MetricKind::kHistogram ? bounds + 2 : 1;
  }
  uint32_t value_count() const { return values_of(kind, bounds); }
  static uint64_t size(uint64_t bounds, uint64_t values, uint64_t key_bytes) {
    return (sizeof(Record) + 8 * (bounds + values) + key_bytes + 7) & ~7ull;
  }
  double* bounds_at() { return reinterpret_cast<double*>(this + 1); }
  std::atomic<double>* values_at() { return reinterpret_cast<std::atomic<double>*>(bounds_at() + bounds); }
  char* key_at() { return reinterpret_cast<char*>(values_at() + value_count()); }
  std::string_view key() { return {key_at(), key_bytes}; }
};

MetricTable::Head& MetricTable::head() const { return *reinterpret_cast<Head*>(memory_.data()); }

MetricTable::Record* MetricTable::record(uint32_t index) const {
  uint64_t offset = uint64_t{head().index[index].load(std::memory_order_acquire)} * 8;
  if (offset < sizeof(Head) || offset + sizeof(Record) > memory_.size()) return nullptr;
  auto* found = reinterpret_cast<Record*>(memory_.data() + offset);
  uint64_t bytes = Record::size(found->bounds, found->value_count(), found->key_bytes);
  return bytes <= memory_.size() - offset ? found : nullptr;
}

std::optional<MetricSeries> MetricTable::find_or_add(MetricKind kind, std::string_view key,
                                                     std::span<const double> bounds, uint64_t owner,
                                                     const std::function<bool(uint64_t)>& is_gone) {
  auto series = [](Record* record) {
    return MetricSeries({record->bounds_at(), record->bounds}, record->values_at());
  };
  uint32_t count = std::min(head().count.load(), kSeriesMax);
  for (uint32_t i = 0; i < count; ++i) {
    Record* found = record(i);
    if (found == nullptr || found->kind != kind || found->key() != key) continue;
    if (!std::equal(bounds.begin(), bounds.end(), found->bounds_at(), found->bounds_at() + found->bounds))
      continue;
    uint64_t theirs = found->owner.load();
    if (kind != MetricKind::kGauge || theirs == owner) return series(found);
    if (is_gone(theirs) && found->owner.compare_exchange_strong(theirs, owner)) return series(found);
  }
  auto bound_count = static_cast<uint32_t>(bounds.size());
  uint64_t bytes = Record::size(bound_count, Record::values_of(kind, bound_count), key.size());
  uint64_t used = head().used.load();
  bool fits = false;
  do {
    fits = bytes <= memory_.size() - sizeof(Head) - std::min(used, memory_.size() - sizeof(Head));
  } while (fits && !head().used.compare_exchange_weak(used, used + bytes));
  uint32_t place = fits && head().count.load() < kSeriesMax ? head().count.fetch_add(1) : kSeriesMax;
  if (place >= kSeriesMax) {
    head().refused.fetch_add(1);
    return std::nullopt;
  }
  uint64_t offset = sizeof(Head) + used;
  auto* made = reinterpret_cast<Record*>(memory_.data() + offset);
  made->kind = kind;
  made->bounds = bound_count;
  made->key_bytes = static_cast<uint32_t>(key.size());
  made->owner.store(owner);
  std::copy(bounds.begin(), bounds.end(), made->bounds_at());
  key.copy(made->key_at(), key.size());
  head().index[place].store(static_cast<uint32_t>(offset / 8), std::memory_order_release);
  return series(made);
}

std::vector<MetricRow> MetricTable::rows() const {
  std::vector<MetricRow> out;
  uint32_t count = std::min(head().count.load(), kSeriesMax);
  for (uint32_t i = 0; i < count; ++i) {
    Record* found = record(i);
    if (found == nullptr) continue;
    MetricRow row{found->kind, std::string(found->key()), found->owner.load(), {}, {}};
    row.bounds.assign(found->bounds_at(), found->bounds_at() + found->bounds);
    for (uint32_t value = 0; value < found->value_count(); ++value)
      row.values.push_back(found->values_at()[value].load(std::memory_order_relaxed));
    out.push_back(std::move(row));
  }
  return out;
}

uint64_t MetricTable::refused() const { return head().refused.load(); }

void MetricSeries::observe(double value) {
  auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  values_[bucket].fetch_add(1, std::memory_order_relaxed);
  values_[bounds_.size() + 1].fetch_add(value, std::memory_order_relaxed);
}

void MetricSeries::merge(std::span<const double> values) {
  for (size_t i = 0; i < values.size(); ++i) values_[i].fetch_add(values[i], std::memory_order_relaxed);
}

}  // namespace mobula
