// SPDX-License-Identifier: Apache-2.0
// ProcessOutput: what a child process writes to its standard output and error, on its way to ours.
// Input: bytes of a process that may be compromised. Output: whole lines without control
// characters, each after the name of its process, so that none can pass for a line of ours; a
// bounded number of bytes each second and over the life of the process; the last lines, for the
// record of its death.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace mlxguard::launch {

/// Not thread-safe.
class ProcessOutput {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Takes one line with its line end.
  using Print = std::function<void(std::string_view line)>;

  /// Nothing to read.
  ProcessOutput() = default;
  /// `pipe` is what sandbox::Child::take_output() gave; `process` goes before each line.
  ProcessOutput(UniqueFd pipe, std::string process, Print print);

  /// The descriptor to wait on for POLLIN. -1 while there is nothing to wait for: the process has
  /// used up this second's bytes (see `due()`), or has closed its end.
  [[nodiscard]] int fd_to_poll(Time now) const;
  /// When a process that has used up its bytes is read again.
  [[nodiscard]] std::optional<Time> due(Time now) const;
  /// Reads what is there, at most this second's bytes, and prints the lines that are complete.
  void read(Time now);
  /// For a process that is dead: reads what is left, and prints it with an unfinished last line.
  void finish();
  /// The last lines, each shortened, joined by " | ". Empty if there were none.
  [[nodiscard]] std::string last_lines() const;

 private:
  /// False at the end, or when nothing is there now.
  bool read_some(std::size_t bytes_max);
  void take(std::string_view bytes);
  void end_line();

  UniqueFd pipe_;
  std::string process_;
  Print print_;
  std::string line_;  ///< not yet complete
  std::deque<std::string> last_lines_;
  std::size_t bytes_printed_ = 0;
  Time second_start_{};
  std::size_t bytes_this_second_ = 0;
};

/// Writes `line` to standard error, or drops it where that would block.
void print_to_standard_error(std::string_view line);

}  // namespace mlxguard::launch
