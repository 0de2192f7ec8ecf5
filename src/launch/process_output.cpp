// SPDX-License-Identifier: Apache-2.0
#include "launch/process_output.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "base/process_bounds.h"
#include "codec/unicode.h"

namespace mlxguard::launch {
namespace {

using std::chrono::seconds;

constexpr std::size_t kReadBytes = 4096;
constexpr std::size_t kLastLineBytesMax = 200;
constexpr std::size_t kLastLinesMax = 4;

}  // namespace

ProcessOutput::ProcessOutput(UniqueFd pipe, std::string process, Print print)
    : pipe_(std::move(pipe)), process_(std::move(process)), print_(std::move(print)) {}

int ProcessOutput::fd_to_poll(Time now) const { return due(now) ? -1 : pipe_.get(); }

std::optional<ProcessOutput::Time> ProcessOutput::due(Time now) const {
  const Time next = second_start_ + seconds(1);
  const bool used_up = bytes_this_second_ >= limits::kProcessOutputBytesPerSecond && now < next;
  if (!pipe_.is_open() || !used_up) return std::nullopt;
  return next;
}

void ProcessOutput::read(Time now) {
  if (!pipe_.is_open()) return;
  if (now >= second_start_ + seconds(1)) {
    second_start_ = now;
    bytes_this_second_ = 0;
  }
  while (bytes_this_second_ < limits::kProcessOutputBytesPerSecond) {
    if (!read_some(limits::kProcessOutputBytesPerSecond - bytes_this_second_)) return;
  }
}

void ProcessOutput::finish() {
  // One pipe's worth: the process is dead, so more cannot come.
  bytes_this_second_ = 0;
  while (pipe_.is_open() && bytes_this_second_ < limits::kProcessOutputBytesAtEnd) {
    if (!read_some(limits::kProcessOutputBytesAtEnd - bytes_this_second_)) break;
  }
  if (!line_.empty()) end_line();
  pipe_.reset();
}

bool ProcessOutput::read_some(std::size_t bytes_max) {
  std::array<char, kReadBytes> buffer{};
  ssize_t count = 0;
  do {
    count = ::read(pipe_.get(), buffer.data(), std::min(bytes_max, buffer.size()));
  } while (count < 0 && errno == EINTR);
  if (count < 0 && errno == EAGAIN) return false;
  if (count <= 0) {
    pipe_.reset();
    return false;
  }
  bytes_this_second_ += static_cast<std::size_t>(count);
  take({buffer.data(), static_cast<std::size_t>(count)});
  return true;
}

void ProcessOutput::take(std::string_view bytes) {
  for (const char byte : bytes) {
    if (byte != '\n') line_.push_back(byte);
    if (byte == '\n' || line_.size() >= limits::kProcessOutputLineBytesMax) end_line();
  }
}

void ProcessOutput::end_line() {
  const std::string line = std::exchange(line_, {});
  if (line.empty()) return;
  last_lines_.push_back(codec::visible_text(line, kLastLineBytesMax));
  if (last_lines_.size() > kLastLinesMax) last_lines_.pop_front();
  if (!print_ || bytes_printed_ >= limits::kProcessOutputBytesMax) return;
  // An escaped byte takes four, so no line is shortened here.
  std::string text =
      process_ + " | " + codec::visible_text(line, 4 * limits::kProcessOutputLineBytesMax) + "\n";
  bytes_printed_ += text.size();
  if (bytes_printed_ >= limits::kProcessOutputBytesMax) {
    text = process_ + " | (has written too much; the rest is not shown)\n";
  }
  print_(text);
}

std::string ProcessOutput::last_lines() const {
  std::string text;
  for (const std::string& line : last_lines_) {
    if (!text.empty()) text += " | ";
    text += line;
  }
  return text;
}

void print_to_standard_error(std::string_view line) {
  // A pipe that is ready takes a line whole. A terminal that is stopped, or a reader that does not
  // read, must not stop a server.
  pollfd ready{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return;
  [[maybe_unused]] const auto ignored = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace mlxguard::launch
