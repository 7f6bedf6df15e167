// Ids as text.
#include "base/id.h"

namespace mobula {
namespace {

bool parse_digits(std::string_view digits, uint64_t* out) {
  uint64_t value = 0;
  for (char c : digits) {
    int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (digit < 0) return false;
    value = value << 4 | static_cast<uint64_t>(digit);
  }
  *out = value;
  return true;
}

}  // namespace

std::string to_hex(uint64_t value) {
  std::string text(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) text[i] = "0123456789abcdef"[value & 15];
  return text;
}

std::string to_hex(const ObjectId& id) {
  return to_hex(id.task.value) + to_hex(uint64_t{id.index} << 32 | id.session);
}

bool from_hex(std::string_view text, ObjectId* out) {
  uint64_t low = 0;
  if (text.size() != 32 || !parse_digits(text.substr(0, 16), &out->task.value)) return false;
  if (!parse_digits(text.substr(16), &low)) return false;
  out->index = static_cast<uint32_t>(low >> 32);
  out->session = static_cast<uint32_t>(low);
  return true;
}

}  // namespace mobula
