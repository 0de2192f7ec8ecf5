// SPDX-License-Identifier: Apache-2.0
#include "crypto/passphrase.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <string>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "crypto/digest.h"

namespace mlxguard::crypto {
namespace {

Result<Secret> checked(Secret passphrase, PassphraseUse use) {
  note_private_memory(passphrase.is_locked());
  if (passphrase.size() > limits::kPassphraseBytesMax) {
    return make_error(ErrorCode::kTooLarge, "longer than a passphrase may be");
  }
  if (use == PassphraseUse::kCreate && passphrase.size() < limits::kPassphraseBytesMin) {
    return make_error(ErrorCode::kPassphraseWeak, "expected a passphrase of at least " +
                                                      std::to_string(limits::kPassphraseBytesMin) +
                                                      " characters");
  }
  return passphrase;
}

void drop_newline(Secret& text) {
  std::size_t size = text.size();
  if (size > 0 && text.bytes()[size - 1] == '\n') --size;
  if (size > 0 && text.bytes()[size - 1] == '\r') --size;
  text.shrink(size);
}

/// The last signal that came while the echo was off. Handlers belong to the whole process: a mask
/// would be this thread's only, and a signal may be delivered to any other.
std::atomic<int> interrupting_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);  // or a handler could not write it
void remember_signal(int number) { interrupting_signal = number; }

constexpr std::array kInterrupting{SIGINT, SIGTERM, SIGHUP, SIGQUIT};
constexpr int kLookForSignalEveryMs = 100;

/// Echo off as long as this lives. A signal that would end the process does so when the echo is on
/// again: Ctrl-C must not leave a shell that shows nothing. One at a time.
class SilentTerminal {
 public:
  explicit SilentTerminal(int fd) : fd_(fd) {
    interrupting_signal = 0;
    struct sigaction remember {};
    remember.sa_handler = remember_signal;
    for (std::size_t i = 0; i < kInterrupting.size(); ++i) {
      ::sigaction(kInterrupting[i], nullptr, &saved_actions_[i]);
      // What the process ignores it goes on ignoring.
      if (saved_actions_[i].sa_handler != SIG_IGN)
        ::sigaction(kInterrupting[i], &remember, nullptr);
    }
    ok_ = ::tcgetattr(fd, &saved_) == 0;
    termios silent = saved_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    silent.c_cc[VSUSP] = _POSIX_VDISABLE;  // nor may Ctrl-Z leave such a shell
    ok_ = ok_ && ::tcsetattr(fd, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    ::tcsetattr(fd_, TCSAFLUSH, &saved_);
    for (std::size_t i = 0; i < kInterrupting.size(); ++i) {
      ::sigaction(kInterrupting[i], &saved_actions_[i], nullptr);
    }
    if (interrupted()) ::kill(::getpid(), interrupting_signal);
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] static bool interrupted() { return interrupting_signal != 0; }

 private:
  int fd_;
  bool ok_ = false;
  termios saved_{};
  std::array<struct sigaction, kInterrupting.size()> saved_actions_{};
};

/// One line, or what came before the end of input. kPassphraseMissing after a signal.
Result<Secret> read_line(int terminal) {
  Secret text(limits::kPassphraseBytesMax + 2);
  std::size_t used = 0;
  while (used < text.size()) {
    pollfd ready{terminal, POLLIN, 0};
    const int count_ready = ::poll(&ready, 1, kLookForSignalEveryMs);
    if (SilentTerminal::interrupted()) {
      return make_error(ErrorCode::kPassphraseMissing, "no passphrase was given");
    }
    if (count_ready < 0 && errno != EINTR) return os_error("read from the terminal");
    if (count_ready <= 0) continue;
    const ssize_t count = ::read(terminal, text.writable().data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read from the terminal");
    used += static_cast<std::size_t>(count);
    if (count == 0 || text.bytes()[used - 1] == '\n') break;
  }
  text.shrink(used);
  return text;
}

Result<Secret> ask(int terminal, const std::string& prompt) {
  const SilentTerminal silent(terminal);
  if (!silent.ok()) return os_error("ask on the terminal");
  if (::write(terminal, prompt.data(), prompt.size()) < 0) return os_error("ask on the terminal");
  MLXGUARD_TRY_ASSIGN(Secret text, read_line(terminal));
  drop_newline(text);
  return text;
}

}  // namespace

Result<Secret> passphrase_from_fd(int fd, PassphraseUse use) {
  Secret text(limits::kPassphraseBytesMax + 3);
  std::size_t used = 0;
  while (used < text.size()) {
    const ssize_t count = ::read(fd, text.writable().data() + used, text.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return os_error("read the passphrase from descriptor", std::to_string(fd));
    if (count == 0) break;
    used += static_cast<std::size_t>(count);
  }
  text.shrink(used);
  drop_newline(text);
  return checked(std::move(text), use);
}

Result<Secret> passphrase_from_file(const std::filesystem::path& file, PassphraseUse use) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.is_open()) return os_error("open", file.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", file.string());
  if (S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return make_error(ErrorCode::kUnsafePermissions,
                      "the passphrase file is accessible to group or others")
        .about(file.string())
        .hinting("chmod 600 " + file.filename().string());
  }
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return make_error(ErrorCode::kUnsafePermissions, "the passphrase file is someone else's")
        .about(file.string())
        .hinting("whoever owns it can read it, and put another passphrase in its place");
  }
  return passphrase_from_fd(fd.get(), use);
}

Result<Secret> passphrase_from_agent(const std::filesystem::path& program, std::string_view prompt,
                                     PassphraseUse use) {
  struct stat status {};
  if (::stat(program.c_str(), &status) != 0) return os_error("find", program.string());
  if (!program.is_absolute() || !S_ISREG(status.st_mode) ||
      (status.st_uid != 0 && status.st_uid != ::geteuid()) ||
      (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(ErrorCode::kUnsafePermissions,
                      "expected a passphrase agent by its absolute path that only you can write")
        .about(program.string());
  }
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return os_error("make a pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
  std::string name = program.string();
  std::string question(prompt);
  std::array<char*, 3> arguments{name.data(), question.data(), nullptr};
  pid_t pid = -1;
  const int problem =
      ::posix_spawn(&pid, name.c_str(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (problem != 0) return os_error("start", name, problem);
  writer.reset();
  auto text = passphrase_from_fd(reader.get(), use);
  int ended = 0;
  while (::waitpid(pid, &ended, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0) {
    return make_error(ErrorCode::kPassphraseMissing, "the passphrase agent gave none").about(name);
  }
  return text;
}

Result<Secret> passphrase_from_terminal(std::string_view prompt, PassphraseUse use) {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal.is_open()) {
    return make_error(ErrorCode::kPassphraseMissing,
                      "a passphrase is needed and there is no terminal to ask on")
        .hinting("give it with --passphrase-file FILE or --passphrase-fd N");
  }
  MLXGUARD_TRY_ASSIGN(Secret first, ask(terminal.get(), std::string(prompt) + ": "));
  MLXGUARD_TRY_ASSIGN(first, checked(std::move(first), use));
  if (use == PassphraseUse::kOpen) return first;
  MLXGUARD_TRY_ASSIGN(const Secret second, ask(terminal.get(), "The same again: "));
  if (!equal_constant_time(first.bytes(), second.bytes())) {
    return make_error(ErrorCode::kPassphraseMissing, "the two passphrases are not the same");
  }
  return first;
}

}  // namespace mlxguard::crypto
