// Two threads: the watcher waits for the zygote, for output and for orders to stop; the disk thread moves
// values.
#include "node/outside.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "sys/environment.h"
#include "wire/zygote.h"

namespace mobula {
namespace {

constexpr size_t kCauseLines = 20;  // of the end of a worker
constexpr size_t kTailBytesMax = 64 << 10, kEndedOutputsMax = 64;
constexpr size_t kLineBytesMax = 16 << 10;

std::string describe_exit(int status) {
  if (WIFEXITED(status)) return "exit code " + std::to_string(WEXITSTATUS(status));
  int signal = WTERMSIG(status);
  return "signal " + std::to_string(signal) + " (" +
         (sigabbrev_np(signal) ? std::string("SIG") + sigabbrev_np(signal) : "unknown") + ")";
}

}  // namespace

Outside::Outside(OutsideOptions options)
    : options_(std::move(options)), files_(options_.spill_folder, usable_memory_bytes() / 4) {}

Outside::~Outside() { stop(); }

Status Outside::start() {
  remove_stale_spill_folders(options_.spill_folder);
  wake_.reset(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  TRY(start_zygote());
  watcher_ = std::thread([this] { watch(); });
  disk_ = std::thread([this] { run_disk(); });
  return Status::ok();
}

Status Outside::start_zygote() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return {Code::kInternal, std::string("cannot make a socket for the zygote: ") + std::strerror(errno)};
  }
  Descriptor mine(ends[0]), theirs(ends[1]);
  // High numbers first, so that moving them into place cannot overwrite one another.
  Descriptor socket(fcntl(theirs.get(), F_DUPFD_CLOEXEC, 100)),
      control(fcntl(options_.control_fd, F_DUPFD_CLOEXEC, 100)),
      arena(fcntl(options_.arena_fd, F_DUPFD_CLOEXEC, 100));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, socket.get(), kZygoteSocketFd);
  posix_spawn_file_actions_adddup2(&actions, control.get(), kZygoteControlFd);
  posix_spawn_file_actions_adddup2(&actions, arena.get(), kZygoteArenaFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);  // Ctrl-C at the terminal is the driver's alone
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> environment = environment_entries();
  environment.insert(environment.end(), options_.zygote_environment.begin(),
                     options_.zygote_environment.end());
  environment.push_back(std::string(kZygoteVariable) + "=" + options_.spill_folder + "/" +
                        spill_folder_name(getpid()));
  std::vector<char*> argv, envp;
  for (std::string& word : options_.zygote_command) argv.push_back(word.data());
  for (std::string& entry : environment) envp.push_back(entry.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  int failed = options_.zygote_command.empty()
                   ? ENOENT
                   : posix_spawnp(&zygote_pid_, argv[0], &actions, &attributes, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    std::string command = options_.zygote_command.empty() ? "(none)" : options_.zygote_command[0];
    return {Code::kNotFound, "cannot start the worker process '" + command + "': " + std::strerror(failed)};
  }
  socket_ = std::move(mine);
  return Status::ok();
}

void Outside::post(OutsideEvent event) {
  {
    std::lock_guard lock(events_mutex_);
    events_.push_back(std::move(event));
    has_events_.store(true, std::memory_order_release);
  }
  options_.on_event();
}

std::vector<OutsideEvent> Outside::take_events() {
  std::lock_guard lock(events_mutex_);
  has_events_.store(false, std::memory_order_release);
  return std::exchange(events_, {});
}

void Outside::send_to_zygote(char kind, WorkerId worker, uint32_t slot, std::string_view text, int fd) {
  ZygoteOrder order;
  order.kind = static_cast<OrderKind>(kind);
  order.worker = worker.value;
  order.slot = slot;
  text.copy(order.module, sizeof order.module - 1);
  iovec part{&order, sizeof order};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))] = {};
  if (fd >= 0) {
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    cmsghdr* head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  (void)sendmsg(socket_.get(), &message, MSG_NOSIGNAL);  // a zygote that is gone is noticed by the watcher
}

