// SOCK_SEQPACKET, SO_PEERCRED and SCM_RIGHTS.
#include "sys/local_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace mobula {
namespace {

constexpr size_t kNameBytesMax = 100;
constexpr int kBacklog = 256;

Status failure(const char* what) {
  return {Code::kInternal, std::string("cannot ") + what + ": " + std::strerror(errno)};
}

struct Address {
  sockaddr_un at{};
  socklen_t bytes = 0;
};

Result<Address> address_of(const std::string& name) {
  if (name.empty() || name.size() > kNameBytesMax) {
    return Status(Code::kInvalid, "the name of a socket has 1 to " + std::to_string(kNameBytesMax) +
                                      " bytes, not " + std::to_string(name.size()));
  }
  Address address;
  address.at.sun_family = AF_UNIX;
  name.copy(address.at.sun_path + 1, name.size());  // a leading zero: the abstract namespace
  address.bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return address;
}

ucred peer_of(const Descriptor& socket) {
  ucred peer{};
  socklen_t bytes = sizeof peer;
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0) peer.uid = ~uid_t{0};
  return peer;
}

Descriptor new_socket() { return Descriptor(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

}  // namespace

Result<Descriptor> listen_local(const std::string& name) {
  ASSIGN_OR_RETURN(Address address, address_of(name));
  Descriptor made = new_socket();
  if (!made.is_open()) return failure("make a socket");
  if (bind(made.get(), reinterpret_cast<sockaddr*>(&address.at), address.bytes) != 0) {
    if (errno == EADDRINUSE) return Status(Code::kExists, "somebody listens as '" + name + "' already");
    return failure("bind a socket");
  }
  if (listen(made.get(), kBacklog) != 0) return failure("listen");
  return made;
}

Result<Descriptor> connect_local(const std::string& name) {
  ASSIGN_OR_RETURN(Address address, address_of(name));
  Descriptor made = new_socket();
  if (!made.is_open()) return failure("make a socket");
  if (connect(made.get(), reinterpret_cast<sockaddr*>(&address.at), address.bytes) != 0) {
    if (errno == ECONNREFUSED || errno == EAGAIN || errno == EINTR)
      return Status(Code::kNotFound, "nobody listens as '" + name + "'");
    return failure("connect");
  }
  if (peer_of(made).uid != geteuid()) return Status(Code::kDenied, "another user listens as '" + name + "'");
  return made;
}

Result<Descriptor> accept_local(const Descriptor& listener) {
  pollfd polled{listener.get(), POLLIN, 0};
  if (poll(&polled, 1, 0) <= 0) return Status(Code::kBusy, "nobody connects");
  Descriptor made(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!made.is_open()) return Status(Code::kBusy, "nobody connects");
  if (peer_of(made).uid != geteuid()) return Status(Code::kDenied, "another user connects");
  return made;
}

int peer_pid(const Descriptor& socket) { return static_cast<int>(peer_of(socket).pid); }

Status send_local(const Descriptor& socket, std::span<const uint8_t> bytes, int passed) {
  iovec part{const_cast<uint8_t*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (passed >= 0) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof passed);
    std::memcpy(CMSG_DATA(head), &passed, sizeof passed);
  }
  if (sendmsg(socket.get(), &message, MSG_NOSIGNAL) < 0)
    return {Code::kLost, std::string("the other end is gone: ") + std::strerror(errno)};
  return Status::ok();
}

Result<LocalMessage> receive_local(const Descriptor& socket, size_t bytes_max) {
  LocalMessage out;
  out.bytes.resize(bytes_max);
  iovec part{out.bytes.data(), out.bytes.size()};
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space;
  message.msg_controllen = sizeof space;
  ssize_t got = recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Status(Code::kBusy, "no message yet");
  if (got <= 0) return Status(Code::kLost, "the other end is gone");
  if (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr && head->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
    out.passed.reset(fd);
  }
  out.bytes.resize(static_cast<size_t>(got));
  return out;
}

void wait_readable(std::span<const int> sockets, std::chrono::milliseconds timeout) {
  std::vector<pollfd> polled;
  for (int socket : sockets) polled.push_back({socket, POLLIN, 0});
  (void)poll(polled.data(), polled.size(), static_cast<int>(timeout.count()));
}

}  // namespace mobula
