// Two messages: hello (who I am) and welcome (the segment's descriptor, or why not).
#include "collective/rendezvous.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "sys/local_socket.h"
#include "sys/process.h"

namespace mobula::collective {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kLook{20};  // between two looks at what else may have happened
constexpr milliseconds kRetry{2};  // between two tries to connect
constexpr size_t kTextBytes = 240;

struct Hello {
  uint64_t magic = kGroupMagic;
  uint32_t world = 0, rank = 0;
};
struct Welcome {
  uint64_t magic = kGroupMagic;
  uint32_t accepted = 0;
  char text[kTextBytes] = {};
};

template <typename Message>
std::span<const uint8_t> bytes_of_message(const Message& message) {
  return {reinterpret_cast<const uint8_t*>(&message), sizeof message};
}

template <typename Message>
bool read_message(const LocalMessage& received, Message* out) {
  if (received.bytes.size() != sizeof *out) return false;
  std::memcpy(out, received.bytes.data(), sizeof *out);
  return out->magic == kGroupMagic;
}

/// The end of the wait for the others.
class Patience {
 public:
  Patience(const GroupOptions& options, const Interrupted& interrupted)
      : options_(options), interrupted_(interrupted), started_(Clock::now()) {}
  Status look() const {
    if (interrupted_ && interrupted_()) return {Code::kCancelled, "the wait for the others was interrupted"};
    return Status::ok();
  }
  bool is_over() const { return options_.timeout.count() > 0 && Clock::now() - started_ > options_.timeout; }

 private:
  const GroupOptions& options_;
  const Interrupted& interrupted_;
  Clock::time_point started_;
};

Status failure(const GroupOptions& options, Code code, const std::string& reason) {
  return {code, "collective group '" + options.name + "': " + reason};
}

Result<std::unique_ptr<Group>> enter(const GroupOptions& options, const Descriptor& memory) {
  uint64_t bytes = GroupMemory::bytes(options.world);
  ASSIGN_OR_RETURN(Mapping mapping, Mapping::open(memory.get(), bytes, true));
  GroupMemory view(mapping.data(), options.world);
  auto watches = std::make_shared<std::vector<ProcessWatch>>();
  for (uint32_t rank = 0; rank < options.world; ++rank) watches->emplace_back(view.board(rank).pid);
  auto has_ended = [watches](uint32_t rank) { return (*watches)[rank].has_ended(); };
  return std::make_unique<Group>(options, std::move(mapping), has_ended);
}

// ---- rank 0
// ------------------------------------------------------------------------------------------------

class Host {
 public:
  Host(const GroupOptions& options, Descriptor listener)
      : options_(options), listener_(std::move(listener)) {}

  bool is_complete() const { return guests_.size() + 1 == options_.world; }
  void wait() const {
    std::vector<int> sockets{listener_.get()};
    for (const Descriptor& socket : strangers_) sockets.push_back(socket.get());
    for (const auto& [rank, socket] : guests_) sockets.push_back(socket.get());
    wait_readable(sockets, kLook);
  }
  /// Lets in who connects, listens to who is new, forgets who is gone.
  Status look() {
    Result<Descriptor> made = accept_local(listener_);
    if (made.is_ok()) strangers_.push_back(std::move(*made));
    std::vector<Descriptor> silent;
    for (Descriptor& socket : strangers_) {
      Result<LocalMessage> received = receive_local(socket, sizeof(Hello));
      if (received.is_ok())
        TRY(greet(std::move(socket), *received));
      else if (received.status().code() == Code::kBusy)
        silent.push_back(std::move(socket));
    }
    strangers_ = std::move(silent);
    std::erase_if(guests_, [](const auto& guest) {
      return receive_local(guest.second, sizeof(Hello)).status().code() != Code::kBusy;
    });
    return Status::ok();
  }
  std::string missing() const {
    std::string ranks;
    for (uint32_t rank = 1; rank < options_.world; ++rank) {
      if (guests_.contains(rank)) continue;
      ranks += (ranks.empty() ? "" : ", ") + std::to_string(rank);
    }
    return ranks;
  }
  /// Who has ended since is found dead by the others' watches.
  void welcome_all(const Descriptor& memory, GroupMemory view) {
    view.board(0).pid = own_pid();
    for (const auto& [rank, socket] : guests_) view.board(rank).pid = peer_pid(socket);
    Welcome answer;
    answer.accepted = 1;
    for (const auto& [rank, socket] : guests_)
      (void)send_local(socket, bytes_of_message(answer), memory.get());
  }
  void refuse_all(const std::string& reason) {
    for (const auto& [rank, socket] : guests_) refuse(socket, reason);
  }

 private:
  static void refuse(const Descriptor& socket, const std::string& reason) {
    Welcome answer;
    reason.copy(answer.text, kTextBytes - 1);
    (void)send_local(socket, bytes_of_message(answer));  // one who is gone needs no answer
  }
  Status greet(Descriptor socket, const LocalMessage& received) {
    Hello hello;
    if (!read_message(received, &hello)) {
      refuse(socket, "what it said was not understood");
      return Status::ok();
    }
    std::string reason;
    if (hello.world != options_.world) {
      reason = "rank " + std::to_string(hello.rank) + " says the group has " + std::to_string(hello.world) +
               " members, rank 0 says " + std::to_string(options_.world);
      refuse(socket, reason);
      return {Code::kInvalid, reason};
    }
    if (hello.rank == 0 || hello.rank >= options_.world || guests_.contains(hello.rank)) {
      refuse(socket, "there is a rank " + std::to_string(hello.rank) + " already");
      return Status::ok();
    }
    guests_.emplace(hello.rank, std::move(socket));
    return Status::ok();
  }