Status Outside::spawn(WorkerId worker, uint32_t slot) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return {Code::kFull, std::string("cannot make a pipe for a worker's output: ") + std::strerror(errno) +
                             "; raise the limit of open files (ulimit -n)"};
  }
  Descriptor read_end(ends[0]), write_end(ends[1]);
  fcntl(read_end.get(), F_SETFL, O_NONBLOCK);
  {
    std::lock_guard lock(outputs_mutex_);
    outputs_[worker].pipe = std::move(read_end);
  }
  send_to_zygote(static_cast<char>(OrderKind::kSpawn), worker, slot, {}, write_end.get());
  uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);
  return Status::ok();
}

void Outside::kill(WorkerId worker) {
  send_to_zygote(static_cast<char>(OrderKind::kKill), worker, 0, {}, -1);
}

void Outside::preload(std::string_view module) {
  send_to_zygote(static_cast<char>(OrderKind::kPreload), {}, 0, module, -1);
}

// ---- the watcher
// --------------------------------------------------------------------------------------------------

void Outside::watch() {
  while (!stopping_.load()) {
    std::vector<pollfd> polled{{wake_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
    std::vector<WorkerId> owners;
    {
      std::lock_guard lock(outputs_mutex_);
      for (auto& [worker, output] : outputs_) {
        if (!output.pipe.is_open()) continue;
        polled.push_back({output.pipe.get(), POLLIN, 0});
        owners.push_back(worker);
      }
    }
    if (poll(polled.data(), polled.size(), -1) < 0) continue;
    uint64_t count = 0;
    if (polled[0].revents != 0) (void)!::read(wake_.get(), &count, sizeof count);
    {
      std::lock_guard lock(outputs_mutex_);
      for (size_t i = 0; i < owners.size(); ++i) {
        auto output = outputs_.find(owners[i]);
        if (polled[i + 2].revents != 0 && output != outputs_.end()) read_output(owners[i], output->second);
      }
    }
    if (polled[1].revents != 0) read_zygote();
  }
}

void Outside::read_zygote() {
  ZygoteReport report;
  ssize_t got = recv(socket_.get(), &report, sizeof report, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got == sizeof report) {
    WorkerId worker{report.worker};
    if (report.ended) return on_exit(worker, report.status);
    std::lock_guard lock(outputs_mutex_);
    if (auto output = outputs_.find(worker); output != outputs_.end()) output->second.pid = report.pid;
    return;
  }
  if (stopping_.exchange(true)) return;
  int status = 0;
  std::string cause = waitpid(zygote_pid_, &status, 0) == zygote_pid_ ? describe_exit(status) : "unknown";
  zygote_pid_ = 0;
  post(ZygoteLost{"the process that starts workers ended: " + cause});
}

void Outside::read_output(WorkerId worker, Output& output) {
  char buffer[16384];
  for (;;) {
    ssize_t got = ::read(output.pipe.get(), buffer, sizeof buffer);
    if (got < 0) return;
    if (got == 0) break;
    std::string_view rest(buffer, static_cast<size_t>(got));
    while (!rest.empty()) {
      size_t end = rest.find('\n');
      output.line.append(rest.substr(0, end));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
      if (end == std::string_view::npos && output.line.size() < kLineBytesMax) break;
      end_line(worker, output);
    }
  }
  if (!output.line.empty()) end_line(worker, output);
  output.pipe.reset();
}

void Outside::end_line(WorkerId worker, Output& output) {
  show_line(worker, output, output.line);
  output.tail_bytes += output.line.size() + 1;
  output.tail.push_back(std::exchange(output.line, {}));
  for (; output.tail_bytes > kTailBytesMax; output.tail.pop_front())
    output.tail_bytes -= output.tail.front().size() + 1;
}

std::string Outside::output_of(WorkerId worker) {
  std::lock_guard lock(outputs_mutex_);
  auto output = outputs_.find(worker);
  if (output == outputs_.end()) {
    output = ended_outputs_.find(worker);
    if (output == ended_outputs_.end()) return {};
  }
  std::string text;
  for (const std::string& line : output->second.tail) text.append(line).push_back('\n');
  return text + output->second.line;
}

void Outside::show_line(WorkerId, const Output& output, std::string_view line) {
  if (!options_.log_to_driver) return;
  std::string text = "(pid=" + std::to_string(output.pid) + ") ";
  text.append(line).push_back('\n');
  (void)!::write(STDOUT_FILENO, text.data(), text.size());
}

void Outside::on_exit(WorkerId worker, int status) {
  std::string cause = describe_exit(status);
  {
    std::lock_guard lock(outputs_mutex_);
    auto output = outputs_.find(worker);
    if (output != outputs_.end()) {
      if (output->second.pipe.is_open()) read_output(worker, output->second);
      cause += ", pid " + std::to_string(output->second.pid);
      const std::deque<std::string>& tail = output->second.tail;
      if (!tail.empty()) cause += "; the last lines that it printed:";
      for (size_t i = tail.size() - std::min(tail.size(), kCauseLines); i < tail.size(); ++i)
        cause += "\n  " + tail[i];
      ended_outputs_.insert(outputs_.extract(output));
      ended_order_.push_back(worker);
      for (; ended_order_.size() > kEndedOutputsMax; ended_order_.pop_front())
        ended_outputs_.erase(ended_order_.front());
    }
  }
  post(WorkerExited{worker, std::move(cause)});
}

// ---- the disk
// -----------------------------------------------------------------------------------------------------

void Outside::write(const StoreEffects::Write& write) {
  std::lock_guard lock(jobs_mutex_);
  jobs_.push_back({DiskJob::Kind::kWrite, write.id, write.offset, write.bytes, {}});
  jobs_wake_.notify_one();
}

void Outside::read(const StoreEffects::Read& read) {
  std::lock_guard lock(jobs_mutex_);
  jobs_.push_back({DiskJob::Kind::kRead, read.id, read.offset, read.bytes, read.from});
  jobs_wake_.notify_one();
}

void Outside::forget(DiskPlace place, uint64_t bytes) {
  std::lock_guard lock(jobs_mutex_);
  jobs_.push_back({DiskJob::Kind::kForget, {}, 0, bytes, place});
  jobs_wake_.notify_one();
}

void Outside::run_disk() {
  std::unique_lock lock(jobs_mutex_);
  for (;;) {
    jobs_wake_.wait(lock, [&] { return stopping_.load() || !jobs_.empty(); });
    if (stopping_.load()) return;
    DiskJob job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    std::span<uint8_t> value(options_.arena + job.offset, job.bytes);
    if (job.kind == DiskJob::Kind::kWrite) {
      Result<DiskPlace> place = files_.write(value);
      post(place.is_ok() ? Spilled{job.id, *place, {}}
                         : Spilled{job.id, std::nullopt, place.status().message()});
    } else if (job.kind == DiskJob::Kind::kRead) {
      Status status = files_.read(job.place, value);
      post(Restored{job.id, status.is_ok(), status.message()});
    } else {
      files_.forget(job.place, job.bytes);
    }
    lock.lock();
  }
}

void Outside::stop() {
  {
    std::lock_guard lock(jobs_mutex_);
    stopping_.store(true);
    jobs_wake_.notify_all();
  }
  uint64_t one = 1;
  if (wake_.is_open()) (void)!::write(wake_.get(), &one, sizeof one);
  if (watcher_.joinable()) watcher_.join();
  if (disk_.joinable()) disk_.join();
  socket_.reset();  // the zygote ends its children, then itself
  if (zygote_pid_ > 0) waitpid(zygote_pid_, nullptr, 0);
  zygote_pid_ = 0;
}

}  // namespace mobula
