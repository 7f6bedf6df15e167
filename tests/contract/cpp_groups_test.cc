// Placement groups of the C++ API over a real node, by our names and by Ray's.
#include <mobula/ray.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "cpp_world.h"

namespace cpp_groups {

using mobula::CreatePlacementGroup;
using mobula::PlacementGroup;
using mobula::PlacementStrategy;
using mobula::RemovePlacementGroup;
using mobula::thrown;

int SumInside(int a, int b) { return a + b; }
int SleepInside(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}
/// How many milli-seconds two children take that sleep 150 each: they share the bundle, or do not.
int TimeOfChildren() {
  auto begun = std::chrono::steady_clock::now();
  auto first = mobula::Task(SleepInside).Remote(150), second = mobula::Task(SleepInside).Remote(150);
  first.Get();
  second.Get();
  auto took = std::chrono::steady_clock::now() - begun;
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
}
MOBULA_REMOTE(SumInside, SleepInside, TimeOfChildren);

class GroupMember {
 public:
  static GroupMember* Create() { return new GroupMember; }
  int Pid() { return getpid(); }
};
MOBULA_REMOTE(GroupMember::Create, &GroupMember::Pid);

class CppGroups : public mobula::CppWorld {
 protected:
  static double free_cpus() { return mobula::AvailableResources()["CPU"]; }
};

TEST_F(CppGroups, ReservesItsBundlesAndGivesThemBack) {
  PlacementGroup group = CreatePlacementGroup({.name = "pair", .bundles = {{{"CPU", 1}}, {{"CPU", 0.5}}}});
  EXPECT_TRUE(group.WaitReady(10'000));
  EXPECT_TRUE(group.Wait(10));
  EXPECT_DOUBLE_EQ(free_cpus(), 0.5);
  EXPECT_EQ(mobula::GetPlacementGroup("pair").id(), group.id());
  EXPECT_EQ(mobula::GetPlacementGroupById(group.GetID()).GetState(), mobula::PlacementGroupState::CREATED);
  EXPECT_EQ(mobula::GetPlacementGroup("pair").GetBundles(), group.GetBundles());
  RemovePlacementGroup(group.GetID());
  EXPECT_DOUBLE_EQ(free_cpus(), 2);
  EXPECT_TRUE(mobula::GetPlacementGroup("pair").Empty());
  ASSERT_EQ(mobula::GetAllPlacementGroups().size(), 1u);
  EXPECT_EQ(mobula::GetAllPlacementGroups()[0].GetState(), mobula::PlacementGroupState::REMOVED);
  thrown<mobula::RayException>([&] { group.WaitReady(); });
}

TEST_F(CppGroups, TasksAndActorsRunInBundles) {
  PlacementGroup group = CreatePlacementGroup({.bundles = {{{"CPU", 1}}, {{"CPU", 1}}}});
  EXPECT_EQ(*mobula::Task(SumInside).SetPlacementGroup(group, 0).Remote(1, 2).Get(), 3);
  EXPECT_EQ(*mobula::Task(SumInside).SetPlacementGroup(group, -1).Remote(3, 4).Get(), 7);
  auto member =
      mobula::Actor(&GroupMember::Create).SetResource("CPU", 1).SetPlacementGroup(group, 1).Remote();
  EXPECT_GT(*member.Task(&GroupMember::Pid).Remote().Get(), 0);
  auto plain = mobula::Task(SumInside).Remote(1, 1);
  EXPECT_FALSE(mobula::Wait(std::vector{plain}, 1, 50).ready.size() > 0) << "all CPUs are the group's";
  RemovePlacementGroup(group);
  EXPECT_EQ(*plain.Get(), 2);
  thrown<mobula::RayActorException>([&] { member.Task(&GroupMember::Pid).Remote().Get(); });
}

TEST_F(CppGroups, ChildrenShareTheBundleThatCapturesThem) {
  PlacementGroup group = CreatePlacementGroup({.bundles = {{{"CPU", 1}}}});
  auto captured =
      mobula::Task(TimeOfChildren).SetPlacementGroup(group, 0).SetPlacementGroupCaptureChildTasks(true);
  EXPECT_GE(*captured.Remote().Get(), 290);
  RemovePlacementGroup(group);
}

TEST_F(CppGroups, RemovalFailsWhatRunsAndWhatWaits) {
  PlacementGroup group = CreatePlacementGroup({.bundles = {{{"CPU", 1}}}});
  auto running = mobula::Task(SleepInside).SetPlacementGroup(group, 0).Remote(60'000);
  auto queued = mobula::Task(SleepInside).SetPlacementGroup(group, 0).Remote(60'000);
  RemovePlacementGroup(group);
  for (auto* task : {&running, &queued}) {
    EXPECT_NE(thrown<mobula::RayException>([&] { task->Get(); }).find("was removed"), std::string::npos);
  }
}

TEST_F(CppGroups, WhatMakesNoSenseIsRefused) {
  thrown<mobula::RayValueException>([] { CreatePlacementGroup({}); });
  thrown<mobula::RayValueException>([] { CreatePlacementGroup({.bundles = {{{"CPU", 0}}}}); });
  thrown<mobula::RayValueException>([] { CreatePlacementGroup({.bundles = {{{"CPU", -1}}}}); });
  thrown<mobula::RayValueException>(
      [] { CreatePlacementGroup({.bundles = {{{"CPU", 1}}}, .strategy = PlacementStrategy::UNRECOGNIZED}); });
  thrown<mobula::RayValueException>([] { RemovePlacementGroup(std::string("no id")); });
  PlacementGroup impossible = CreatePlacementGroup(
      {.bundles = {{{"CPU", 1}}, {{"CPU", 1}}}, .strategy = PlacementStrategy::STRICT_SPREAD});
  EXPECT_FALSE(impossible.WaitReady(50));
  auto nowhere = mobula::Task(SumInside).SetPlacementGroup(impossible, 7).Remote(1, 2);
  EXPECT_NE(thrown<mobula::RayException>([&] { nowhere.Get(); }).find("no bundle 7"), std::string::npos);
  RemovePlacementGroup(impossible);
}

TEST_F(CppGroups, RaysNamesAreThere) {
  ray::PlacementGroupCreationOptions options{"ray's", {{{"CPU", 1}}}, ray::PlacementStrategy::PACK};
  ray::PlacementGroup group = ray::CreatePlacementGroup(options);
  EXPECT_TRUE(group.Wait(10));
  EXPECT_EQ(ray::GetPlacementGroup("ray's").GetName(), "ray's");
  EXPECT_EQ(*ray::Task(SumInside).SetPlacementGroup(group, 0).Remote(1, 2).Get(), 3);
  ray::RemovePlacementGroup(group.GetID());
  EXPECT_EQ(ray::GetPlacementGroupById(group.GetID()).GetState(), ray::PlacementGroupState::REMOVED);
}

}  // namespace cpp_groups
