// Processes that end: workers, actors, the zygote, the driver.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine_world.h"
#include "sys/environment.h"

namespace mobula {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::StartsWith;
constexpr char kDriverVariable[] = "MOBULA_ENGINE_DRIVER";

class EngineDeath : public EngineWorld {
 protected:
  EngineDeath() {
    std::string pattern = (fs::temp_directory_path() / "mobula-test-XXXXXX").string();
    folder = mkdtemp(pattern.data());
  }
  ~EngineDeath() override { fs::remove_all(folder); }
  EmbeddedOptions options() override {
    EmbeddedOptions made = world_options();
    made.spill_folder = folder;
    return made;
  }
  std::string folder;
};

bool is_gone(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return true;
  return text.substr(text.rfind(')') + 2, 1) == "Z";
}

TEST_F(EngineDeath, ATaskThatDiesIsAnErrorWithItsExitCodeAndLastWords) {
  std::string error = text(task("die", "3"));
  EXPECT_THAT(error, StartsWith("error 2"));
  EXPECT_THAT(error, HasSubstr("exit code 3"));
  EXPECT_THAT(error, HasSubstr("these are my last words"));
  EXPECT_EQ(text(task("echo", "after")), "after");
}

TEST_F(EngineDeath, ATaskIsTriedAgainUntilItLives) {
  TaskSpec made = spec("die_until", "4 " + folder + "/tries");
  made.max_retries = 3;
  EXPECT_EQ(text(submit(std::move(made))), "lived after 4");
}

TEST_F(EngineDeath, WorkersKilledAgainAndAgainLoseNoTaskThatMayBeRepeated) {
  std::vector<ObjectId> ids;
  for (int i = 0; i < 200; ++i) {
    TaskSpec made = spec(i % 20 == 0 ? "sleep" : "echo", i % 20 == 0 ? "5" : std::to_string(i));
    made.max_retries = -1;
    ids.push_back(submit(std::move(made)));
    if (i % 10 != 5) continue;
    TaskSpec victim = spec("die_until", "1000000 " + folder + "/victim");
    victim.max_retries = 1;
    ids.push_back(submit(std::move(victim)));
  }
  for (ObjectId id : ids) {
    std::string read = text(id);
    EXPECT_FALSE(read.starts_with("error") && !read.starts_with("error 2")) << read;
  }
}

TEST_F(EngineDeath, AnActorIsMadeAgainAndItsCallsAreRepeatedWhereTheyMayBe) {
  ActorId counter = actor("", 1);
  EXPECT_EQ(text(call(counter, "add", "2")), "2");
  int pid = std::stoi(text(call(counter, "pid")));
  ObjectId lost = call(counter, "sleep", "20000"), repeated = call(counter, "add", "5", 1);
  EXPECT_EQ(get(lost, std::chrono::milliseconds(30)).status().code(), Code::kTimeout);
  kill(pid, SIGKILL);
  EXPECT_THAT(text(lost), StartsWith("error 4"));
  EXPECT_EQ(text(repeated), "5 after a restart");
  kill(std::stoi(text(call(counter, "pid"))), SIGKILL);
  ObjectId late = call(counter, "add", "1");
  EXPECT_TRUE(eventually([&] {
    bool dead = peek(late).starts_with("error 3");
    engine().release(std::exchange(late, call(counter, "add", "1")));
    return dead;
  }));
  engine().release(late);
  engine().release_actor(counter);
}

TEST_F(EngineDeath, AKilledActorSaysWhy) {
  ActorId counter = actor();
  EXPECT_EQ(text(call(counter, "add", "1")), "1");
  ASSERT_TRUE(engine().kill(counter, true).is_ok());
  EXPECT_THAT(text(call(counter, "add", "1")), HasSubstr("kill()"));
  engine().release_actor(counter);
}

TEST_F(EngineDeath, AnActorThatLeavesSaysWhy) {
  ActorId counter = actor("", -1);
  EXPECT_EQ(text(call(counter, "leave", "because")), "left");
  EXPECT_THAT(text(call(counter, "add", "1")), HasSubstr("because"));
  engine().release_actor(counter);
}

TEST_F(EngineDeath, AConstructorThatFailsFailsTheCalls) {
  ActorId counter = actor("bad");
  EXPECT_THAT(text(call(counter, "add", "1")), StartsWith("error 3"));
  engine().release_actor(counter);
}

TEST_F(EngineDeath, AnActorEndsWithItsLastHandle) {
  ActorId counter = actor();
  int pid = std::stoi(text(call(counter, "pid")));
  engine().release_actor(counter);
  EXPECT_TRUE(eventually([&] { return is_gone(pid); }));
}

TEST_F(EngineDeath, AQuickAnswerIsSeenThoughASlowCallFollowsIt) {
  ActorId counter = actor();
  EXPECT_EQ(text(call(counter, "add", "1")), "1");
  std::vector<ObjectId> quick;
  for (int i = 0; i < 10; ++i) quick.push_back(call(counter, "add", "1"));
  ObjectId slow = call(counter, "sleep", "3000");
  auto before = std::chrono::steady_clock::now();
  for (ObjectId id : quick) EXPECT_THAT(text(id), testing::MatchesRegex("[0-9]+"));
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
  EXPECT_EQ(text(slow), "slept 3000");
  engine().release_actor(counter);
}

TEST_F(EngineDeath, WithoutAZygoteEverythingFailsInTimeInsteadOfHanging) {
  int worker = std::stoi(text(task("pid")));
  std::ifstream stat("/proc/" + std::to_string(worker) + "/stat");
  std::string line;
  std::getline(stat, line);
  int zygote = std::stoi(line.substr(line.rfind(')') + 4));
  ASSERT_NE(zygote, getpid());
  ObjectId pending = task("sleep", "60000");
  std::atomic<int> called = 0;
  engine().on_ready({&pending, 1}, [&] { ++called; });
  std::thread waiting(
      [&] { EXPECT_EQ(get(pending, std::chrono::minutes(1)).status().code(), Code::kInternal); });
  kill(zygote, SIGKILL);
  waiting.join();
  EXPECT_TRUE(eventually([&] { return called.load() == 1; }));
  EXPECT_TRUE(eventually([&] { return is_gone(worker); }));
  EXPECT_EQ(get(pending).status().code(), Code::kInternal);
  engine().on_ready({&pending, 1}, [&] { ++called; });
  EXPECT_TRUE(eventually([&] { return called.load() == 2; }));
  stopped = true;
}

TEST_F(EngineDeath, AProgramThatCannotBeAWorkerIsNamed) {
  EmbeddedOptions made = options();
  made.zygote_command = {"/nowhere/to/be/found"};
  auto opened = open_embedded(made);
  ASSERT_FALSE(opened.is_ok());
  EXPECT_THAT(opened.status().message(), HasSubstr("/nowhere/to/be/found"));
}

TEST_F(EngineDeath, AProgramThatEndsAtOnceIsNoWorkerAndSaysSo) {
  EmbeddedOptions made = options();
  made.zygote_command = {"/bin/false"};
  auto opened = open_embedded(made);
  ASSERT_TRUE(opened.is_ok());
  auto stats = (*opened)->find_actor("nobody", "nowhere");
  EXPECT_TRUE(eventually(
      [&] { return (*opened)->find_actor("nobody", "nowhere").status().code() == Code::kInternal; }));
  (*opened)->stop();
}

// ---- the driver -------------------------------------------------------------------------------------

/// Before main(): a driver that is to be killed. It spills, starts an actor, writes its processes' pids, and
/// waits.
const bool kIsDriver = [] {
  auto folder = environment_variable(kDriverVariable);
  if (!folder || environment_variable("MOBULA_ZYGOTE")) return false;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  EmbeddedOptions options = world_options();
  options.arena_bytes = 8 << 20;
  options.spill_folder = *folder;
  auto opened = open_embedded(options);
  if (!opened.is_ok()) _exit(1);
  Engine& engine = **opened;
  for (int i = 0; i < 12; ++i) {
    auto buffer = engine.allocate(1 << 20, Deadline::never());
    if (!buffer.is_ok()) _exit(2);
    Value value;
    value.buffer = *std::move(buffer);
    if (!engine.put(std::move(value)).is_ok()) _exit(3);
  }
  std::vector<ObjectId> ids;
  for (const char* name : {"pid", "pid"}) {
    TaskSpec spec;
    spec.name = name;
    spec.resources["CPU"] = kResourceUnit;
    std::vector<TaskSpec> batch;
    batch.push_back(std::move(spec));
    ids.push_back({engine.submit(std::move(batch))->at(0), 0, engine.session()});
  }
  auto got = engine.get(ids, Deadline::never());
  std::ofstream file(*folder + "/pids.new");
  for (const Payload& payload : *got) file << std::string(payload.data.begin(), payload.data.end()) << "\n";
  file.close();
  fs::rename(*folder + "/pids.new", *folder + "/pids");
  for (;;) pause();
}();

TEST_F(EngineDeath, ADriverThatIsKilledLeavesNoProcessAndNoFile) {
  std::string place = folder + "/driver";
  fs::create_directory(place);
  pid_t driver = fork();
  ASSERT_GE(driver, 0);
  if (driver == 0) {
    setenv(kDriverVariable, place.c_str(), 1);
    execl("/proc/self/exe", "contract_test", nullptr);
    _exit(127);
  }
  ASSERT_TRUE(eventually([&] { return fs::exists(place + "/pids"); }, kSoon));
  std::vector<int> pids;
  std::ifstream file(place + "/pids");
  for (int pid = 0; file >> pid;) pids.push_back(pid);
  ASSERT_EQ(pids.size(), 2u);
  std::ifstream stat("/proc/" + std::to_string(pids[0]) + "/stat");
  std::string line;
  std::getline(stat, line);
  pids.push_back(std::stoi(line.substr(line.rfind(')') + 4)));  // the zygote
  auto entries = [&] { return std::distance(fs::directory_iterator(place), fs::directory_iterator()); };
  EXPECT_EQ(entries(), 2) << "the pids and a folder of spilled values";
  kill(driver, SIGKILL);
  waitpid(driver, nullptr, 0);
  for (int pid : pids) EXPECT_TRUE(eventually([&] { return is_gone(pid); })) << pid;
  EXPECT_TRUE(eventually([&] { return entries() == 1; })) << "spilled values are left";
}

}  // namespace
}  // namespace mobula
