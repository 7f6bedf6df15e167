// Writing and reading of values, one item after another: what a Codec is written with. The form is the same
// in every language (lists, maps, text, numbers, tensors), so Python reads what C++ writes and the other way
// round.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <mobula/exception.h>
#include <mobula/handle.h>
#include <mobula/tensor.h>

/// What the compiler says about a type without a codec.
#define MOBULA_NO_CODEC                                                                               \
  "Mobula does not know how to encode this type: write MOBULA_SERIALIZE(fields...) into the struct, " \
  "or specialise mobula::Codec for it"

namespace mobula::inline v1 {

class ValueWriter;
class ValueReader;

/// How a type becomes items and back. Known for numbers, text, containers, optional, tuples, tensors, enums,
/// structs with MOBULA_SERIALIZE; specialise it for the rest:
///
///   template <>
///   struct mobula::Codec<Point> {
///     static void encode(mobula::ValueWriter& out, const Point& point) { out.write(point.x()); }
///     static Point decode(mobula::ValueReader& in) { return Point(in.read<double>()); }
///   };
template <typename T>
struct Codec {};  // not known

/// Whether values of T can be passed, returned and put.
template <typename T>
concept Encodable = requires(ValueWriter& out, const T& value) { Codec<T>::encode(out, value); };

/// Whether values of T can be taken as arguments and results.
template <typename T>
concept Decodable = requires(ValueReader& in) { Codec<T>::decode(in); };

/// Builds one value: exactly one item, where a list or map is one item with all that follows in it.
class ValueWriter {
 public:
  /// Memory that becomes a buffer of the value: copied from `data`, or written by `fill`.
  struct Buffer {
    const void* data = nullptr;
    size_t size = 0;
    std::function<void(std::span<uint8_t>)> fill;
  };

  void null();
  void boolean(bool value);
  void integer(int64_t value);
  void unsigned_integer(uint64_t value);
  void real(double value);
  /// UTF-8 text.
  void text(std::string_view value);
  /// Raw bytes. Like all memory given to a writer, they stay where they are until the value is complete.
  void bytes(std::span<const uint8_t> value);
  /// The head of a list; `count` items follow.
  void list(size_t count);
  void tuple(size_t count);
  void set(size_t count);
  /// The head of a map; `pairs` times a key and a value follow.
  void map(size_t pairs);
  void tensor(DType type, std::span<const int64_t> shape, const void* data);
  /// An Arrow IPC stream of `size` bytes that `fill` writes straight to its place.
  void arrow(size_t size, std::function<void(std::span<uint8_t>)> fill);
  void reference(const internal::ObjectPtr& object);
  void actor(const internal::ActorPtr& actor);

  /// Any value with a Codec. A temporary is kept until the value is complete; a variable has to live that
  /// long.
  template <typename T>
  void write(T&& value) {
    using Plain = std::decay_t<T>;
    static_assert(Encodable<Plain>, MOBULA_NO_CODEC);
    if constexpr (std::is_lvalue_reference_v<T> || std::is_trivially_copyable_v<Plain>) {
      Codec<Plain>::encode(*this, value);
    } else {
      auto kept = std::make_shared<Plain>(std::forward<T>(value));
      Codec<Plain>::encode(*this, *kept);
      keep(std::move(kept));
    }
  }
  /// Keeps memory alive until the value is complete.
  void keep(std::shared_ptr<const void> owner) { kept_.push_back(std::move(owner)); }

  // What the runtime makes an envelope of.
  std::string_view meta() const { return meta_; }
  const std::vector<Buffer>& buffers() const { return buffers_; }
  const std::vector<internal::ObjectPtr>& objects() const { return objects_; }
  const std::vector<internal::ActorPtr>& actors() const { return actors_; }

 private:
  uint32_t add_buffer(Buffer buffer);

  std::string meta_;
  std::vector<Buffer> buffers_;
  std::vector<internal::ObjectPtr> objects_;
  std::vector<internal::ActorPtr> actors_;
  std::vector<std::shared_ptr<const void>> kept_;
};

/// What the next item of a ValueReader is.
enum class ItemKind : uint8_t {
  kNull,
  kBool,
  kInteger,
  kReal,
  kText,
  kBytes,
  kList,  // lists, tuples and sets
  kMap,
  kTensor,
  kArrow,
  kReference,
  kActor,
};

/// Reads the items of one value in order. Each call takes one item and throws RayValueException, with what
/// was expected and what is there, when the item is of another kind.
class ValueReader {
 public:
  /// `owner` keeps the bytes alive; tensors and Arrow streams that are read share it. May be null when the
  /// bytes outlive all that is read from them. RayValueException for bytes that are no value C++ can read.
  ValueReader(std::span<const uint8_t> envelope, std::shared_ptr<const void> owner);
  ValueReader(ValueReader&&) noexcept;
  ValueReader& operator=(ValueReader&&) noexcept;
  ~ValueReader();

  ItemKind kind() const;
  void null();
  bool boolean();
  int64_t integer();
  uint64_t unsigned_integer();
  /// A float, or an integer as one.
  double real();
  /// Text or bytes, in place: valid as long as the value.
  std::string_view text();
  std::span<const uint8_t> bytes();
  /// The head of a list, tuple or set: how many items follow.
  size_t list();
  /// The head of a map: how many pairs of key and value follow.
  size_t map();
  Tensor tensor();
  ArrowStream arrow();
  internal::ObjectPtr reference();
  internal::ActorPtr actor();
  /// Past the next item and all that is in it.
  void skip();

  /// Any value with a Codec.
  template <typename T>
  T read() {
    static_assert(Decodable<T>, MOBULA_NO_CODEC);
    return Codec<T>::decode(*this);
  }

  /// Says that what was read points into the value's bytes, so that they are kept with it.
  void borrow() { borrowed_ = true; }
  bool borrowed() const { return borrowed_; }
  /// Memory that has to live as long as what was read.
  void keep(std::shared_ptr<const void> owner);
  /// All that keeps the bytes and the kept memory alive.
  std::shared_ptr<const void> owner() const;

  /// Throws: "expected <wanted>, found <the next item>".
  [[noreturn]] void mismatch(std::string_view wanted) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
  bool borrowed_ = false;
};

}  // namespace mobula::inline v1
