// SPDX-License-Identifier: Apache-2.0
#include "tool_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"

namespace mlxguard::cli {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kErrorsKept = 16u << 10;

struct Pipe {
  UniqueFd reader, writer;
  static Result<Pipe> create() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("make a pipe");
    Pipe pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
    // Our end alone: what a pipe holds is taken without waiting for more.
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) return os_error("set up a pipe");
    return pipe;
  }
};

constexpr std::array kEndings = {SIGINT, SIGTERM, SIGHUP};

/// Signals that would end this process wait while it has a child, which leads a group of its own
/// and would go on alone; run_tool() raises them again when the child is gone. Those that are
/// ignored (nohup, a shell's background) would end nothing and are left alone.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    ::sigemptyset(&held);
    for (const int one : kEndings) {
      struct sigaction current {};
      const bool ignored =
          ::sigaction(one, nullptr, &current) == 0 && current.sa_handler == SIG_IGN;
      if (!ignored) ::sigaddset(&held, one);
    }
    ::pthread_sigmask(SIG_BLOCK, &held, &before_);
    fd_ = UniqueFd(::signalfd(-1, &held, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  ~HeldSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const sigset_t& before() const { return before_; }
  /// The signal that waits, or 0.
  [[nodiscard]] int take() const {
    signalfd_siginfo info{};
    return ::read(fd_.get(), &info, sizeof(info)) == sizeof(info) ? static_cast<int>(info.ssi_signo)
                                                                  : 0;
  }

 private:
  sigset_t before_{};
  UniqueFd fd_;
};

/// The child, stopped when it is no longer wanted.
class Child {
 public:
  explicit Child(pid_t pid)
      : pid_(pid), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  ~Child() {
    ::kill(-group_, SIGKILL);  // with what it started: it leads a group of its own
    if (pid_ >= 0) wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// Readable when it has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    constexpr int kSignalBase = 128;
    return WIFEXITED(status) ? WEXITSTATUS(status) : kSignalBase + WTERMSIG(status);
  }

 private:
  pid_t pid_;
  pid_t group_ = pid_;
  UniqueFd pidfd_;
};

std::vector<std::string> environment_with(const ToolVariables& variables) {
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text = *one;
    const bool replaced = std::any_of(variables.begin(), variables.end(), [&](const auto& row) {
      return text.substr(0, text.find('=')) == row.first;
    });
    if (!replaced) all.emplace_back(text);
  }
  for (const auto& [name, value] : variables) {
    if (!value.empty()) all.push_back(name + "=" + value);
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& one : texts) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  return pointers;
}

Result<pid_t> start(const std::vector<std::string>& arguments, int out, int errors,
                    const ToolVariables& variables, const sigset_t& mask) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setsigmask(&attributes, &mask);
  std::vector<std::string> copies = arguments;
  std::vector<std::string> environment = environment_with(variables);
  const std::vector<char*> pointers = pointers_to(copies);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  pid_t pid = -1;
  const int problem = ::posix_spawnp(&pid, pointers[0], &actions, &attributes, pointers.data(),
                                     environment_pointers.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (problem != 0) {
    return make_error(ErrorCode::kResolver,
                      "cannot be started: " + os_error("start", "", problem).message)
        .about(arguments[0])
        .hinting("--python names a Python that has pip; --resolver uv uses uv");
  }
  return pid;
}

/// Takes what is there of one pipe; false when there is no more, now or ever.
bool take_piece(int fd, std::string& text) {
  std::array<char, 1u << 16> piece{};
  errno = 0;  // so that an end is not taken for "not yet"
  const ssize_t got = ::read(fd, piece.data(), piece.size());
  if (got > 0) text.append(piece.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

/// Reads both pipes until the child has ended, whoever else may hold them. The signal that ended
/// the wait, or 0.
Result<int> read_until_end(const Child& child, const Pipe& out, const Pipe& errors,
                           const HeldSignals& signals, SteadyClock::time_point end,
                           ToolOutput& output) {
  std::array<pollfd, 4> waiting{pollfd{out.reader.get(), POLLIN, 0},
                                {errors.reader.get(), POLLIN, 0},
                                {child.pidfd(), POLLIN, 0},
                                {signals.fd(), POLLIN, 0}};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - SteadyClock::now()).count();
    if (left <= 0) return make_error(ErrorCode::kResolver, "took too long");
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left)) < 0 && errno != EINTR) {
      return os_error("wait for a tool");
    }
    const bool ended = waiting[2].revents != 0;  // what it wrote before is in the pipes already
    for (std::size_t i = 0; i < 2; ++i) {
      std::string& text = i == 0 ? output.out : output.errors;
      if (waiting[i].fd < 0 || (waiting[i].revents == 0 && !ended)) continue;
      bool more = take_piece(waiting[i].fd, text);
      while (ended && more && text.size() <= limits::kDepsFileBytesMax) {
        more = take_piece(waiting[i].fd, text);
      }
      if (!more && errno != EAGAIN) waiting[i].fd = -1;
    }
    if (output.out.size() > limits::kDepsFileBytesMax) {
      return make_error(ErrorCode::kResolver, "printed more than allowed");
    }
    if (output.errors.size() > 2 * kErrorsKept) {
      output.errors.erase(0, output.errors.size() - kErrorsKept);
    }
    if (ended) return 0;
    if (const int signal = signals.take()) return signal;
  }
}

/// "https://user:secret@host" -> "https://host".
std::string without_secrets(std::string text) {
  for (std::size_t at = 0; (at = text.find("://", at)) != std::string::npos; at += 3) {
    const std::size_t end = std::min(text.find_first_of(" \t\r\n/?#'\"<>", at + 3), text.size());
    const std::size_t sign = text.rfind('@', end);
    if (sign != std::string::npos && sign > at) text.erase(at + 3, sign - at - 2);
  }
  return text;
}

}  // namespace

Result<ToolOutput> run_tool(const std::vector<std::string>& arguments,
                            std::chrono::seconds time_max, const ToolVariables& variables) {
  ToolOutput output;
  int ending = 0;
  {
    const HeldSignals signals;
    MLXGUARD_TRY_ASSIGN(Pipe out, Pipe::create());
    MLXGUARD_TRY_ASSIGN(Pipe errors, Pipe::create());
    MLXGUARD_TRY_ASSIGN(const pid_t pid, start(arguments, out.writer.get(), errors.writer.get(),
                                               variables, signals.before()));
    Child child(pid);
    out.writer.reset();
    errors.writer.reset();
    auto ended = read_until_end(child, out, errors, signals, SteadyClock::now() + time_max, output);
    if (!ended) return std::move(ended).error().about(arguments[0]);
    ending = *ended;
    if (ending == 0) output.status = child.wait();
  }
  if (ending != 0) {
    ::raise(ending);  // as it would have ended us
    return make_error(ErrorCode::kResolver, "was interrupted").about(arguments[0]);
  }
  return output;
}

Result<std::string> tool_answer(Result<ToolOutput> ended, const std::string& tool) {
  MLXGUARD_TRY_ASSIGN(ToolOutput output, std::move(ended));
  if (output.status == 0) return std::move(output.out);
  // Its last words, without the empty lines around them.
  constexpr std::size_t kWordsMax = 600;
  std::string words = without_secrets(output.errors);
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  if (words.size() > kWordsMax) words.erase(0, words.size() - kWordsMax);
  for (char& c : words) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return make_error(ErrorCode::kResolver, tool + " failed: " + words);
}

}  // namespace mlxguard::cli
