// A main for the fuzzers where libFuzzer is absent: runs the entry point on the empty input, on every file of
// the corpus folders named on the command line, and on seeded mutations of each. Same inputs on every run.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;
constexpr size_t kMutationsEach = 300;

std::vector<Input> read_corpus(int count, char** folders) {
  std::vector<Input> inputs = {Input{}, Input(64, 0), Input(64, 0xff)};
  for (int i = 1; i < count; ++i) {
    if (!std::filesystem::is_directory(folders[i])) continue;
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folders[i])) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      std::ifstream stream(file, std::ios::binary);
      inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    }
  }
  return inputs;
}

Input mutated(Input input, std::mt19937_64& random) {
  for (size_t steps = 1 + random() % 8; steps > 0; --steps) {
    const size_t size = input.size();
    switch (random() % 5) {
      case 0:
        input.resize(size == 0 ? 0 : random() % size);
        break;
      case 1:
        input.insert(input.begin() + static_cast<ptrdiff_t>(random() % (size + 1)),
                     static_cast<uint8_t>(random()));
        break;
      case 2:
        if (size > 0) input[random() % size] ^= static_cast<uint8_t>(1u << (random() % 8));
        break;
      case 3:
        if (size > 0) input[random() % size] = static_cast<uint8_t>(random() % 2 ? 0xff : 0x00);
        break;
      default:
        if (size > 0) input[random() % size] = static_cast<uint8_t>(random());
        break;
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<Input> corpus = read_corpus(argc, argv);
  std::mt19937_64 random(1);
  size_t ran = 0;
  for (const Input& input : corpus) {
    LLVMFuzzerTestOneInput(input.data(), input.size());
    ++ran;
    for (size_t i = 0; i < kMutationsEach; ++i, ++ran) {
      const Input other = mutated(input, random);
      LLVMFuzzerTestOneInput(other.data(), other.size());
    }
  }
  std::printf("%zu inputs\n", ran);
  return 0;
}
