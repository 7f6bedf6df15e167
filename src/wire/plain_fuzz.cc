// Reads plain values from arbitrary bytes: every item, then again by skipping; and errors.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "wire/plain.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace mobula;
  auto walk = [](std::span<const uint8_t> bytes) {
    auto cursor = PlainCursor::open(bytes);
    if (!cursor.is_ok()) return;
    PlainCursor skipping = *cursor;
    uint64_t sum = 0;
    for (; !cursor->at_end(); cursor->advance()) {
      for (uint8_t byte : cursor->item().bytes) sum += byte;
      sum += cursor->item().actor.class_name.size() + cursor->item().shape.size();
    }
    skipping.skip();
    CHECK(skipping.at_end());
    asm volatile("" : : "r"(sum));  // the reads must not be optimised away
  };
  walk({data, size});
  // The same bytes as the items of an envelope with two buffers, so that the fuzzer need not guess a header.
  const size_t sizes[] = {64, 12};
  EnvelopePlan plan(Tag::kPlain, size, sizes);
  std::vector<uint8_t> wrapped(plan.total_bytes());
  plan.write_head(wrapped, {reinterpret_cast<const char*>(data), size});
  walk(wrapped);
  (void)decode_error(wrapped).is_ok();
  return 0;
}
