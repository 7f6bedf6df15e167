// The fork server: waits for orders and for the ends of its children, nothing else.
#include "worker/zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "sys/environment.h"
#include "sys/shm.h"
#include "wire/zygote.h"

namespace mobula {
namespace {

class Zygote {
 public:
  explicit Zygote(const ZygoteHooks& hooks) : hooks_(hooks) {
    for (int fd : {kZygoteSocketFd, kZygoteControlFd, kZygoteArenaFd}) fcntl(fd, F_SETFD, FD_CLOEXEC);
    parent_fd_.reset(static_cast<int>(syscall(SYS_pidfd_open, getppid(), 0)));
    sigset_t children;
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, nullptr);
    signal_fd_.reset(signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  /// True in a child, whose boot is then set.
  bool serve(WorkerBoot* boot) {
    for (;;) {
      pollfd polled[] = {
          {kZygoteSocketFd, POLLIN, 0}, {signal_fd_.get(), POLLIN, 0}, {parent_fd_.get(), POLLIN, 0}};
      if (poll(polled, parent_fd_.is_open() ? 3 : 2, -1) < 0) continue;
      if (polled[1].revents != 0) reap();
      if (polled[2].revents != 0) end();
      if (polled[0].revents != 0 && obey(boot)) return true;
    }
  }

 private:
  bool obey(WorkerBoot* boot) {
    ZygoteOrder order;
    iovec part{&order, sizeof order};
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    ssize_t got = recvmsg(kZygoteSocketFd, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) return false;
    if (got != sizeof order) end();
    Descriptor passed;
    if (cmsghdr* head = CMSG_FIRSTHDR(&message); head != nullptr && head->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head), sizeof fd);
      passed.reset(fd);
    }
    if (order.kind == OrderKind::kSpawn) return spawn(order, std::move(passed), boot);
    if (order.kind == OrderKind::kPreload && hooks_.preload) hooks_.preload(order.module);
    if (order.kind == OrderKind::kKill) {
      for (auto& [pid, worker] : children_) {
        if (worker == order.worker) kill(pid, SIGKILL);
      }
    }
    return false;
  }

  bool spawn(const ZygoteOrder& order, Descriptor log, WorkerBoot* boot) {
    pid_t me = getpid();
    if (hooks_.before_fork) hooks_.before_fork();
    pid_t pid = fork();
    if (pid == 0) {
      become_worker(order, std::move(log), me, boot);
      if (hooks_.after_fork_child) hooks_.after_fork_child();
      return true;
    }
    if (hooks_.after_fork_parent) hooks_.after_fork_parent();
    if (pid < 0) {
      report({order.worker, 0, 127 << 8, 1, 0});
      return false;
    }
    children_[pid] = order.worker;
    report({order.worker, pid, 0, 0, 0});
    return false;
  }

  void become_worker(const ZygoteOrder& order, Descriptor log, pid_t zygote, WorkerBoot* boot) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != zygote) _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal_fd_.reset();
    parent_fd_.reset();
    close(kZygoteSocketFd);
    if (log.is_open()) {
      dup2(log.get(), STDOUT_FILENO);
      dup2(log.get(), STDERR_FILENO);
    }
    unsetenv(kZygoteVariable);  // what users start from here is no zygote
    boot->id = WorkerId{order.worker};
    boot->slot = order.slot;
    boot->control_fd = kZygoteControlFd;
    boot->arena_fd = kZygoteArenaFd;
    boot->log_fd = STDOUT_FILENO;
  }

  void report(const ZygoteReport& report) {
    (void)send(kZygoteSocketFd, &report, sizeof report, MSG_NOSIGNAL);
  }

  void reap() {
    signalfd_siginfo info;
    while (read(signal_fd_.get(), &info, sizeof info) > 0) {
    }
    int status = 0;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      auto child = children_.find(pid);
      if (child == children_.end()) continue;
      report({child->second, pid, status, 1, 0});
      children_.erase(child);
    }
  }

  /// The node is gone: so are its workers, and what it has spilled.
  [[noreturn]] void end() {
    for (auto& [pid, worker] : children_) kill(pid, SIGKILL);
    while (waitpid(-1, nullptr, 0) > 0) {
    }
    std::error_code error;
    if (auto folder = environment_variable(kZygoteVariable)) std::filesystem::remove_all(*folder, error);
    if (hooks_.at_end) hooks_.at_end();
    _exit(0);
  }

  const ZygoteHooks& hooks_;
  Descriptor signal_fd_, parent_fd_;
  std::map<pid_t, uint64_t> children_;
};

}  // namespace

bool is_zygote_process() { return environment_variable(kZygoteVariable).has_value(); }

WorkerBoot run_zygote(const ZygoteHooks& hooks) {
  Zygote zygote(hooks);
  WorkerBoot boot;
  zygote.serve(&boot);
  return boot;
}

}  // namespace mobula