  const GroupOptions& options_;
  Descriptor listener_;
  std::vector<Descriptor> strangers_;      // have connected, and said nothing yet
  std::map<uint32_t, Descriptor> guests_;  // by rank
};

Result<Descriptor> open_door(const std::string& meeting, const GroupOptions& options,
                             const Patience& patience) {
  for (;;) {
    Result<Descriptor> listener = listen_local(meeting);
    if (listener.is_ok() || listener.status().code() != Code::kExists) return listener;
    TRY(patience.look());
    if (patience.is_over()) return failure(options, Code::kExists, "there is a rank 0 already");
    wait_readable({}, kLook);
  }
}

Result<std::unique_ptr<Group>> host(const std::string& meeting, const GroupOptions& options,
                                    const Interrupted& interrupted) {
  Patience patience(options, interrupted);
  ASSIGN_OR_RETURN(Descriptor listener, open_door(meeting, options, patience));
  ASSIGN_OR_RETURN(Descriptor memory,
                   create_shared_memory("mobula-collective", GroupMemory::bytes(options.world)));
  Host host(options, std::move(listener));
  while (!host.is_complete()) {
    host.wait();
    if (Status looked = host.look(); !looked.is_ok()) {
      host.refuse_all(looked.message());
      return failure(options, looked.code(), looked.message());
    }
    TRY(patience.look());
    if (!patience.is_over() || host.is_complete()) continue;
    std::string reason =
        "after " + std::to_string(options.timeout.count()) + " ms rank 0 still missed rank " + host.missing();
    host.refuse_all(reason);
    return failure(options, Code::kTimeout, reason);
  }
  ASSIGN_OR_RETURN(Mapping mapping, Mapping::open(memory.get(), GroupMemory::bytes(options.world), true));
  Group::lay_out(mapping.data(), options.world);
  host.welcome_all(memory, GroupMemory(mapping.data(), options.world));
  return enter(options, memory);
}

// ---- the others
// --------------------------------------------------------------------------------------------

Result<Descriptor> knock(const std::string& meeting, const GroupOptions& options, const Patience& patience) {
  for (;;) {
    Result<Descriptor> socket = connect_local(meeting);
    if (socket.is_ok() || socket.status().code() != Code::kNotFound) return socket;
    TRY(patience.look());
    if (patience.is_over()) {
      return failure(options, Code::kTimeout,
                     "rank " + std::to_string(options.rank) + " waited " +
                         std::to_string(options.timeout.count()) + " ms for rank 0, which has not come");
    }
    wait_readable({}, kRetry);
  }
}

Result<std::unique_ptr<Group>> visit(const std::string& meeting, const GroupOptions& options,
                                     const Interrupted& interrupted) {
  Patience patience(options, interrupted);
  ASSIGN_OR_RETURN(Descriptor socket, knock(meeting, options, patience));
  Hello hello;
  hello.world = options.world;
  hello.rank = options.rank;
  TRY(send_local(socket, bytes_of_message(hello)));
  for (;;) {
    Result<LocalMessage> received = receive_local(socket, sizeof(Welcome));
    if (received.is_ok()) {
      Welcome answer;
      if (!read_message(*received, &answer))
        return failure(options, Code::kInvalid, "rank 0 speaks another version of the protocol");
      if (answer.accepted == 0)
        return failure(options, Code::kInvalid,
                       "rank 0 refused rank " + std::to_string(options.rank) + ": " +
                           std::string(answer.text, strnlen(answer.text, kTextBytes)));
      return enter(options, received->passed);
    }
    if (received.status().code() == Code::kLost)
      return failure(
          options, Code::kLost,
          "rank 0 (pid " + std::to_string(peer_pid(socket)) + ") ended or gave up before all had come");
    TRY(patience.look());
    if (patience.is_over()) {
      return failure(options, Code::kTimeout,
                     "rank " + std::to_string(options.rank) + " waited " +
                         std::to_string(options.timeout.count()) + " ms for the other ranks");
    }
    int socket_number = socket.get();
    wait_readable({&socket_number, 1}, kLook);
  }
}

}  // namespace

Result<std::unique_ptr<Group>> join(const std::string& meeting, const GroupOptions& options,
                                    const Interrupted& interrupted) {
  if (options.world == 0 || options.world > kRanksMax)
    return failure(
        options, Code::kInvalid,
        "a group has 1 to " + std::to_string(kRanksMax) + " members, not " + std::to_string(options.world));
  if (options.rank >= options.world)
    return failure(options, Code::kInvalid,
                   "rank " + std::to_string(options.rank) + " is not below " + std::to_string(options.world));
  return options.rank == 0 ? host(meeting, options, interrupted) : visit(meeting, options, interrupted);
}

}  // namespace mobula::collective
