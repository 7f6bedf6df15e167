// A ring whose memory the other end scribbles over: the input is a script of pushes, pops, take-backs and of
// writes into cursors and data. Nothing outside the ring may be touched, no step may hang, and a sound ring
// gives what was put in.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>

#include "base/check.h"
#include "wire/ring.h"

namespace {

using mobula::Ring;
using mobula::RingHead;

constexpr uint64_t kBytes = 256;

class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), left_(size) {}
  bool at_end() const { return left_ == 0; }
  uint8_t byte() { return left_ == 0 ? 0 : (--left_, *data_++); }
  uint64_t number(int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= uint64_t{byte()} << 8 * i;
    return value;
  }

 private:
  const uint8_t* data_;
  size_t left_;
};

struct Play {
  RingHead head{};
  uint8_t data[kBytes] = {};
  Ring producer{&head, data, kBytes}, consumer{&head, data, kBytes};
  std::deque<std::string> expected;
  bool scribbled = false;

  void push(Script& script) {
    std::string message(script.byte() % (2 * producer.piece_bytes_max()), static_cast<char>(script.byte()));
    size_t done = 0;
    bool all = producer.push(message, &done);
    if (all) expected.push_back(message);
    scribbled |= !all && done > 0;  // half of it is in: the script does not go on with it
  }
  void pop() {
    auto message = consumer.pop();
    if (scribbled) return;
    CHECK(!consumer.damaged());
    CHECK(message.has_value() == !expected.empty());
    if (!message) return;
    CHECK(*message == expected.front());
    expected.pop_front();
  }
  void scribble(Script& script) {
    scribbled = true;
    switch (script.byte() % 4) {
      case 0:
        head.pushed.store(script.number(8));
        break;
      case 1:
        head.claimed.store(script.number(8));
        break;
      case 2:
        head.freed.store(script.number(8));
        break;
      default:
        data[script.byte() % kBytes] = script.byte();
    }
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Script script(data, size);
  Play play;
  while (!script.at_end()) {
    switch (script.byte() % 8) {
      case 0:
      case 1:
      case 2:
        play.push(script);
        break;
      case 3:
      case 4:
      case 5:
        play.pop();
        break;
      case 6:
        (void)play.producer.take_back();
        if (!play.scribbled) play.expected.clear();
        break;
      default:
        play.scribble(script);
    }
  }
  return 0;
}
