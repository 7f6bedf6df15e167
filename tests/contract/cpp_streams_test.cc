// Generators of the C++ API over a real node: order, back-pressure, failures, readers that go, workers that
// die.
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "cpp_world.h"

namespace cpp_streams {

using mobula::Generator;
using mobula::ObjectRef;
using mobula::ObjectRefGenerator;
using mobula::thrown;
namespace files = std::filesystem;

Generator<int> Count(int end) {
  for (int i = 0; i < end; ++i) co_yield i;
}
Generator<std::string> Words(const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    co_yield text.substr(at, end - at);
    at = end + 1;
  }
}
Generator<mobula::Tensor> Pictures(int count) {
  for (int i = 0; i < count; ++i) {
    mobula::Tensor picture(mobula::DType::kUint8, {1024, 1024});
    for (uint8_t& pixel : picture.mutable_span<uint8_t>()) pixel = static_cast<uint8_t>(i);
    co_yield picture;
  }
}
int SumOfPixels(const mobula::Tensor& picture) {
  const auto pixels = picture.as_span<uint8_t>();
  return std::accumulate(pixels.begin(), pixels.end(), 0);
}
Generator<int> FailAfter(int count) {
  for (int i = 0; i < count; ++i) co_yield i;
  throw std::out_of_range("no more than " + std::to_string(count));
}
/// Says how far it got by the length of a file.
Generator<int> Traced(const std::string& file, int end) {
  for (int i = 0; i < end; ++i) {
    std::ofstream(file, std::ios::app) << '.';
    co_yield i;
  }
}
Generator<int> CrashOnce(const std::string& file, int end) {
  for (int i = 0; i < end; ++i) {
    if (i == end / 2 && !files::exists(file)) {
      std::ofstream(file) << "once";
      std::raise(SIGKILL);
    }
    co_yield i;
  }
}
Generator<int> Crash() {
  co_yield 1;
  std::raise(SIGKILL);
}
Generator<ObjectRef<int>> Referring(int count) {
  for (int i = 0; i < count; ++i) co_yield mobula::Put(i);
}
Generator<int> Forever() {
  for (int i = 0;; ++i) co_yield i;
}
Generator<int> NeverBegins() {
  while (!mobula::IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  co_return;
}
int One() { return 1; }

class Clock {
 public:
  static Clock* Create(int start) { return new Clock(start); }
  explicit Clock(int now) : now_(now) {}
  Generator<int> Ticks(int count) {
    for (int i = 0; i < count; ++i) co_yield now_++;
  }
  int Now() const { return now_; }

 private:
  int now_;
};

MOBULA_REMOTE(Count, Words, Pictures, SumOfPixels, FailAfter, Traced, CrashOnce, Crash, Referring, Forever,
              NeverBegins, One, Clock::Create, &Clock::Ticks, &Clock::Now);

std::string fresh_file(const char* name) {
  const auto path = files::temp_directory_path() / ("mobula-" + std::to_string(getpid()) + name);
  files::remove(path);
  return path.string();
}

/// A file whose length is read while another process appends to it.
bool grows_to(const std::string& file, uintmax_t size) {
  std::error_code missing;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (std::chrono::steady_clock::now() < until) {
    if (const auto now = files::file_size(file, missing); !missing && now >= size) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

class CppStreams : public mobula::CppWorld {};

TEST_F(CppStreams, AGeneratorGivesItsValuesInOrder) {
  ObjectRefGenerator<int> numbers = mobula::Task(Count).Remote(3);
  EXPECT_FALSE(numbers.ID().empty());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(*numbers.Next()->Get(), i);
  EXPECT_FALSE(numbers.Next());
  EXPECT_FALSE(numbers.Next()) << "and stays at its end";
  std::vector<std::string> words;
  auto stream = mobula::Task(Words).Remote("a ray of light");
  for (const ObjectRef<std::string>& word : stream) words.push_back(*word.Get());
  EXPECT_EQ(words, (std::vector<std::string>{"a", "ray", "of", "light"}));
  auto nothing = mobula::Task(Count).Remote(0);
  EXPECT_FALSE(nothing.Next());
}

TEST_F(CppStreams, AGeneratorIsAnOrdinaryFunctionToo) {
  auto numbers = FailAfter(2);
  EXPECT_EQ(*numbers.next(), 0);
  auto moved = std::move(numbers);
  EXPECT_EQ(*moved.next(), 1);
  EXPECT_THROW(moved.next(), std::out_of_range);
  EXPECT_EQ(moved.next(), nullptr);
}

TEST_F(CppStreams, LargeValuesPassByReferenceFromTaskToTask) {
  auto pictures = mobula::Task(Pictures).SetGeneratorBackpressure(2).Remote(20);
  int count = 0;
  for (const auto& picture : pictures) {
    EXPECT_EQ(*mobula::Task(SumOfPixels).Remote(picture).Get(), count * 1024 * 1024);
    ++count;
  }
  EXPECT_EQ(count, 20);
  EXPECT_LE(stats().arena_peak_bytes, uint64_t{6} << 20) << "20 pictures of 1 MiB, a few at a time";
}

TEST_F(CppStreams, BackpressureHoldsTheTaskBack) {
  const std::string file = fresh_file("-traced");
  auto numbers = mobula::Task(Traced).SetGeneratorBackpressure(3).Remote(file, 1000);
  ASSERT_TRUE(grows_to(file, 3));
  EXPECT_EQ(*mobula::Task(One).Remote().Get(), 1);  // time in which it could have gone on
  EXPECT_EQ(files::file_size(file), 3u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(*numbers.Next()->Get(), i);
  EXPECT_LE(files::file_size(file), 12u);
  files::remove(file);
  EXPECT_NE(thrown<mobula::RayException>([] {
              mobula::Task(Count).SetGeneratorBackpressure(0).Remote(1);
            }).find("1 item at least"),
            std::string::npos);
}

TEST_F(CppStreams, AnErrorIsTheLastItem) {
  auto numbers = mobula::Task(FailAfter).Remote(2);
  EXPECT_EQ(*numbers.Next()->Get(), 0);
  EXPECT_EQ(*numbers.Next()->Get(), 1);
  auto last = numbers.Next();
  ASSERT_TRUE(last);
  const std::string message = thrown<mobula::RayTaskException>([&] { last->Get(); });
  EXPECT_NE(message.find("std::out_of_range: no more than 2"), std::string::npos) << message;
  EXPECT_FALSE(numbers.Next());
}

TEST_F(CppStreams, ACrashIsRetriedWithoutRepeatingItems) {
  const std::string file = fresh_file("-crash");
  std::vector<int> seen;
  auto numbers = mobula::Task(CrashOnce).Remote(file, 20);
  for (const auto& number : numbers) seen.push_back(*number.Get());
  std::vector<int> all(20);
  std::iota(all.begin(), all.end(), 0);
  EXPECT_EQ(seen, all);
  files::remove(file);

  auto crashing = mobula::Task(Crash).SetMaxRetries(0).Remote();
  EXPECT_EQ(*crashing.Next()->Get(), 1);
  auto last = crashing.Next();
  ASSERT_TRUE(last);
  EXPECT_THROW(last->Get(), mobula::RayWorkerException);
  EXPECT_FALSE(crashing.Next());
}

TEST_F(CppStreams, ADroppedReaderEndsTheTask) {
  {
    auto numbers = mobula::Task(Forever).SetGeneratorBackpressure(2).Remote();
    EXPECT_EQ(*numbers.Next()->Get(), 0);
    auto other = mobula::Task(Forever).Remote();  // nothing holds it back
    EXPECT_EQ(*other.Next()->Get(), 0);
  }
  std::vector<ObjectRef<int>> both;  // both CPUs are free again
  for (int i = 0; i < 2; ++i) both.push_back(mobula::Task(One).Remote());
  for (const auto& one : mobula::Get(both)) EXPECT_EQ(*one, 1);
}

TEST_F(CppStreams, CancelEndsAGeneratorWithAnError) {
  auto numbers = mobula::Task(Forever).SetGeneratorBackpressure(1).Remote();
  EXPECT_EQ(*numbers.Next()->Get(), 0);
  mobula::Cancel(numbers);
  auto drain = [&] {
    for (const auto& number : numbers) number.Get();
  };
  EXPECT_THROW(drain(), mobula::RayTaskCancelledException);
}

TEST_F(CppStreams, WaitTellsWhichGeneratorHasSomething) {
  std::vector<ObjectRefGenerator<int>> both{mobula::Task(Forever).SetGeneratorBackpressure(1).Remote(),
                                            mobula::Task(Count).Remote(1)};
  auto ready = mobula::Wait(both, 2, -1).ready;
  EXPECT_EQ(ready.size(), 2u);
  EXPECT_EQ(*both[1].Next()->Get(), 0);
  EXPECT_EQ(mobula::Wait(both, 2, -1).ready.size(), 2u) << "an end is ready too";
  EXPECT_FALSE(both[1].Next());

  auto one = mobula::Wait(both, 1, -1);
  ASSERT_EQ(one.ready.size(), 1u);
  EXPECT_TRUE(one.ready.front() == both[0]);
  EXPECT_TRUE(one.unready.front() == both[1]);
}

TEST_F(CppStreams, NextThrowsWhenItsTimeIsUp) {
  auto late = mobula::Task(NeverBegins).Remote();
  EXPECT_THROW(late.Next(20), mobula::RayTimeoutException);
  EXPECT_TRUE(mobula::Wait(std::vector{late}, 1, 1).ready.empty());
  mobula::Cancel(late);
  auto last = late.Next();
  ASSERT_TRUE(last);
  EXPECT_THROW(last->Get(), mobula::RayTaskCancelledException);
}

TEST_F(CppStreams, ReferencesInsideItemsStayAlive) {
  auto references = mobula::Task(Referring).Remote(5);
  std::vector<ObjectRef<int>> kept;
  for (const auto& item : references) kept.push_back(*item.Get());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(*kept[static_cast<size_t>(i)].Get(), i);
}

TEST_F(CppStreams, MethodsOfActorsStreamToo) {
  auto clock = mobula::Actor(Clock::Create).Remote(10);
  auto ticks = clock.Task(&Clock::Ticks).SetGeneratorBackpressure(2).Remote(4);
  int wanted = 10;
  for (const auto& tick : ticks) EXPECT_EQ(*tick.Get(), wanted++);
  EXPECT_EQ(*clock.Task(&Clock::Now).Remote().Get(), 14);

  clock.Kill();
  auto late = clock.Task(&Clock::Ticks).Remote(1);
  auto item = late.Next();
  ASSERT_TRUE(item);
  EXPECT_THROW(item->Get(), mobula::RayActorException);
  EXPECT_FALSE(late.Next());
}

TEST_F(CppStreams, AGeneratorOfNothingOrOfAnEarlierRunIsRefused) {
  ObjectRefGenerator<int> nothing;
  EXPECT_TRUE(nothing.IsNil());
  EXPECT_THROW(nothing.Next(), mobula::RayException);
  EXPECT_THROW(mobula::Cancel(nothing), mobula::RayException);
  auto numbers = mobula::Task(Count).Remote(1);
  mobula::Shutdown();
  mobula::Init(config());
  EXPECT_THROW(numbers.Next(), mobula::RaySystemException);
  EXPECT_THROW(mobula::Wait(std::vector{numbers}, 1, 0), mobula::RaySystemException);
  EXPECT_THROW(mobula::Cancel(numbers), mobula::RaySystemException);
}

}  // namespace cpp_streams
