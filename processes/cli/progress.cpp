// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include <fmt/format.h>

namespace mlxguard::cli {
namespace {

using std::chrono::duration;
constexpr std::chrono::milliseconds kQuietAtFirst{1000};
constexpr std::chrono::milliseconds kBetween{100};

}  // namespace

ProgressLine::ProgressLine(const Output& output, const Clock& clock, std::string what)
    : output_(output), clock_(clock), what_(std::move(what)), started_(clock.steady()) {}

std::function<void(std::uint64_t, std::uint64_t)> ProgressLine::callback() {
  if (!output_.interactive()) return {};
  return [this](std::uint64_t done, std::uint64_t total) { show(done, total); };
}

void ProgressLine::show(std::uint64_t done, std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  const auto now = clock_.steady();
  if (now - started_ < kQuietAtFirst || now - shown_at_ < kBetween || total == 0) return;
  shown_at_ = now;
  shown_ = true;
  const double seconds = duration<double>(now - started_).count();
  const double rate = static_cast<double>(done) / seconds;
  const double left = rate > 0 ? static_cast<double>(total - std::min(done, total)) / rate : 0;
  output_.progress(fmt::format("{} {:3.0f} %  {} of {}  {}/s  {:.0f} s left", what_,
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
