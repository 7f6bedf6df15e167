// The zygote: a warm, single-threaded process that forks workers on the node's word and reports their ends.
// It is started by the node (fork + exec of a command line), inherits a control socket and the memory
// segments, and ends, taking its children along, when the node's end of the socket closes. The loop below is
// the same for every language: only what a child does differs.
#pragma once

#include <functional>

#include "worker/worker.h"

namespace mobula {

struct ZygoteHooks {
  std::function<void()> before_fork;  // e.g. PyOS_BeforeFork
  std::function<void()> after_fork_parent;
  std::function<void()> after_fork_child;
  /// Imports named modules while idle, so that later children have them (a hint).
  std::function<void(const std::string& module)> preload;
  /// The node is gone, and so are the workers: removes what the language has left.
  std::function<void()> at_end;
};

/// True when this process was started as a zygote (its environment says which descriptors it inherited).
bool is_zygote_process();

/// Serves fork requests until the node is gone. Returns in each child (with its boot), never in the zygote,
/// which exits the process itself.
WorkerBoot run_zygote(const ZygoteHooks& hooks);

}  // namespace mobula
