// Reads envelopes and argument lists from arbitrary bytes and touches all that they point to.
#include <cstddef>
#include <cstdint>

#include "wire/envelope.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobula;
  uint64_t sum = 0;
  auto touch = [&](std::span<const uint8_t> bytes) {
    for (uint8_t byte : bytes) sum += byte;
  };
  auto read = [&](std::span<const uint8_t> bytes) {
    auto view = parse_envelope(bytes);
    if (!view.is_ok()) return;
    sum += view->meta.empty() ? 0 : static_cast<uint8_t>(view->meta.back());
    for (auto buffer : view->buffers) touch(buffer);
  };
  read({data, size});
  auto arguments = parse_arguments({reinterpret_cast<const char*>(data), size});
  if (arguments.is_ok()) {
    for (const ArgumentView& argument : *arguments) {
      touch(argument.envelope);
      read(argument.envelope);
      sum += argument.keyword.size();
    }
  }
  asm volatile("" : : "r"(sum));  // the reads must not be optimised away
  return 0;
}
