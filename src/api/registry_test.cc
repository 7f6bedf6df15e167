// Names of remote functions: how they are read from MOBULA_REMOTE, found, and told apart.
#include "api/registry.h"

#include <gtest/gtest.h>
#include <mobula/api.h>

namespace registry_test {

struct Ancestor {
  int Inherited() { return 1; }
};
struct Thing : Ancestor {
  static Thing* Make() { return new Thing; }
  static Thing* Make(int, double) { return new Thing; }
  int Use(int x) { return x; }
  int Ask() const noexcept { return 2; }
};
template <typename A, typename B>
int Pick(A, B) {
  return 0;
}
int Free(int) { return 0; }

MOBULA_REMOTE(Free, MOBULA_FUNC(Thing::Make), MOBULA_FUNC(Thing::Make, int, double), &Thing::Use, &Thing::Ask,
              Pick<int, double>, &Ancestor::Inherited);

namespace internal = mobula::internal;

TEST(Registry, NamesAreReadAsTheyAreWritten) {
  EXPECT_EQ(internal::remote_name("Free"), "Free");
  EXPECT_EQ(internal::remote_name(" &Thing::Use "), "Thing::Use");
  EXPECT_EQ(internal::remote_name("MOBULA_FUNC(Thing::Make)"), "Thing::Make");
  EXPECT_EQ(internal::remote_name("RAY_FUNC(Thing::Make, int,double)"), "Thing::Make(int,double)");
  EXPECT_EQ(internal::remote_name("RAY_FUNC(&Thing::Use, std::map<int, int>)"),
            "Thing::Use(std::map<int, int>)");
  EXPECT_EQ(internal::remote_name("Pick<int, double>"), "Pick<int, double>");
  EXPECT_EQ(internal::remote_name(""), "");
  EXPECT_EQ(internal::remote_name("MOBULA_FUNC("), "MOBULA_FUNC(");
}

TEST(Registry, WhatIsRegisteredIsFoundByNameAndByPointer) {
  ASSERT_NE(internal::find_named("Free"), nullptr);
  EXPECT_EQ(&internal::lookup(&Free), internal::find_named("Free"));
  EXPECT_EQ(internal::lookup(MOBULA_FUNC(Thing::Make, int, double)).name, "Thing::Make(int,double)");
  EXPECT_EQ(internal::lookup(MOBULA_FUNC(Thing::Make)).name, "Thing::Make");
  EXPECT_EQ(internal::lookup(&Thing::Ask).name, "Thing::Ask");
  EXPECT_EQ(internal::find_named("RAY_FUNC(Thing::Make)"), internal::find_named("Thing::Make"));
  EXPECT_NE(internal::find_named("Pick<int, double>"), nullptr);
  EXPECT_EQ(internal::find_named("None"), nullptr);
  EXPECT_EQ(internal::name_conflict(), "");
}

TEST(Registry, AFunctionOfTheProgramNamesNoLibrary) { EXPECT_EQ(internal::find_named("Free")->library, ""); }

TEST(Registry, MethodsAreFoundByTheirLastPartOnTheirOwnClass) {
  EXPECT_EQ(internal::find_method("Use", typeid(Thing)), &internal::lookup(&Thing::Use));
  EXPECT_EQ(internal::find_method("Thing::Use", typeid(Thing)), &internal::lookup(&Thing::Use));
  EXPECT_EQ(internal::find_method("Use", typeid(Ancestor)), nullptr);
  EXPECT_EQ(internal::find_method("Free", typeid(Thing)), nullptr);
}

TEST(Registry, AMethodOfABaseClassIsFoundWhereItIsCalled) {
  using Known = internal::Upcast<Thing, Ancestor>;
  EXPECT_TRUE(Known::kKnown);
  EXPECT_NE(internal::find_method("Inherited", typeid(Thing)), nullptr);
  Thing thing;
  EXPECT_EQ(internal::upcast(&thing, typeid(Thing), typeid(Ancestor)), static_cast<Ancestor*>(&thing));
  EXPECT_EQ(internal::upcast(&thing, typeid(Thing), typeid(int)), nullptr);
}

TEST(Registry, IdsAreDigestsOfLanguageAndName) {
  EXPECT_EQ(internal::cpp_function_id("&Thing::Use"), internal::cpp_function_id("Thing::Use"));
  EXPECT_NE(internal::cpp_function_id("a:b"), internal::python_function_id("a", "b"));
  const auto& python = internal::python_function("math", "sqrt");
  EXPECT_TRUE(python.python);
  EXPECT_EQ(python.name, "math:sqrt");
  EXPECT_EQ(python.digest_low, internal::python_function_id("math", "sqrt").low);
  EXPECT_EQ(&python, &internal::python_function("math", "sqrt"));
  EXPECT_EQ(internal::find_named("py:math:sqrt"), nullptr);
}

TEST(Registry, ALibraryThatIsNotThereIsNamed) {
  mobula::Status loaded = internal::load_library("/nowhere/libnone.so");
  EXPECT_EQ(loaded.code(), mobula::Code::kNotFound);
  EXPECT_NE(loaded.message().find("/nowhere/libnone.so"), std::string::npos);
}

}  // namespace registry_test
