// SPDX-License-Identifier: Apache-2.0
// What a process may do with its standard output: nothing that a reader of ours could mistake.
#include "launch/process_output.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "base/process_bounds.h"

using namespace mlxguard;
using namespace mlxguard::launch;
using namespace std::chrono_literals;

namespace {

struct Spoken {
  Spoken() {
    int ends[2] = {-1, -1};
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    write_end = UniqueFd(ends[1]);
    output = ProcessOutput(UniqueFd(ends[0]), "worker mlp",
                           [this](std::string_view line) { lines.emplace_back(line); });
  }
  std::size_t say(std::string_view text) const {
    const ssize_t count = ::write(write_end.get(), text.data(), text.size());
    return count < 0 ? 0 : static_cast<std::size_t>(count);
  }
  [[nodiscard]] std::size_t bytes_printed() const {
    std::size_t bytes = 0;
    for (const std::string& line : lines) bytes += line.size();
    return bytes;
  }
  UniqueFd write_end;
  std::vector<std::string> lines;
  ProcessOutput output;
  ProcessOutput::Time now = std::chrono::steady_clock::now();
};

}  // namespace

TEST_CASE("process output: each line stands behind the name of its process") {
  Spoken spoken;
  spoken.say("mlxguard: error: forged [log.write]\nsecond\r\n\nunfinished");
  spoken.output.read(spoken.now);
  CHECK(spoken.lines ==
        std::vector<std::string>{"worker mlp | mlxguard: error: forged [log.write]\n",
                                 "worker mlp | second\\x0d\n"});
  spoken.output.finish();
  CHECK(spoken.lines.back() == "worker mlp | unfinished\n");
}

TEST_CASE("process output: control characters, hidden characters and broken UTF-8 are escaped") {
  Spoken spoken;
  spoken.say("\x1b[2J \xe2\x80\xae \xff\xc2\x9b caf\xc3\xa9\n");
  spoken.output.read(spoken.now);
  REQUIRE(spoken.lines.size() == 1);
  CHECK(spoken.lines[0] ==
        "worker mlp | \\x1b[2J \\xe2\\x80\\xae \\xff\\xc2\\x9b caf\xc3\xa9\n");
}

TEST_CASE("process output: a line that never ends is cut, and each part has the name") {
  Spoken spoken;
  spoken.say(std::string(3 * limits::kProcessOutputLineBytesMax, 'x'));
  spoken.output.read(spoken.now);
  REQUIRE(spoken.lines.size() == 3);
  for (const std::string& line : spoken.lines) {
    CHECK(line == "worker mlp | " + std::string(limits::kProcessOutputLineBytesMax, 'x') + "\n");
  }
}

TEST_CASE("process output: more than a second's bytes wait, and the descriptor is not polled") {
  Spoken spoken;
  const std::string line = std::string(127, 'x') + "\n";
  while (spoken.say(line) == line.size()) {
  }
  const int fd = spoken.output.fd_to_poll(spoken.now);
  CHECK(fd >= 0);
  spoken.output.read(spoken.now);
  CHECK(spoken.lines.size() == limits::kProcessOutputBytesPerSecond / line.size());
  CHECK(spoken.output.fd_to_poll(spoken.now) == -1);
  REQUIRE(spoken.output.due(spoken.now).has_value());
  CHECK(*spoken.output.due(spoken.now) == spoken.now + 1s);

  spoken.output.read(spoken.now + 999ms);
  CHECK(spoken.lines.size() == limits::kProcessOutputBytesPerSecond / line.size());
  CHECK(spoken.output.fd_to_poll(spoken.now + 1s) == fd);
  spoken.output.read(spoken.now + 1s);
  CHECK(spoken.lines.size() == 2 * limits::kProcessOutputBytesPerSecond / line.size());
}

TEST_CASE("process output: over a process's life a bounded number of bytes is shown") {
  Spoken spoken;
  const std::string flood(4096, '\x1b');
  for (int second = 0; second < 200; ++second) {
    while (spoken.say(flood) > 0) {
    }
    spoken.output.read(spoken.now + std::chrono::seconds(second));
  }
  CHECK(spoken.bytes_printed() <= limits::kProcessOutputBytesMax + 100);
  CHECK(spoken.lines.back() == "worker mlp | (has written too much; the rest is not shown)\n");
  const auto said_so = std::count(spoken.lines.begin(), spoken.lines.end(), spoken.lines.back());
  CHECK(said_so == 1);
  // It is read all the same: its last words are wanted when it dies.
  spoken.say("\nlast\n");
  spoken.output.finish();
  CHECK(spoken.output.last_lines().ends_with(" | last"));
}

TEST_CASE("process output: the last lines are few and short") {
  Spoken spoken;
  CHECK(spoken.output.last_lines().empty());
  for (int i = 0; i < 20; ++i) spoken.say(std::to_string(i) + std::string(400, '.') + "\n");
  spoken.output.finish();
  CHECK(spoken.output.last_lines().starts_with("16..."));
  CHECK(spoken.output.last_lines().size() < 1000);
  CHECK(spoken.output.fd_to_poll(spoken.now) == -1);
}

TEST_CASE("process output: the end of the pipe is the end of the polling") {
  Spoken spoken;
  spoken.write_end.reset();
  spoken.output.read(spoken.now);
  CHECK(spoken.output.fd_to_poll(spoken.now) == -1);
  CHECK_FALSE(spoken.output.due(spoken.now).has_value());
  CHECK(spoken.lines.empty());
}

TEST_CASE("process output: a standard error that nobody reads does not block") {
  int ends[2] = {-1, -1};
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const UniqueFd before(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10));
  REQUIRE(::dup2(write_end.get(), STDERR_FILENO) == STDERR_FILENO);
  const std::string line = std::string(1023, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) print_to_standard_error(line);
  ::dup2(before.get(), STDERR_FILENO);
  write_end.reset();
  std::size_t whole_lines = 0;
  std::string got(1024, ' ');
  while (::read(read_end.get(), got.data(), got.size()) == 1024) whole_lines += got == line;
  CHECK(whole_lines > 10);
  CHECK(whole_lines < 1000);
}
