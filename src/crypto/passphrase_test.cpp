// SPDX-License-Identifier: Apache-2.0
// The terminal's tests run the question in a child of its own session, on a pseudo-terminal.
#include "crypto/passphrase.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/limits.h"
#include "base/unique_fd.h"

using namespace mlxguard;
using namespace mlxguard::crypto;
namespace fs = std::filesystem;

namespace {

Result<Secret> from_pipe(std::string_view text, PassphraseUse use = PassphraseUse::kOpen) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  REQUIRE(::write(writer.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  writer = UniqueFd();
  return passphrase_from_fd(reader.get(), use);
}

struct PrivateFile {
  explicit PrivateFile(std::string_view text) {
    std::string pattern = (fs::temp_directory_path() / "mlxguard-pass-XXXXXX").string();
    const UniqueFd fd(::mkstemp(pattern.data()));
    REQUIRE(::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    path = pattern;
  }
  PrivateFile(const PrivateFile&) = delete;
  PrivateFile& operator=(const PrivateFile&) = delete;
  ~PrivateFile() { fs::remove(path); }
  fs::path path;
};

/// A child that asks on a terminal of its own, and the other end of that terminal.
class Asked {
 public:
  explicit Asked(PassphraseUse use) : master_(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)) {
    REQUIRE(::grantpt(master_.get()) == 0);
    REQUIRE(::unlockpt(master_.get()) == 0);
    const std::string name = ::ptsname(master_.get());
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    answer_ = UniqueFd(ends[0]);
    const UniqueFd writer(ends[1]);
    child_ = ::fork();
    if (child_ == 0) run_child(name.c_str(), use, writer.get());
    REQUIRE(child_ > 0);
    // Kept open, so that the terminal's settings outlive the child.
    slave_ = UniqueFd(::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  ~Asked() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }

  void wait_for(std::string_view prompt) {
    while (shown_.find(prompt, read_to_) == shown_.npos) {
      pollfd ready{master_.get(), POLLIN, 0};
      REQUIRE_MESSAGE(::poll(&ready, 1, 20'000) == 1, shown_);
      char buffer[256];
      const ssize_t count = ::read(master_.get(), buffer, sizeof(buffer));
      REQUIRE(count > 0);
      shown_.append(buffer, static_cast<std::size_t>(count));
    }
    read_to_ = shown_.size();
  }
  void type(std::string_view keys) {
    REQUIRE(::write(master_.get(), keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
  }
  void signal(int number) const { ::kill(child_, number); }
  [[nodiscard]] bool echoes() const {
    termios now{};
    REQUIRE(::tcgetattr(slave_.get(), &now) == 0);
    return (now.c_lflag & ECHO) != 0;
  }
  /// How the child ended; its answer is "+passphrase" or "-number of the code".
  int ended() {
    int status = 0;
    REQUIRE(::waitpid(child_, &status, 0) == child_);
    child_ = -1;
    char buffer[2048];
    const ssize_t count = ::read(answer_.get(), buffer, sizeof(buffer));
    text_.assign(buffer, static_cast<std::size_t>(count > 0 ? count : 0));
    return status;
  }
  [[nodiscard]] const std::string& answer() const { return text_; }
  [[nodiscard]] const std::string& shown() const { return shown_; }

 private:
  [[noreturn]] static void run_child(const char* terminal, PassphraseUse use, int answer) {
    // The test program's handlers are not the child's, and Ctrl-\ shall not leave a core file.
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(number, SIG_DFL);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::setsid();
    const int fd = ::open(terminal, O_RDWR);  // becomes the controlling terminal: /dev/tty
    if (fd < 0) ::_exit(90);
    const auto asked = passphrase_from_terminal("Passphrase", use);
    const std::string text = asked ? "+" + std::string(asked->text())
                                   : "-" + std::to_string(static_cast<int>(asked.error().code));
    const bool written = ::write(answer, text.data(), text.size()) >= 0;
    ::_exit(written ? 0 : 91);
  }

  UniqueFd master_;
  UniqueFd slave_;
  UniqueFd answer_;
  pid_t child_ = -1;
  std::string shown_;
  std::size_t read_to_ = 0;
  std::string text_;
};

std::string code(ErrorCode code) { return "-" + std::to_string(static_cast<int>(code)); }

}  // namespace

TEST_CASE("passphrase: from a descriptor, to its end, without one trailing newline") {
  CHECK(from_pipe("a passphrase")->text() == "a passphrase");
  CHECK(from_pipe("a passphrase\n")->text() == "a passphrase");
  CHECK(from_pipe("a passphrase\r\n")->text() == "a passphrase");
  CHECK(from_pipe("a passphrase\n\n")->text() == "a passphrase\n");
  CHECK(from_pipe(" spaces stay ")->text() == " spaces stay ");
  CHECK(from_pipe("")->text().empty());
  CHECK(passphrase_from_fd(-1, PassphraseUse::kOpen).error().code == ErrorCode::kIo);
}

TEST_CASE("passphrase: bounded from above, and for new keys from below") {
  CHECK(from_pipe(std::string(limits::kPassphraseBytesMax, 'x') + "\n").has_value());
  CHECK(from_pipe(std::string(limits::kPassphraseBytesMax + 1, 'x')).error().code ==
        ErrorCode::kTooLarge);
  CHECK(from_pipe("1234567\n").has_value());
  CHECK(from_pipe("1234567\n", PassphraseUse::kCreate).error().code == ErrorCode::kPassphraseWeak);
  CHECK(from_pipe("12345678\n", PassphraseUse::kCreate).has_value());
}

TEST_CASE("passphrase: a file that group or others can reach is refused") {
  const PrivateFile file("a passphrase\n");
  CHECK(passphrase_from_file(file.path, PassphraseUse::kOpen)->text() == "a passphrase");
  for (const mode_t mode : {0640, 0604, 0620, 0602, 0666}) {
    REQUIRE(::chmod(file.path.c_str(), mode) == 0);
    const auto refused = passphrase_from_file(file.path, PassphraseUse::kOpen);
    CHECK(refused.error().code == ErrorCode::kUnsafePermissions);
    CHECK(refused.error().subject == file.path.string());
  }
  CHECK(passphrase_from_file("/nonexistent/file", PassphraseUse::kOpen).error().code ==
        ErrorCode::kNotFound);
}

TEST_CASE("passphrase: at a terminal, without echo, once to open a key") {
  Asked asked(PassphraseUse::kOpen);
  asked.wait_for("Passphrase: ");
  CHECK_FALSE(asked.echoes());
  asked.type("short\n");
  CHECK(asked.ended() == 0);
  CHECK(asked.answer() == "+short");
  CHECK(asked.shown().find("short") == std::string::npos);
  CHECK(asked.echoes());
}

TEST_CASE("passphrase: at a terminal, twice for a new key, and the same") {
  SUBCASE("the same") {
    Asked asked(PassphraseUse::kCreate);
    asked.wait_for("Passphrase: ");
    asked.type("a passphrase\n");
    asked.wait_for("again: ");
    asked.type("a passphrase\n");
    CHECK(asked.ended() == 0);
    CHECK(asked.answer() == "+a passphrase");
  }
  SUBCASE("another") {
    Asked asked(PassphraseUse::kCreate);
    asked.wait_for("Passphrase: ");
    asked.type("a passphrase\n");
    asked.wait_for("again: ");
    asked.type("a passphrasE\n");
    CHECK(asked.ended() == 0);
    CHECK(asked.answer() == code(ErrorCode::kPassphraseMissing));
  }
  SUBCASE("too short") {
    Asked asked(PassphraseUse::kCreate);
    asked.wait_for("Passphrase: ");
    asked.type("short\n");
    CHECK(asked.ended() == 0);
    CHECK(asked.answer() == code(ErrorCode::kPassphraseWeak));
  }
}

TEST_CASE("passphrase: a signal ends the question, and the terminal echoes again") {
  const auto ended_by = [](Asked& asked) {
    const int status = asked.ended();
    CHECK(asked.echoes());
    CHECK(asked.answer().empty());
    REQUIRE(WIFSIGNALED(status));
    return WTERMSIG(status);
  };
  SUBCASE("Ctrl-C, in the middle of a line") {
    Asked asked(PassphraseUse::kOpen);
    asked.wait_for("Passphrase: ");
    asked.type("half a pass\x03");
    CHECK(ended_by(asked) == SIGINT);
  }
  SUBCASE("Ctrl-\\") {
    Asked asked(PassphraseUse::kOpen);
    asked.wait_for("Passphrase: ");
    asked.type("\x1c");
    CHECK(ended_by(asked) == SIGQUIT);
  }
  SUBCASE("from another process") {
    Asked asked(PassphraseUse::kOpen);
    asked.wait_for("Passphrase: ");
    asked.signal(SIGTERM);
    CHECK(ended_by(asked) == SIGTERM);
  }
}

TEST_CASE("passphrase: end of input at a terminal ends the line") {
  Asked asked(PassphraseUse::kOpen);
  asked.wait_for("Passphrase: ");
  asked.type("\x04");
  CHECK(asked.ended() == 0);
  CHECK(asked.answer() == "+");
  CHECK(asked.echoes());
}

TEST_CASE("passphrase: without a terminal it says what to do") {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setsid();  // leaves the terminal that the tests may run on
    const auto asked = passphrase_from_terminal("Passphrase", PassphraseUse::kOpen);
    const bool expected = !asked && asked.error().code == ErrorCode::kPassphraseMissing &&
                          asked.error().hint.find("--passphrase-file") != std::string::npos;
    ::_exit(expected ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
