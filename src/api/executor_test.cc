// Running C++ calls from their bytes: values, actors, mistakes of the caller, what user code throws; the C
// entry.
#include "api/executor.h"

#include <gtest/gtest.h>
#include <mobula/api.h>
#include <mobula/entry.h>

#include "api/session.h"
#include "wire/envelope.h"
#include "wire/plain.h"

namespace executor_test {

using mobula::Assignment;
using mobula::PayloadKind;
namespace internal = mobula::internal;

int Twice(int x) { return 2 * x; }
std::string Join(const std::vector<std::string>& words) {
  std::string all;
  for (const auto& word : words) all += word;
  return all;
}
int Fail() { throw std::out_of_range("too far"); }
int Stop() { mobula::ExitActor(); }
mobula::Generator<int> Count(int end) {
  for (int i = 0; i < end; ++i) co_yield i;
}
class Tally {
 public:
  static Tally* Make(int start) { return new Tally(start); }
  static Tally* MakeNone() { return nullptr; }
  explicit Tally(int start) : sum_(start) { ++alive; }
  ~Tally() { --alive; }
  int Add(int x) { return sum_ += x; }
  void Leave() { mobula::ExitActor(); }
  inline static int alive = 0;

 private:
  int sum_;
};
MOBULA_REMOTE(Twice, Join, Fail, Stop, Count, Tally::Make, Tally::MakeNone, &Tally::Add, &Tally::Leave);

template <typename T>
std::string encode(const T& value) {
  mobula::ValueWriter out;
  out.write(value);
  return std::move(internal::make_value(nullptr, out)->bytes);
}

template <typename T>
T decode(const std::string& bytes) {
  return mobula::ValueReader({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, nullptr)
      .read<T>();
}

template <typename... Args>
std::string arguments(const Args&... args) {
  std::string list;
  (mobula::ArgumentWriter(list).value("", encode(args)), ...);
  return list;
}

Assignment task(const std::string& name, std::string args) {
  Assignment assignment;
  assignment.language = mobula::Language::kCpp;
  assignment.function = internal::cpp_function_id(name);
  assignment.definition = assignment.name = name;
  assignment.args = std::move(args);
  return assignment;
}

class ExecutorTest : public testing::Test {
 protected:
  mobula::Value run(const Assignment& assignment) {
    last_ = executor_.execute(assignment, never_).outcome;
    EXPECT_EQ(last_.values.size(), 1u);
    return std::move(last_.values.at(0));
  }
  mobula::PlainError error_of(const Assignment& assignment) {
    mobula::Value value = run(assignment);
    EXPECT_EQ(value.kind, PayloadKind::kTaskError);
    return std::move(mobula::decode_error(
                         {reinterpret_cast<const uint8_t*>(value.bytes.data()), value.bytes.size()}))
        .value();
  }

  const std::atomic<bool> never_ = false;
  internal::Executor executor_{nullptr};
  mobula::Outcome last_;
};

TEST_F(ExecutorTest, AFunctionRunsOnItsDecodedArguments) {
  EXPECT_EQ(decode<int>(run(task("Twice", arguments(21))).bytes), 42);
  EXPECT_EQ(decode<std::string>(run(task("Join", arguments(std::vector<std::string>{"a", "b"}))).bytes),
            "ab");
}

TEST_F(ExecutorTest, AReferenceIsReplacedByTheValueThatCameWithIt) {
  std::string list;
  mobula::ArgumentWriter(list).reference("");
  Assignment assignment = task("Twice", list);
  const std::string value = encode(4);
  assignment.refs.push_back(
      {PayloadKind::kValue, {reinterpret_cast<const uint8_t*>(value.data()), value.size()}, {}});
  EXPECT_EQ(decode<int>(run(assignment).bytes), 8);
  assignment.refs.clear();
  EXPECT_NE(error_of(assignment).message.find("did not come"), std::string::npos);
}

TEST_F(ExecutorTest, AGeneratorsItemsAreHandedOverUntilNobodyWantsMore) {
  std::vector<int> taken;
  internal::Executor executor(nullptr, [&](mobula::TaskId, uint32_t index, mobula::Value item) {
    EXPECT_EQ(index, taken.size());
    taken.push_back(decode<int>(item.bytes));
    return taken.size() < 3 ? mobula::Status::ok() : mobula::Status(mobula::Code::kCancelled, "enough");
  });
  Assignment count = task("Count", arguments(2));
  count.returns = mobula::kStreaming;
  EXPECT_TRUE(executor.execute(count, never_).outcome.values.empty());
  EXPECT_EQ(taken, (std::vector<int>{0, 1}));
  taken.clear();
  count.args = arguments(10);
  EXPECT_TRUE(executor.execute(count, never_).outcome.values.empty());
  EXPECT_EQ(taken.size(), 3u);
}

TEST_F(ExecutorTest, AStreamWhereNoneIsWantedAndTheOtherWayRoundAreRefused) {
  EXPECT_NE(error_of(task("Count", arguments(2))).message.find("is a generator"), std::string::npos);
  Assignment count = task("Count", arguments(2));
  count.returns = mobula::kStreaming;
  EXPECT_NE(error_of(count).message.find("cannot run here"), std::string::npos);
  Assignment twice = task("Twice", arguments(2));
  twice.returns = mobula::kStreaming;
  EXPECT_NE(error_of(twice).message.find("is no generator"), std::string::npos);
}

TEST_F(ExecutorTest, WhatUserCodeThrowsIsTheOutcome) {
  mobula::PlainError error = error_of(task("Fail", ""));
  EXPECT_EQ(error.type, "std::out_of_range");
  EXPECT_EQ(error.message, "too far");
  EXPECT_EQ(error.function, "Fail");
  EXPECT_FALSE(last_.retriable);
  Assignment again = task("Fail", "");
  again.retry_exceptions = true;
  error_of(again);
  EXPECT_TRUE(last_.retriable);
}

TEST_F(ExecutorTest, MistakesOfTheCallerAreNamed) {
  EXPECT_EQ(error_of(task("Twice", arguments(1, 2))).message, "Twice takes 1 arguments, 2 were given");
  EXPECT_EQ(error_of(task("Twice", arguments("x"))).message,
            "argument 1 of Twice: expected an integer, found text of 1 bytes");
  EXPECT_EQ(error_of(task("Missing", "")).type, "mobula::RayFunctionNotFound");
  EXPECT_NE(error_of(task("Tally::Add", arguments(1))).message.find("is a method"), std::string::npos);
  EXPECT_NE(error_of(task("Tally::Make", arguments(1))).message.find("makes an actor"), std::string::npos);
  EXPECT_EQ(Tally::alive, 0);
  EXPECT_NE(error_of(task("Twice", "\x01")).message.find("cut short"), std::string::npos);
  std::string named;
  mobula::ArgumentWriter(named).value("x", encode(1));
  EXPECT_NE(error_of(task("Twice", named)).message.find("keyword"), std::string::npos);
  Assignment many = task("Twice", arguments(1));
  many.returns = 2;
  EXPECT_NE(error_of(many).message.find("one result"), std::string::npos);
  Assignment elsewhere = task("Missing", "");
  elsewhere.definition = "Missing\n/nowhere/lib.so";
  EXPECT_NE(error_of(elsewhere).message.find("/nowhere/lib.so"), std::string::npos);
  EXPECT_NE(error_of(task("Stop", "")).message.find("outside of an actor"), std::string::npos);
}

TEST_F(ExecutorTest, AnActorLivesUntilItIsDropped) {
  Assignment made = task("Tally::Make", arguments(5));
  made.actor = {9};
  made.creates_actor = true;
  EXPECT_EQ(run(made).kind, PayloadKind::kValue);
  EXPECT_EQ(Tally::alive, 1);
  Assignment call = task("", arguments(2));
  call.actor = {9};
  call.method = "Add";
  EXPECT_EQ(decode<int>(run(call).bytes), 7);
  call.method = "Tally::Add";
  EXPECT_EQ(decode<int>(run(call).bytes), 9);
  call.method = "Remove";
  EXPECT_NE(error_of(call).message.find("no registered method 'Remove'"), std::string::npos);
  call.actor = {8};
  EXPECT_EQ(error_of(call).type, "mobula::RayActorException");
  Assignment leave = task("", "");
  leave.actor = {9};
  leave.method = "Leave";
  EXPECT_EQ(run(leave).kind, PayloadKind::kActorDied);
  EXPECT_TRUE(last_.exit_after);
  executor_.drop_actors();
  EXPECT_EQ(Tally::alive, 0);
}

TEST_F(ExecutorTest, AFactoryThatMakesNothingIsAnError) {
  Assignment none = task("Tally::MakeNone", "");
  none.actor = {3};
  none.creates_actor = true;
  EXPECT_NE(error_of(none).message.find("null pointer"), std::string::npos);
  Assignment value = task("Twice", arguments(1));
  value.actor = {4};
  value.creates_actor = true;
  EXPECT_NE(error_of(value).message.find("returns no pointer"), std::string::npos);
}

TEST_F(ExecutorTest, ATaskThatWasCancelledWhileItRanHasNoValue) {
  const std::atomic<bool> cancelled = true;
  EXPECT_EQ(executor_.execute(task("Twice", arguments(1)), cancelled).outcome.values[0].kind,
            PayloadKind::kCancelled);
}

mobula_bytes view(const std::string& text) { return {text.data(), text.size()}; }

TEST(Entry, RunsTasksAndActorsThroughItsCFunctions) {
  mobula_host* host = mobula_open_host();
  const std::string name = "Twice", args = arguments(4), factory = "Tally::Make", start = arguments(1),
                    method = "Add";
  mobula_call call = {};
  call.size = sizeof call;
  call.definition = call.name = view(name);
  call.arguments = view(args);
  mobula_result result = {};
  result.size = sizeof result;
  ASSERT_EQ(mobula_run_cpp(host, &call, &result), 0);
  EXPECT_EQ(result.kind, MOBULA_VALUE);
  EXPECT_EQ(decode<int>(std::string(static_cast<const char*>(result.envelope.data), result.envelope.size)),
            8);
  mobula_free_result(&result);

  call.definition = call.name = view(factory);
  call.arguments = view(start);
  call.actor = 1;
  call.creates_actor = 1;
  ASSERT_EQ(mobula_run_cpp(host, &call, &result), 0);
  EXPECT_EQ(result.kind, MOBULA_VALUE);
  mobula_free_result(&result);
  call.creates_actor = 0;
  call.method = view(method);
  call.arguments = view(args);
  ASSERT_EQ(mobula_run_cpp(host, &call, &result), 0);
  EXPECT_EQ(decode<int>(std::string(static_cast<const char*>(result.envelope.data), result.envelope.size)),
            5);
  mobula_free_result(&result);

  call.method = view(name);
  ASSERT_EQ(mobula_run_cpp(host, &call, &result), 0);
  EXPECT_EQ(result.kind, MOBULA_TASK_ERROR);
  mobula_free_result(&result);
  EXPECT_EQ(mobula_run_cpp(host, nullptr, &result), -1);
  call.size = 1;
  EXPECT_EQ(mobula_run_cpp(host, &call, &result), -1);
  EXPECT_NE(mobula_load_library(host, "/nowhere.so"), nullptr);
  mobula_close_host(host);
  EXPECT_EQ(Tally::alive, 0);
}

}  // namespace executor_test
