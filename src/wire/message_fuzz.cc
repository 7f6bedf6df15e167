// Decodes arbitrary bytes as messages, in both directions; what is accepted has to encode to the same bytes.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/check.h"
#include "wire/message_samples.h"
#include "wire/views.h"

namespace {

using mobula::Result;

/// Flags are any byte but come back as one; so the second decoding has to agree with the first.
template <typename Message, typename Decode>
void there_and_back(std::string_view bytes, Decode decode) {
  Result<Message> message = decode(bytes);
  if (!message.is_ok()) return;
  std::string again = encode(*message);
  CHECK(again.size() <= bytes.size());  // a name twice in a map of resources counts once
  Result<Message> second = decode(again);
  CHECK(second.is_ok() && encode(*second) == again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  there_and_back<mobula::UpMessage>(bytes, mobula::decode_up);
  there_and_back<mobula::DownMessage>(bytes, mobula::decode_down);
  (void)mobula::decode_cluster(bytes).is_ok();
  (void)mobula::decode_groups(bytes).is_ok();
  if (size < 3) return 0;
  // Then as a patch of a sound message: which one, how long, and bytes to overwrite.
  static const auto ups = mobula::up_samples();
  static const auto downs = mobula::down_samples();
  size_t which = data[0] % (ups.size() + downs.size());
  std::string patched = which < ups.size() ? encode(ups[which]) : encode(downs[which - ups.size()]);
  for (size_t i = 1; i + 2 < size; i += 3)
    patched[(data[i] | data[i + 1] << 8) % patched.size()] = static_cast<char>(data[i + 2]);
  there_and_back<mobula::UpMessage>(patched, mobula::decode_up);
  there_and_back<mobula::DownMessage>(patched, mobula::decode_down);
  return 0;
}
