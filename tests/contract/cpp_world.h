// What the contract tests of the C++ API share: a small engine around each test, which has to be empty at its
// end.
#pragma once

#include <gtest/gtest.h>
#include <mobula/api.h>

#include <chrono>
#include <thread>

#include "api/session.h"

namespace mobula {

class CppWorld : public testing::Test {
 protected:
  virtual Config config() const {
    Config config;
    config.num_cpus = 2;
    config.num_gpus = 0;
    config.object_store_memory = 64 << 20;
    return config;
  }

  void SetUp() override { Init(config()); }

  void TearDown() override {
    if (!IsInitialized()) return;
    if (!HasFailure()) expect_empty();
    Shutdown();
  }

  static EngineStats stats() { return internal::require_session()->engine().stats(); }

  /// All references are gone, so nothing is left in the arena. Releases of workers take a moment to arrive.
  static void expect_empty() {
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
    while (stats().arena_used_bytes + stats().objects > 0 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    EXPECT_EQ(stats().arena_used_bytes, 0u);
    EXPECT_EQ(stats().objects, 0u);
    EXPECT_EQ(stats().objects_pinned, 0u);
  }
};

/// The message of the exception of type E that `run` throws.
template <typename E, typename Run>
std::string thrown(Run run) {
  try {
    run();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another exception: " << error.what();
    return "";
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

}  // namespace mobula
