// Values on their way out: what a ValueWriter collects, and the envelope that it becomes.
#include <mobula/serialize.h>

#include <cstring>
#include <limits>

#include "api/session.h"
#include "wire/plain.h"

namespace mobula::inline v1 {
namespace {

uint32_t as_count(size_t count) {
  if (count <= std::numeric_limits<uint32_t>::max()) return static_cast<uint32_t>(count);
  throw RayValueException("a list of " + std::to_string(count) +
                          " items is too long: pass numbers as a vector or a Tensor");
}

}  // namespace

void ValueWriter::null() { PlainWriter(meta_).null(); }
void ValueWriter::boolean(bool value) { PlainWriter(meta_).boolean(value); }
void ValueWriter::integer(int64_t value) { PlainWriter(meta_).integer(value); }
void ValueWriter::unsigned_integer(uint64_t value) { PlainWriter(meta_).unsigned_integer(value); }
void ValueWriter::real(double value) { PlainWriter(meta_).real(value); }

void ValueWriter::text(std::string_view value) {
  as_count(value.size());
  PlainWriter(meta_).string(value);
}

void ValueWriter::bytes(std::span<const uint8_t> value) {
  if (value.size() > kShortBytesMax)
    return PlainWriter(meta_).long_bytes(add_buffer({value.data(), value.size(), {}}));
  PlainWriter(meta_).bytes({reinterpret_cast<const char*>(value.data()), value.size()});
}

void ValueWriter::list(size_t count) { PlainWriter(meta_).list(as_count(count)); }
void ValueWriter::tuple(size_t count) { PlainWriter(meta_).list(as_count(count), PlainKind::kTuple); }
void ValueWriter::set(size_t count) { PlainWriter(meta_).list(as_count(count), PlainKind::kSet); }
void ValueWriter::map(size_t pairs) { PlainWriter(meta_).map(as_count(pairs)); }

void ValueWriter::tensor(DType type, std::span<const int64_t> shape, const void* data) {
  if (shape.size() > kPlainRankMax) {
    throw RayValueException("a tensor of " + std::to_string(shape.size()) + " dimensions; at most " +
                            std::to_string(kPlainRankMax) + " are allowed");
  }
  size_t size = dtype_bytes(type);
  for (int64_t side : shape) size *= static_cast<size_t>(side);
  PlainWriter(meta_).tensor(static_cast<ElementType>(type), shape, add_buffer({data, size, {}}));
}

void ValueWriter::arrow(size_t size, std::function<void(std::span<uint8_t>)> fill) {
  PlainWriter(meta_).arrow(add_buffer({nullptr, size, std::move(fill)}));
}

void ValueWriter::reference(const internal::ObjectPtr& object) {
  const internal::ObjectKey& key = object->key();
  PlainWriter(meta_).reference({TaskId{key.task}, key.index, key.session});
  objects_.push_back(object);
}

void ValueWriter::actor(const internal::ActorPtr& actor) {
  PlainWriter(meta_).actor(internal::plain_of(actor->key()));
  actors_.push_back(actor);
}

uint32_t ValueWriter::add_buffer(Buffer buffer) {
  buffers_.push_back(std::move(buffer));
  return as_count(buffers_.size()) - 1;
}

namespace internal {
namespace {

void write_envelope(const EnvelopePlan& plan, std::string_view meta, const ValueWriter& value,
                    std::span<uint8_t> out) {
  plan.write_head(out, meta);
  size_t at = 0;
  for (const ValueWriter::Buffer& buffer : value.buffers()) {
    std::span<uint8_t> place = plan.buffer(out, at++);
    if (buffer.fill)
      buffer.fill(place);
    else if (buffer.size > 0)
      std::memcpy(place.data(), buffer.data, buffer.size);
  }
}

}  // namespace

std::vector<ObjectId> contained_in(const ValueWriter& value) {
  std::vector<ObjectId> ids;
  for (const ObjectPtr& object : value.objects()) {
    const ObjectKey& key = object->key();
    ids.push_back({TaskId{key.task}, key.index, key.session});
  }
  for (const ActorPtr& actor : value.actors()) ids.push_back(life_of(actor->key()));
  return ids;
}

Result<Value> make_value(Engine* engine, const ValueWriter& value) {
  if (value.meta().empty()) return Status(Code::kInvalid, "a Codec's encode has written nothing");
  const ShortestEnvelope shortest = shortest_envelope(value.meta());
  Value made;
  made.contained = contained_in(value);
  if (value.buffers().empty() && (engine == nullptr || shortest.meta.size() < kInlineBytesMax / 2)) {
    made.bytes = small_envelope(shortest.tag, shortest.meta);
    return made;
  }
  std::vector<size_t> sizes;
  for (const ValueWriter::Buffer& buffer : value.buffers()) sizes.push_back(buffer.size);
  const EnvelopePlan plan(shortest.tag, shortest.meta.size(), sizes);
  const size_t total = plan.total_bytes();
  if (engine == nullptr || total <= kInlineBytesMax) {
    made.bytes.resize(total);
    write_envelope(plan, shortest.meta, value, {reinterpret_cast<uint8_t*>(made.bytes.data()), total});
    return made;
  }
  ASSIGN_OR_RETURN(made.buffer, engine->allocate(total, Deadline::never()));
  write_envelope(plan, shortest.meta, value, made.buffer.data().first(total));
  return made;
}

}  // namespace internal
}  // namespace mobula::inline v1
