// Actors of the C++ API over a real node: order, handles, names, restarts, threads, ends.
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>

#include "cpp_world.h"

namespace cpp_actors {

using mobula::ActorHandle;
using mobula::ObjectRef;
using mobula::thrown;

struct Named {
  std::string label;
  std::string Label() const { return label; }
};

struct Padding {
  virtual ~Padding() = default;
  int64_t filler = -1;
};

class Counter : public Padding, public Named {
 public:
  explicit Counter(int start) : count_(start) { label = "counter"; }
  static Counter* Create() { return new Counter(0); }
  static Counter* Create(int start) { return new Counter(start); }
  static std::unique_ptr<Counter> CreateFailing(const std::string& why) { throw std::runtime_error(why); }

  int Add(int x) { return count_ += x; }
  int Value() const { return count_; }
  const std::vector<int>& Log(int x) {
    log_.push_back(x);
    return log_;
  }
  int Fail() { throw std::logic_error("on purpose"); }
  void Exit() { mobula::ExitActor(); }
  int Crash() { _exit(3); }
  int Pid() { return getpid(); }
  bool WasRestarted() { return mobula::WasCurrentActorRestarted(); }
  int AddTo(const ActorHandle<Counter>& other, int x) { return *other.Task(&Counter::Add).Remote(x).Get(); }
  std::string Namespace() { return mobula::GetNamespace(); }

 private:
  int count_;
  std::vector<int> log_;
};

/// Calls that end only once three of them run at the same time.
class Meeting {
 public:
  static std::shared_ptr<Meeting> Create() { return std::make_shared<Meeting>(); }
  int Join() {
    std::unique_lock held(lock_);
    ++present_;
    all_here_.notify_all();
    return all_here_.wait_for(held, std::chrono::seconds(5), [this] { return present_ >= 3; }) ? 1 : 0;
  }

 private:
  std::mutex lock_;
  std::condition_variable all_here_;
  int present_ = 0;
};

int CallFromTask(ActorHandle<Counter> counter, int x) { return *counter.Task(&Counter::Add).Remote(x).Get(); }
ActorHandle<Counter> MakeInTask(int start) {
  return mobula::Actor(MOBULA_FUNC(Counter::Create, int)).Remote(start);
}

MOBULA_REMOTE(MOBULA_FUNC(Counter::Create), MOBULA_FUNC(Counter::Create, int), Counter::CreateFailing,
              &Counter::Add, &Counter::Value, &Counter::Log, &Counter::Fail, &Counter::Exit, &Counter::Crash,
              &Counter::Pid, &Counter::WasRestarted, &Counter::AddTo, &Counter::Namespace, &Named::Label);
MOBULA_REMOTE(Meeting::Create, &Meeting::Join, CallFromTask, MakeInTask);

auto MakeCounter() { return mobula::Actor(MOBULA_FUNC(Counter::Create, int)); }

class CppActors : public mobula::CppWorld {};

TEST_F(CppActors, AnActorKeepsItsState) {
  auto counter = MakeCounter().Remote(10);
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(5).Get(), 15);
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(1).Get(), 16);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 16);
  auto other = mobula::Actor(MOBULA_FUNC(Counter::Create)).Remote();
  EXPECT_EQ(*other.Task(&Counter::Value).Remote().Get(), 0);
}

TEST_F(CppActors, CallsRunInTheOrderOfTheirSubmission) {
  auto counter = MakeCounter().Remote(0);
  ObjectRef<std::vector<int>> last;
  for (int i = 0; i < 200; ++i) last = counter.Task(&Counter::Log).Remote(i);
  auto log = last.Get();
  ASSERT_EQ(log->size(), 200u);
  EXPECT_TRUE(std::is_sorted(log->begin(), log->end()));
}

TEST_F(CppActors, ReferencesArePassedToMethodsAndFactories) {
  auto counter = MakeCounter().Remote(mobula::Put(100));
  auto one = counter.Task(&Counter::Add).Remote(mobula::Put(1));
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(one).Get(), 202);
}

TEST_F(CppActors, MethodsOfABaseClassAreCalledOnTheRightPart) {
  auto counter = MakeCounter().Remote(1);
  EXPECT_EQ(*counter.Task(&Named::Label).Remote().Get(), "counter");
}

TEST_F(CppActors, HandlesArePassedToTasksAndActors) {
  auto counter = MakeCounter().Remote(1);
  EXPECT_EQ(*mobula::Task(CallFromTask).Remote(counter, 2).Get(), 3);
  auto other = MakeCounter().Remote(0);
  EXPECT_EQ(*other.Task(&Counter::AddTo).Remote(counter, 4).Get(), 7);
  auto made = *mobula::Task(MakeInTask).Remote(50).Get();
  EXPECT_EQ(*made.Task(&Counter::Add).Remote(1).Get(), 51);
}

