// Large arrays: written to shared memory once, read in place by every process that asks for them.
#include <mobula/api.h>

#include <algorithm>
#include <iostream>
#include <numeric>

constexpr int64_t kRows = 2000, kColumns = 5000;  // 40 MB of float32

/// Reads its rows where they lie: `matrix` points into shared memory.
double SumOfRows(const mobula::Tensor& matrix, int64_t first, int64_t last) {
  const size_t columns = static_cast<size_t>(matrix.shape()[1]);
  auto values = matrix.as_span<float>().subspan(static_cast<size_t>(first) * columns,
                                                static_cast<size_t>(last - first) * columns);
  return std::accumulate(values.begin(), values.end(), 0.0);
}

/// A std::span takes the numbers of a vector or an array of one dimension, in place too.
float Largest(std::span<const float> values) { return *std::max_element(values.begin(), values.end()); }

MOBULA_REMOTE(SumOfRows, Largest);

int main() {
  mobula::Init();

  mobula::Tensor matrix(mobula::DType::kFloat32, {kRows, kColumns});
  auto numbers = matrix.mutable_span<float>();
  std::iota(numbers.begin(), numbers.end(), 0.f);
  auto shared = mobula::Put(matrix);  // the one copy

  std::vector<mobula::ObjectRef<double>> parts;
  for (int64_t row = 0; row < kRows; row += kRows / 4) {
    parts.push_back(mobula::Task(SumOfRows).Remote(shared, row, row + kRows / 4));
  }
  double sum = 0;
  for (const auto& part : mobula::Get(parts)) sum += *part;
  std::cout << "sum " << sum << "\n";

  auto one = shared.Get(), other = shared.Get();  // no copies: views that keep the object in memory
  std::cout << one->size_bytes() / 1'000'000
            << " MB, the same memory both times: " << (one->data() == other->data() ? "yes" : "no") << "\n";

  auto row = mobula::Put(std::vector<float>(100'000, 2.5f));
  std::cout << "largest " << *mobula::Task(Largest).Remote(row).Get() << "\n";

  mobula::Shutdown();
}
