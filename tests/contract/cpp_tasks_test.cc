// Tasks of the C++ API over a real node: arguments, results, references, nesting, waiting, resources,
// failures.
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "cpp_world.h"

namespace cpp_tasks {

using mobula::ObjectRef;
using mobula::thrown;

int Plus(int a, int b) { return a + b; }
int Zero() { return 0; }
void Nothing() {}
double Half(double value) { return value / 2; }
std::string Repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}
double Sum(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }
std::vector<double> Iota(int count) {
  std::vector<double> values(static_cast<size_t>(count));
  std::iota(values.begin(), values.end(), 0.0);
  return values;
}
int Sleep(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}
int SumOf(const std::vector<ObjectRef<int>>& refs) {
  int sum = 0;
  for (const auto& value : mobula::Get(refs)) sum += *value;
  return sum;
}
int Unresolved(const ObjectRef<int>& ref) { return *ref.Get() + 1; }
ObjectRef<int> Inner(int value) { return mobula::Put(value); }
int Fibonacci(int n) {
  if (n < 2) return n;
  auto one = mobula::Task(Fibonacci).Remote(n - 1);
  auto two = mobula::Task(Fibonacci).Remote(n - 2);
  return *one.Get() + *two.Get();
}
int Pid() { return getpid(); }
int Divide(int a, int b) {
  if (b == 0) throw std::invalid_argument("cannot divide " + std::to_string(a) + " by zero");
  return a / b;
}
int ThrowNumber() { throw 42; }
int CrashUnless(const std::string& file) {
  if (std::filesystem::exists(file)) return 7;
  std::ofstream(file) << "once";
  std::raise(SIGKILL);
  return 0;
}
int ThrowUnless(const std::string& file) {
  if (std::filesystem::exists(file)) return 8;
  std::ofstream(file) << "once";
  throw std::runtime_error("first time");
}
std::string Variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}
std::pair<std::vector<int>, std::string> Gpus() {
  return {mobula::GetGpuIds(), Variable("CUDA_VISIBLE_DEVICES")};
}
int WaitForCancel() {
  while (!mobula::IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return 1;
}
int Overloaded(int a) { return a; }
int Overloaded(int a, int b) { return a * b; }
int Unregistered() { return 1; }

MOBULA_REMOTE(Plus, Zero, Nothing, Half, Repeat, Sum, Iota, Sleep, SumOf, Unresolved, Inner, Fibonacci, Pid,
              Divide);
MOBULA_REMOTE(ThrowNumber, CrashUnless, ThrowUnless, Variable, WaitForCancel, Gpus,
              MOBULA_FUNC(Overloaded, int), MOBULA_FUNC(Overloaded, int, int));

/// The path of a file that is not there yet, and no longer there afterwards.
class FreshFile {
 public:
  explicit FreshFile(const std::string& name)
      : path_(testing::TempDir() + "mobula_" + name + "_" + std::to_string(getpid())) {
    std::filesystem::remove(path_);
  }
  FreshFile(const FreshFile&) = delete;
  FreshFile& operator=(const FreshFile&) = delete;
  ~FreshFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class CppTasks : public mobula::CppWorld {};

TEST_F(CppTasks, ATaskReturnsItsValue) {
  EXPECT_EQ(*mobula::Task(Plus).Remote(1, 2).Get(), 3);
  EXPECT_EQ(*mobula::Get(mobula::Task(Zero).Remote()), 0);
  EXPECT_EQ(*mobula::Task(Repeat).Remote("ab", 3).Get(), "ababab");
  mobula::Task(Nothing).Remote().Get();
}

TEST_F(CppTasks, TasksRunInOtherProcesses) { EXPECT_NE(*mobula::Task(Pid).Remote().Get(), getpid()); }

TEST_F(CppTasks, ArgumentsAreConvertedToTheParametersTypes) {
  EXPECT_EQ(*mobula::Task(Half).Remote(3).Get(), 1.5);
  EXPECT_EQ(*mobula::Task(Plus).Remote(uint8_t{1}, 2L).Get(), 3);
  EXPECT_EQ(*mobula::Task(Sum).Remote(std::vector<double>{1, 2, 3}).Get(), 6);
}

TEST_F(CppTasks, AnOverloadIsChosenByItsParameters) {
  EXPECT_EQ(*mobula::Task(MOBULA_FUNC(Overloaded, int)).Remote(5).Get(), 5);
  EXPECT_EQ(*mobula::Task(MOBULA_FUNC(Overloaded, int, int)).Remote(5, 6).Get(), 30);
}

TEST_F(CppTasks, AReferenceAsAnArgumentIsItsValueThere) {
  auto one = mobula::Task(Plus).Remote(1, 1);
  auto two = mobula::Task(Plus).Remote(one, one);
  auto put = mobula::Put(10);
  EXPECT_EQ(*mobula::Task(Plus).Remote(two, put).Get(), 14);
  EXPECT_EQ(*mobula::Task(Half).Remote(put).Get(), 5.0);
}

TEST_F(CppTasks, AReferenceStaysOneInContainersAndForParametersThatAreOne) {
  std::vector<ObjectRef<int>> refs = {mobula::Put(1), mobula::Task(Plus).Remote(1, 1), mobula::Put(3)};
  EXPECT_EQ(*mobula::Task(SumOf).Remote(refs).Get(), 6);
  EXPECT_EQ(*mobula::Task(Unresolved).Remote(refs[2]).Get(), 4);
}

TEST_F(CppTasks, AReferenceMadeInATaskOutlivesIt) {
  auto outer = mobula::Task(Inner).Remote(77);
  auto inner = *outer.Get();
  outer = {};
  EXPECT_EQ(*inner.Get(), 77);
}

TEST_F(CppTasks, TasksStartTasks) { EXPECT_EQ(*mobula::Task(Fibonacci).Remote(7).Get(), 13); }

TEST_F(CppTasks, LargeArgumentsAndResultsPassThroughTheArena) {
  std::vector<double> large(200'000, 0.5);
  auto sum = mobula::Task(Sum).Remote(large);
  EXPECT_EQ(*sum.Get(), 100'000.0);
  auto numbers = mobula::Task(Iota).Remote(100'000);
  EXPECT_EQ(*mobula::Task(Sum).Remote(numbers).Get(), 4999950000.0);
  EXPECT_EQ(mobula::Get(numbers)->at(99'999), 99'999.0);
}

TEST_F(CppTasks, GetOfManyKeepsTheirOrder) {
  std::vector<ObjectRef<int>> refs;
  for (int i = 0; i < 300; ++i) refs.push_back(mobula::Task(Plus).Remote(i, 0));
  auto values = mobula::Get(refs);
  ASSERT_EQ(values.size(), 300u);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(*values[static_cast<size_t>(i)], i);
}

TEST_F(CppTasks, WaitTellsTheReadyFromTheRest) {
  std::vector<ObjectRef<int>> refs = {mobula::Task(Sleep).Remote(2000), mobula::Put(1)};
  auto result = mobula::Wait(refs, 1, 5000);
  ASSERT_EQ(result.ready.size(), 1u);
  EXPECT_EQ(result.ready.front(), refs[1]);
  EXPECT_EQ(result.unready.front(), refs[0]);
  EXPECT_EQ(mobula::Wait(refs, 2, 10).ready.size(), 1u);
  EXPECT_NE(thrown<mobula::RayException>([&] { mobula::Wait(refs, 3, 10); }).find("3 of 2"),
            std::string::npos);
  mobula::Cancel(refs[0], true);
}

TEST_F(CppTasks, GetThrowsWhenItsTimeIsUp) {
  auto slow = mobula::Task(Sleep).Remote(300);
  EXPECT_THROW(slow.Get(20), mobula::RayTimeoutException);
  EXPECT_THROW(mobula::Get(slow, 0), mobula::RayTimeoutException);
  EXPECT_EQ(*slow.Get(5000), 300);
}

TEST_F(CppTasks, WhatATaskThrowsIsThrownWhereItIsRead) {
  auto bad = mobula::Task(Divide).Remote(7, 0);
  try {
    bad.Get();
    FAIL();
  } catch (const mobula::RayTaskException& error) {
    EXPECT_EQ(error.error().type, "std::invalid_argument");
    EXPECT_EQ(error.error().message, "cannot divide 7 by zero");
    EXPECT_EQ(error.error().function, "Divide");
    EXPECT_EQ(error.error().language, "cpp");
    EXPECT_GT(error.error().pid, 0);
    EXPECT_NE(std::string(error.what()).find("Divide threw std::invalid_argument: cannot divide 7 by zero"),
              std::string::npos);
  }
  EXPECT_NE(thrown<mobula::RayTaskException>([&] { mobula::Task(Plus).Remote(bad, 1).Get(); }).find("Divide"),
            std::string::npos);
  EXPECT_NE(thrown<mobula::RayTaskException>([] { mobula::Task(ThrowNumber).Remote().Get(); }).find("int"),
            std::string::npos);
}

TEST_F(CppTasks, ACrashIsRetriedAndThenReported) {
  const FreshFile twice("crash"), once("crash_once");
  EXPECT_EQ(*mobula::Task(CrashUnless).Remote(twice.path()).Get(), 7);
  auto lost = mobula::Task(CrashUnless).SetMaxRetries(0).Remote(once.path());
  EXPECT_THROW(lost.Get(), mobula::RayWorkerException);
}

TEST_F(CppTasks, AnExceptionIsRetriedOnlyWhereThatIsAskedFor) {
  const FreshFile first("throw"), second("throw_again");
  EXPECT_THROW(mobula::Task(ThrowUnless).Remote(first.path()).Get(), mobula::RayTaskException);
  EXPECT_EQ(*mobula::Task(ThrowUnless).SetRetryExceptions(true).Remote(second.path()).Get(), 8);
}

TEST_F(CppTasks, CancelReachesRunningAndWaitingTasks) {
  auto running = mobula::Task(WaitForCancel).Remote();
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  mobula::Cancel(running);
  EXPECT_THROW(running.Get(5000), mobula::RayTaskCancelledException);
  auto block = mobula::Task(Sleep).SetResource("CPU", 2).Remote(200);
  auto waiting = mobula::Task(Plus).SetResource("CPU", 2).Remote(1, 1);
  mobula::Cancel(waiting);
  EXPECT_THROW(waiting.Get(5000), mobula::RayTaskCancelledException);
  block.Get();
}

TEST_F(CppTasks, ResourcesHoldTasksBack) {
  auto never = mobula::Task(Zero).SetResource("unicorn", 1).Remote();
  EXPECT_TRUE(mobula::Wait(std::vector{never}, 1, 50).ready.empty());
  EXPECT_EQ(mobula::ClusterResources()["CPU"], 2.0);
  EXPECT_NE(
      thrown<mobula::RayException>([] { mobula::Task(Zero).SetResource("CPU", -1).Remote(); }).find("CPU"),
      std::string::npos);
  mobula::Cancel(never);
}

TEST_F(CppTasks, ARuntimeEnvironmentSetsVariables) {
  mobula::RuntimeEnv env;
  env.Set("env_vars", std::map<std::string, std::string>{{"MOBULA_TEST_X", "a \"quoted\" ü"}});
  EXPECT_EQ(*mobula::Task(Variable).SetRuntimeEnv(env).Remote("MOBULA_TEST_X").Get(), "a \"quoted\" ü");
  EXPECT_EQ(*mobula::Task(Variable).Remote("MOBULA_TEST_X").Get(), "");
  EXPECT_THROW(env.Set("pip", std::vector<std::string>{"x"}), mobula::RayRuntimeEnvException);
}

class CppGpus : public CppTasks {
 protected:
  void SetUp() override {
    unsetenv("CUDA_VISIBLE_DEVICES");  // else the logical GPUs stand for the devices that it lists
    CppTasks::SetUp();
  }
  mobula::Config config() const override {
    mobula::Config config = CppTasks::config();
    config.num_gpus = 2;
    return config;
  }
};

TEST_F(CppGpus, ATaskSeesTheGpusOfItsLease) {
  auto whole = mobula::Task(Gpus).SetResource("GPU", 2).Remote().Get();
  EXPECT_EQ(whole->first, (std::vector<int>{0, 1}));
  EXPECT_EQ(whole->second, "0,1");
  auto half = mobula::Task(Gpus).SetResource("GPU", 0.5).Remote().Get();
  ASSERT_EQ(half->first.size(), 1u);
  EXPECT_EQ(half->second, std::to_string(half->first[0]));
  EXPECT_EQ(mobula::Task(Gpus).Remote().Get()->first.size(), 0u);
}

TEST_F(CppTasks, MistakesAreNamed) {
  EXPECT_NE(thrown<mobula::RayFunctionNotFound>([] { mobula::Task(Unregistered); }).find("MOBULA_REMOTE"),
            std::string::npos);
  EXPECT_NE(thrown<mobula::RayException>([] { ObjectRef<int>().Get(); }).find("refers to nothing"),
            std::string::npos);
  EXPECT_NE(thrown<mobula::RayException>([] { mobula::Init(); }).find("twice"), std::string::npos);
  EXPECT_NE(thrown<mobula::RayException>([] {
              mobula::Task(mobula::PyFunction<double>{"math", "sqrt"}).Remote(2.0);
            }).find("Config::python"),
            std::string::npos);
  EXPECT_NE(thrown<mobula::RayException>([] { mobula::ExitActor(); }).find("outside"), std::string::npos);
}

TEST_F(CppTasks, ReferencesOfAnEarlierRunAreRefused) {
  auto old = mobula::Put(1);
  mobula::Shutdown();
  EXPECT_FALSE(mobula::IsInitialized());
  EXPECT_NE(thrown<mobula::RaySystemException>([&] { old.Get(); }).find("Init"), std::string::npos);
  mobula::Init(config());
  EXPECT_NE(thrown<mobula::RaySystemException>([&] { old.Get(); }).find("earlier Init"), std::string::npos);
  EXPECT_EQ(*mobula::Task(Plus).Remote(2, 2).Get(), 4);
}

TEST_F(CppTasks, ManyTasksFromManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> sum = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) sum += *mobula::Task(Plus).Remote(i, 1).Get();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sum, 4 * (4950 + 100));
}

}  // namespace cpp_tasks
