// Arguments of a call to bytes: references by name, small values inline, large ones through the arena.
#include <cstring>

#include "bind/core/call_site.h"
#include "bind/core/plain.h"
#include "bind/core/template.h"
#include "worker/python_codec.h"

namespace mobula::python {
namespace {

constexpr size_t kArgumentsInlineMax = 512 * 1024;  // of one call, before values go to the arena one by one
constexpr size_t kAlwaysInline = 1024;

/// None, bool, int and float: most arguments, encoded without an allocation.
bool write_scalar(PyObject* value, std::string_view keyword, ArgumentWriter& writer) {
  struct {
    EnvelopeHeader header;
    char meta[8];
  } envelope;
  envelope.header = {};
  if (value == Py_None || value == Py_True || value == Py_False) {
    envelope.header.tag = value == Py_None ? Tag::kNone : value == Py_True ? Tag::kTrue : Tag::kFalse;
  } else if (PyLong_CheckExact(value)) {
    int overflow = 0;
    int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow) return false;
    envelope.header.tag = Tag::kInt;
    envelope.header.meta_bytes = sizeof number;
    std::memcpy(envelope.meta, &number, sizeof number);
  } else if (PyFloat_CheckExact(value)) {
    double number = PyFloat_AS_DOUBLE(value);
    envelope.header.tag = Tag::kFloat;
    envelope.header.meta_bytes = sizeof number;
    std::memcpy(envelope.meta, &number, sizeof number);
  } else {
    return false;
  }
  writer.value(keyword, {reinterpret_cast<const char*>(&envelope),
                         sizeof envelope.header + envelope.header.meta_bytes});
  return true;
}

struct Encoder {
  Session* current;
  TaskSpec* spec;
  CallHold* hold;
  ArgumentWriter writer;

  bool reference(PyObject* ref, std::string_view keyword) {
    ObjectId id = id_of_ref(ref);
    if (!check_session(current, id)) return false;
    spec->refs.push_back(id);
    writer.reference(keyword);
    return true;
  }

  bool inline_value(Encoded& encoded, const EnvelopePlan& plan, std::string_view keyword) {
    std::string bytes(plan.total_bytes(), '\0');
    encoded.write(plan, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    writer.value(keyword, bytes);
    spec->nested.insert(spec->nested.end(), encoded.contained.begin(), encoded.contained.end());
    return true;
  }

  bool through_the_store(Encoded& encoded, std::string_view keyword) {
    Value out;
    if (!to_value(current, encoded, &out)) return false;
    Result<ObjectId> id = current->engine->put(std::move(out));
    if (!id.is_ok()) return set_error(id.status()), false;
    note_call_site(current, id->task, "(put object)");
    hold->put(*id);
    spec->refs.push_back(*id);
    writer.reference(keyword);
    return true;
  }

  bool value(PyObject* value, std::string_view where, std::string_view keyword) {
    Encoded encoded;
    bool cpp = spec->language == Language::kCpp;
    if (!(cpp ? encode_plain(value, where, &encoded) : encode(value, where, &encoded))) return false;
    EnvelopePlan plan = encoded.plan();
    size_t total = plan.total_bytes();
    hold->keep(encoded.kept);
    bool small = total <= kAlwaysInline ||
                 (total <= kInlineBytesMax && spec->args.size() + total <= kArgumentsInlineMax);
    if (small) return inline_value(encoded, plan, keyword);
    return through_the_store(encoded, keyword);
  }
};

}  // namespace

bool encode_arguments(Session* current, const Signature& signature, const CallArguments& arguments,
                      TaskSpec* spec, CallHold* hold) {
  Encoder encoder{current, spec, hold, ArgumentWriter(spec->args)};
  size_t positional = static_cast<size_t>(arguments.positional);
  for (size_t i = 0; i < arguments.count(); ++i) {
    PyObject* value = arguments.values[i];
    std::string_view keyword;
    if (i >= positional &&
        !utf8_of(PyTuple_GET_ITEM(arguments.keyword_names, static_cast<Py_ssize_t>(i - positional)),
                 &keyword)) {
      return false;
    }
    if (is_ref(value)) {
      if (!encoder.reference(value, keyword)) return false;
      continue;
    }
    if (write_scalar(value, keyword, encoder.writer)) continue;
    std::string where = "argument ";
    if (keyword.empty())
      where += signature.name_of(i);
    else
      where.append("'").append(keyword).append("'");
    where.append(" of ").append(spec->name);
    if (!encoder.value(value, where, keyword)) return false;
  }
  return true;
}

}  // namespace mobula::python
