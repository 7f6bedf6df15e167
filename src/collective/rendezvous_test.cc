// Members that find one another over a real socket, as threads of this process.
#include "collective/rendezvous.h"

#include <gtest/gtest.h>

#include <thread>

#include "sys/process.h"

namespace mobula::collective {
namespace {

using std::chrono::milliseconds;

std::string meeting(const char* test) { return "mobula-rendezvous-test-" + std::to_string(own_pid()) + test; }

std::vector<Status> join_all(const std::string& name, std::vector<GroupOptions> members) {
  std::vector<Status> answers(members.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < members.size(); ++i) {
    threads.emplace_back([&, i] {
      auto group = join(name, members[i], Interrupted());
      answers[i] = group.is_ok() ? (*group)->barrier(Interrupted()) : group.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

TEST(RendezvousTest, MembersComeInAnyOrder) {
  std::vector<GroupOptions> members;
  for (uint32_t rank : {3, 1, 0, 2}) members.push_back({"any", 4, rank, milliseconds(20'000)});
  for (const Status& answer : join_all(meeting("any"), members))
    EXPECT_TRUE(answer.is_ok()) << answer.to_string();
}

TEST(RendezvousTest, AGroupOfOneNeedsNobody) {
  EXPECT_TRUE(join(meeting("one"), {"one", 1, 0, milliseconds(1000)}, Interrupted()).is_ok());
}

TEST(RendezvousTest, ANameServesOneGroupAfterAnother) {
  for (int again = 0; again < 3; ++again) {
    auto answers =
        join_all(meeting("again"), {{"a", 2, 0, milliseconds(20'000)}, {"a", 2, 1, milliseconds(20'000)}});
    for (const Status& answer : answers) EXPECT_TRUE(answer.is_ok()) << answer.to_string();
  }
}

TEST(RendezvousTest, WhoIsMissingIsNamed) {
  auto answers =
      join_all(meeting("missing"), {{"m", 3, 0, milliseconds(200)}, {"m", 3, 1, milliseconds(5'000)}});
  EXPECT_EQ(answers[0].code(), Code::kTimeout);
  EXPECT_NE(answers[0].message().find("missed rank 2"), std::string::npos) << answers[0].message();
  EXPECT_FALSE(answers[1].is_ok());
  EXPECT_NE(answers[1].message().find("missed rank 2"), std::string::npos) << answers[1].message();
  auto alone = join(meeting("alone"), {"m", 3, 1, milliseconds(50)}, Interrupted());
  EXPECT_EQ(alone.status().code(), Code::kTimeout);
}

TEST(RendezvousTest, SizesThatDisagreeAreRefusedOnBothSides) {
  auto answers =
      join_all(meeting("sizes"), {{"s", 3, 0, milliseconds(20'000)}, {"s", 2, 1, milliseconds(20'000)}});
  for (const Status& answer : answers) {
    EXPECT_EQ(answer.code(), Code::kInvalid);
    EXPECT_NE(answer.message().find("2 members, rank 0 says 3"), std::string::npos) << answer.message();
  }
}

TEST(RendezvousTest, BadRanksAreRefused) {
  EXPECT_EQ(join(meeting("bad"), {"b", 2, 2, milliseconds(50)}, Interrupted()).status().code(),
            Code::kInvalid);
  EXPECT_EQ(join(meeting("bad"), {"b", 0, 0, milliseconds(50)}, Interrupted()).status().code(),
            Code::kInvalid);
}

}  // namespace
}  // namespace mobula::collective
