// How the members of a group find one another: rank 0 makes the segment and listens on a local socket, the
// others connect, say who they are, and get the segment once all are there. Whoever ends, refuses or gives up
// before that is noticed by its socket. Tests: rendezvous_test.cc.
#pragma once

#include <memory>
#include <string>

#include "collective/group.h"

namespace mobula::collective {

/// Waits until all ranks of the group have come, at most `options.timeout`. `meeting` is the socket's name,
/// the same for all members and for nobody else.
Result<std::unique_ptr<Group>> join(const std::string& meeting, const GroupOptions& options,
                                    const Interrupted& interrupted);

}  // namespace mobula::collective