TEST_F(CppActors, ANamedActorIsFoundAndHeldByItsMaker) {
  EXPECT_FALSE(mobula::GetActor<Counter>("tally").has_value());
  MakeCounter().SetName("tally").Remote(3);
  auto found = mobula::GetActor<Counter>("tally");
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(*found->Task(&Counter::Add).Remote(1).Get(), 4);
  EXPECT_NE(thrown<mobula::RayException>([] { MakeCounter().SetName("tally").Remote(0); }).find("tally"),
            std::string::npos);
  auto same = MakeCounter().SetName("tally").SetGetIfExists(true).Remote(0);
  EXPECT_EQ(*same.Task(&Counter::Value).Remote().Get(), 4);
  EXPECT_FALSE(mobula::GetActor<Counter>("tally", "elsewhere").has_value());
  found->Kill();
  EXPECT_THROW(same.Task(&Counter::Value).Remote().Get(), mobula::RayActorException);
  EXPECT_FALSE(mobula::GetActor<Counter>("tally").has_value());
}

TEST_F(CppActors, AnActorEndsWithItsLastHandleAndDoesItsCallsFirst) {
  auto counter = MakeCounter().Remote(0);
  int pid = *counter.Task(&Counter::Pid).Remote().Get();
  auto last = counter.Task(&Counter::Add).Remote(9);
  counter = {};
  EXPECT_EQ(*last.Get(), 9);
  for (int i = 0; i < 1000 && kill(pid, 0) == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(CppActors, WhatAMethodThrowsLeavesTheActorAlive) {
  auto counter = MakeCounter().Remote(1);
  auto failed = counter.Task(&Counter::Fail).Remote();
  EXPECT_NE(thrown<mobula::RayTaskException>([&] { failed.Get(); }).find("on purpose"), std::string::npos);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 1);
}

TEST_F(CppActors, WhatAFactoryThrowsIsToldByEveryCall) {
  auto broken = mobula::Actor(Counter::CreateFailing).Remote("no such model");
  auto call = [&] { broken.Task(&Counter::Value).Remote().Get(); };
  EXPECT_NE(thrown<mobula::RayActorException>(call).find("no such model"), std::string::npos);
}

TEST_F(CppActors, ExitActorEndsItInOrder) {
  auto counter = MakeCounter().Remote(1);
  auto exiting = counter.Task(&Counter::Exit).Remote();
  EXPECT_NE(thrown<mobula::RayActorException>([&] { exiting.Get(); }).find("ExitActor"), std::string::npos);
  EXPECT_THROW(counter.Task(&Counter::Value).Remote().Get(), mobula::RayActorException);
}

TEST_F(CppActors, AKilledOrCrashedActorIsStartedAnewAsOftenAsItMay) {
  auto counter = MakeCounter().SetMaxRestarts(2).SetMaxTaskRetries(-1).Remote(5);
  EXPECT_EQ(*counter.Task(&Counter::Add).Remote(1).Get(), 6);
  EXPECT_FALSE(*counter.Task(&Counter::WasRestarted).Remote().Get());
  counter.Kill(false);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 5);
  EXPECT_TRUE(*counter.Task(&Counter::WasRestarted).Remote().Get());
  EXPECT_THROW(counter.Task(&Counter::Crash).SetMaxTaskRetries(0).Remote().Get(), mobula::RayActorException);
  EXPECT_EQ(*counter.Task(&Counter::Value).Remote().Get(), 5);
  EXPECT_THROW(counter.Task(&Counter::Crash).SetMaxTaskRetries(0).Remote().Get(), mobula::RayActorException);
  EXPECT_THROW(counter.Task(&Counter::Value).Remote().Get(), mobula::RayActorException);
}

TEST_F(CppActors, MaxConcurrencyRunsCallsAtTheSameTime) {
  auto meeting = mobula::Actor(Meeting::Create).SetMaxConcurrency(3).Remote();
  std::vector<ObjectRef<int>> calls;
  for (int i = 0; i < 3; ++i) calls.push_back(meeting.Task(&Meeting::Join).Remote());
  for (const auto& value : mobula::Get(calls)) EXPECT_EQ(*value, 1);
  EXPECT_THROW(mobula::Actor(Meeting::Create).SetMaxConcurrency(0).Remote(), mobula::RayException);
}

TEST_F(CppActors, TheNamespaceIsTheJobsUnlessSaidOtherwise) {
  auto counter = MakeCounter().SetName("a").Remote(0);
  EXPECT_EQ(*counter.Task(&Counter::Namespace).Remote().Get(), mobula::GetNamespace());
  auto other = MakeCounter().SetName("a", "other").Remote(1);
  EXPECT_EQ(*other.Task(&Counter::Namespace).Remote().Get(), "other");
  EXPECT_EQ(*mobula::GetActor<Counter>("a", "other")->Task(&Counter::Value).Remote().Get(), 1);
  counter.Kill();
  other.Kill();
}

TEST_F(CppActors, AnActorThatWasNeverPlacedHoldsNoReferences) {
  auto counter = MakeCounter().SetResource("unicorn", 1).Remote(mobula::Put(3));
  auto call = counter.Task(&Counter::Value).Remote();
  EXPECT_TRUE(mobula::Wait(std::vector{call}, 1, 30).ready.empty());
  counter.Kill();
  EXPECT_THROW(call.Get(), mobula::RayActorException);
}

}  // namespace cpp_actors
