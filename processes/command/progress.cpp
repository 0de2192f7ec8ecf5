// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <fmt/format.h>

#include <algorithm>

namespace mlxguard::cli {
namespace {

using std::chrono::duration;
constexpr std::chrono::milliseconds kQuietAtFirst{1000};
constexpr std::chrono::milliseconds kBetween{100};

/// "8 s", "4 min", "2 h 5 min".
std::string time_text(double seconds) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  const auto whole = static_cast<std::int64_t>(std::min(seconds, 1e9)) + 1;
  if (whole < 2 * kMinute) return fmt::format("{} s", whole);
  if (whole < 2 * kHour) return fmt::format("{} min", whole / kMinute);
  return fmt::format("{} h {} min", whole / kHour, whole % kHour / kMinute);
}

}  // namespace

ProgressLine::ProgressLine(const Output& output, const Clock& clock, std::string what)
    : output_(output), clock_(clock), what_(std::move(what)) {}

std::function<void(std::uint64_t, std::uint64_t)> ProgressLine::callback() {
  if (!output_.interactive()) return {};
  return [this](std::uint64_t done, std::uint64_t total) { show(done, total); };
}

void ProgressLine::show(std::uint64_t done, std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.steady();
  if (!started_) {
    started_ = now;
    done_at_start_ = done;
  }
  if (now - *started_ < kQuietAtFirst || now - shown_at_ < kBetween || total == 0) return;
  shown_at_ = now;
  shown_ = true;
  const double seconds = duration<double>(now - *started_).count();
  const std::uint64_t since_start = done - std::min(done, done_at_start_);
  const double rate = static_cast<double>(since_start) / seconds;
  const std::uint64_t remaining = total - std::min(done, total);
  // Without a first byte there is no rate to go by.
  const std::string left =
      since_start == 0 ? std::string("?") : time_text(static_cast<double>(remaining) / rate);
  output_.progress(fmt::format("{} {:3.0f} %  {} of {}  {}/s  {} left", what_,
                               100.0 * static_cast<double>(done) / static_cast<double>(total),
                               human_bytes(done), human_bytes(total),
                               human_bytes(static_cast<std::uint64_t>(rate)), left));
}

void ProgressLine::finish() {
  const std::lock_guard lock(mutex_);
  if (shown_) output_.progress({});
  shown_ = false;
}

}  // namespace mlxguard::cli
