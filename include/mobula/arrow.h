// Arrow tables as values, for programs that link Arrow. A table is written once, into the arena, as an IPC
// stream; reading it copies nothing: its columns point into the arena and keep the object there.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/reader.h>
#include <arrow/ipc/writer.h>
#include <arrow/table.h>

#include <memory>
#include <utility>

#include <mobula/codec.h>

namespace mobula::inline v1 {
namespace internal {

/// Arena memory as an Arrow buffer.
class HeldArrowBuffer : public arrow::Buffer {
 public:
  explicit HeldArrowBuffer(ArrowStream stream)
      : arrow::Buffer(stream.data.data(), static_cast<int64_t>(stream.data.size())),
        owner_(std::move(stream.owner)) {}

 private:
  std::shared_ptr<const void> owner_;
};

inline void expect_arrow(const arrow::Status& status) {
  if (!status.ok()) throw RayValueException("Arrow: " + status.ToString());
}
template <typename T>
T expect_arrow(arrow::Result<T> result) {
  expect_arrow(result.status());
  return std::move(result).ValueUnsafe();
}

inline void write_arrow(arrow::io::OutputStream& out, const arrow::Table& table) {
  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.alignment = 64;
  auto writer = expect_arrow(arrow::ipc::MakeStreamWriter(&out, table.schema(), options));
  expect_arrow(writer->WriteTable(table));
  expect_arrow(writer->Close());
}

}  // namespace internal

/// A table that reads a stream in place.
inline std::shared_ptr<arrow::Table> ToTable(ArrowStream stream) {
  auto source = std::make_shared<arrow::io::BufferReader>(std::static_pointer_cast<arrow::Buffer>(
      std::make_shared<internal::HeldArrowBuffer>(std::move(stream))));
  auto reader = internal::expect_arrow(arrow::ipc::RecordBatchStreamReader::Open(source));
  return internal::expect_arrow(reader->ToTable());
}

template <>
struct Codec<std::shared_ptr<arrow::Table>> {
  static void encode(ValueWriter& out, const std::shared_ptr<arrow::Table>& table) {
    if (table == nullptr) return out.null();
    arrow::io::MockOutputStream counter;
    internal::write_arrow(counter, *table);
    out.arrow(static_cast<size_t>(counter.GetExtentBytesWritten()), [table](std::span<uint8_t> place) {
      auto buffer = std::make_shared<arrow::MutableBuffer>(place.data(), static_cast<int64_t>(place.size()));
      arrow::io::FixedSizeBufferWriter writer(buffer);
      internal::write_arrow(writer, *table);
    });
  }
  static std::shared_ptr<arrow::Table> decode(ValueReader& in) {
    if (in.kind() == ItemKind::kNull) return in.null(), nullptr;
    return ToTable(in.arrow());
  }
};

template <>
struct Codec<std::shared_ptr<arrow::RecordBatch>> {
  static void encode(ValueWriter& out, const std::shared_ptr<arrow::RecordBatch>& batch) {
    if (batch == nullptr) return out.null();
    auto table = internal::expect_arrow(arrow::Table::FromRecordBatches(batch->schema(), {batch}));
    Codec<std::shared_ptr<arrow::Table>>::encode(out, table);
  }
  static std::shared_ptr<arrow::RecordBatch> decode(ValueReader& in) {
    auto table = Codec<std::shared_ptr<arrow::Table>>::decode(in);
    return table == nullptr ? nullptr : internal::expect_arrow(table->CombineChunksToBatch());
  }
};

}  // namespace mobula::inline v1
