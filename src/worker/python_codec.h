// Python values to envelopes and back. Scalars, str and bytes have tags of their own, which every language
// reads; all else is pickled (protocol 5, cloudpickle's rules) with its buffers out of band, and is read back
// as views of the payload. GIL held unless said otherwise. Tests: tests/python/test_core_codec.py.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "wire/envelope.h"
#include "worker/python_object.h"
#include "worker/python_session.h"

namespace mobula::python {

/// A Python value ready to be written: where its bytes are, and the references inside. Keeps the value's
/// buffers.
struct Encoded {
  Tag tag = Tag::kNone;
  std::string scratch;           // meta of scalars
  std::vector<HeldBuffer> meta;  // meta of the rest, in pieces
  std::vector<HeldBuffer> buffers;
  std::vector<ObjectId> contained;
  std::vector<Owned> kept;  // the handles of `contained`: to be held until the engine knows of them

  size_t meta_bytes() const;
  EnvelopePlan plan() const;
  /// Writes it into plan.total_bytes() bytes. Needs no GIL.
  void write(const EnvelopePlan& plan, std::span<uint8_t> out) const;
};

/// False with a Python error set; `where` names the value in it ("argument 'x' of f").
bool encode(PyObject* value, std::string_view where, Encoded* out);

/// Turns it into a Value: inline, or written to the arena when it is large. False with a Python error set.
bool to_value(Session* current, Encoded& encoded, Value* out);

/// The whole way: encoded inline, or in the arena when it is large. False with a Python error set.
bool encode_value(Session* current, PyObject* value, std::string_view where, Value* out,
                  std::vector<Owned>* kept);

/// A new reference, or nullptr with a Python error set. Buffers become views that keep `owner`; without an
/// owner, and where they are not aligned, they are copied.
PyObject* decode(std::span<const uint8_t> envelope, const std::shared_ptr<const void>& owner);

/// A view of part of a payload, copied where it has no owner or is not aligned.
PyObject* view_of(std::span<const uint8_t> bytes, const std::shared_ptr<const void>& owner);

/// Decodes a value, or sets the Python error that the payload stands for and gives nullptr.
PyObject* decode_payload(const Payload& payload);

/// Sets the Python error of a failed engine call.
void set_error(const Status& status);

/// Called by whatever pickles a reference: true when the running encode took note, false outside of any.
bool note_contained(ObjectId id, PyObject* handle);

/// Registers the types that the codec needs with the module. False with a Python error set.
bool add_codec_types(PyObject* module);

}  // namespace mobula::python
