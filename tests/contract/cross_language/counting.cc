// The C++ functions and the actor that Python calls in test_cross_language.py.
#include <mobula/api.h>

#include <numeric>
#include <stdexcept>

struct Point {
  double x = 0, y = 0;
  MOBULA_SERIALIZE(x, y);
};

int Add(int a, int b) { return a + b; }
double Sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }
bool IsAligned(std::span<const double> values) {
  return reinterpret_cast<uintptr_t>(values.data()) % 64 == 0;
}
std::vector<float> Range(int count) {
  std::vector<float> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.f);
  return values;
}
Point Mirror(const Point& point) { return {point.y, point.x}; }
mobula::Any Echo(const mobula::Any& value) { return value; }
int Fail(const std::string& why) { throw std::domain_error(why); }
int SumOf(const std::vector<mobula::ObjectRef<int>>& refs) {
  int sum = 0;
  for (const auto& value : mobula::Get(refs)) sum += *value;
  return sum;
}
mobula::Generator<std::vector<float>> Growing(int count) {
  for (int i = 1; i <= count; ++i) co_yield std::vector<float>(static_cast<size_t>(i) * 50'000, 1.f);
}
int AddInTask(int a) { return *mobula::Task(Add).Remote(a, 1).Get(); }

class Counter {
 public:
  explicit Counter(int start) : count_(start) {}
  static Counter* Create(int start) { return new Counter(start); }
  int Add(int x) { return count_ += x; }
  mobula::Generator<int> Ticks(int count) {
    for (int i = 0; i < count; ++i) co_yield ++count_;
  }
  int Fail() { throw std::runtime_error("the counter is stuck"); }

 private:
  int count_;
};
int UseCounter(const mobula::ActorHandle<Counter>& counter, int x) {
  return *counter.Task(&Counter::Add).Remote(x).Get();
}

MOBULA_REMOTE(Add, Sum, IsAligned, Range, Mirror, Echo, Fail, SumOf, Growing, AddInTask, UseCounter);
MOBULA_REMOTE(Counter::Create, &Counter::Add, &Counter::Ticks, &Counter::Fail);
