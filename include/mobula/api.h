// Mobula's C++ API: tasks, actors and shared objects on one machine. The one header that a program includes.
//
//   int Plus(int a, int b) { return a + b; }
//   MOBULA_REMOTE(Plus);
//
//   int main() {
//     mobula::Init();
//     auto sum = mobula::Task(Plus).Remote(1, 2);
//     std::cout << *sum.Get() << "\n";
//     mobula::Shutdown();
//   }
//
// The program's own binary serves as its workers: they are started from it, and main does not run in them.
// What a function needs there, it gets by its arguments. All calls may be made from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <mobula/actor.h>
#include <mobula/codec.h>
#include <mobula/exception.h>
#include <mobula/generator.h>
#include <mobula/object_ref.h>
#include <mobula/options.h>
#include <mobula/placement_group.h>
#include <mobula/python.h>
#include <mobula/registry.h>
#include <mobula/stream.h>
#include <mobula/task.h>
#include <mobula/tensor.h>
#include <mobula/value.h>

namespace mobula::inline v1 {

/// Starts the engine in this process. RayException when it runs already, or cannot start; the message says
/// why.
void Init();
void Init(const Config& config);

/// Whether Init was called, or this is a worker.
bool IsInitialized();

/// Ends all workers and actors and frees all objects. Without it, the end of the process does the same.
void Shutdown();

/// The namespace of this job's named actors.
std::string GetNamespace();

/// Loads a shared library with MOBULA_REMOTE functions. RayException when it cannot be loaded.
void LoadLibrary(const std::string& path);

/// Resources of all nodes, and what is free of them now.
std::map<std::string, double> ClusterResources();
std::map<std::string, double> AvailableResources();

// ---- in a task or actor
// ----------------------------------------------------------------------------------------------

/// Ends the actor after the call that runs now. The call's result is a RayActorException. Does not return;
/// RayException outside of an actor.
[[noreturn]] void ExitActor();

/// Whether this actor was started anew after its process ended.
bool WasCurrentActorRestarted();

/// Whether someone has cancelled the task that runs now: a long one should look at times, and return.
bool IsCancelled();

/// The logical GPUs of this task or actor. CUDA_VISIBLE_DEVICES says the same.
std::vector<int> GetGpuIds();

/// The id of the task that runs now: 16 hex digits; empty in the driver.
std::string GetCurrentTaskId();

}  // namespace mobula::inline v1
