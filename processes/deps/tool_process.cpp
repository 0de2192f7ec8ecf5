// SPDX-License-Identifier: Apache-2.0
#include "tool_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

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
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
};

/// The child, stopped when it is no longer wanted.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);  // with what it started: it leads a group of its own
    wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

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
};

Result<pid_t> start(const std::vector<std::string>& arguments, int out, int errors) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<std::string> copies = arguments;
  std::vector<char*> pointers;
  for (std::string& one : copies) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  const int problem =
      ::posix_spawnp(&pid, pointers[0], &actions, &attributes, pointers.data(), environ);
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

}  // namespace

Result<ToolOutput> run_tool(const std::vector<std::string>& arguments,
                            std::chrono::seconds time_max) {
  MLXGUARD_TRY_ASSIGN(Pipe out, Pipe::create());
  MLXGUARD_TRY_ASSIGN(Pipe errors, Pipe::create());
  MLXGUARD_TRY_ASSIGN(const pid_t pid, start(arguments, out.writer.get(), errors.writer.get()));
  Child child(pid);
  out.writer.reset();
  errors.writer.reset();
  ToolOutput output;
  const auto end = SteadyClock::now() + time_max;
  std::array<char, 1u << 16> piece{};
  std::array<pollfd, 2> waiting{pollfd{out.reader.get(), POLLIN, 0},
                                {errors.reader.get(), POLLIN, 0}};
  while (waiting[0].fd >= 0 || waiting[1].fd >= 0) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - SteadyClock::now()).count();
    if (left <= 0) return make_error(ErrorCode::kResolver, "took too long").about(arguments[0]);
    if (::poll(waiting.data(), waiting.size(), static_cast<int>(left)) < 0 && errno != EINTR) {
      return os_error("wait for", arguments[0]);
    }
    for (pollfd& one : waiting) {
      if (one.fd < 0 || one.revents == 0) continue;
      const ssize_t got = ::read(one.fd, piece.data(), piece.size());
      if (got < 0 && errno == EINTR) continue;
      std::string& text = &one == &waiting[0] ? output.out : output.errors;
      if (got > 0) text.append(piece.data(), static_cast<std::size_t>(got));
      if (got <= 0) one.fd = -1;
    }
    if (output.out.size() > limits::kDepsFileBytesMax) {
      return make_error(ErrorCode::kResolver, "printed more than allowed").about(arguments[0]);
    }
    if (output.errors.size() > 2 * kErrorsKept) {
      output.errors.erase(0, output.errors.size() - kErrorsKept);
    }
  }
  output.status = child.wait();
  return output;
}

Result<std::string> tool_answer(Result<ToolOutput> ended, const std::string& tool) {
  MLXGUARD_TRY_ASSIGN(ToolOutput output, std::move(ended));
  if (output.status == 0) return std::move(output.out);
  // Its last words, without the empty lines around them.
  constexpr std::size_t kWordsMax = 600;
  std::string words = output.errors;
  while (!words.empty() && (words.back() == '\n' || words.back() == ' ')) words.pop_back();
  if (words.size() > kWordsMax) words.erase(0, words.size() - kWordsMax);
  for (char& c : words) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return make_error(ErrorCode::kResolver, tool + " failed: " + words);
}

}  // namespace mlxguard::cli
