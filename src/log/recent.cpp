// SPDX-License-Identifier: Apache-2.0
#include "log/recent.h"

#include "base/limits.h"

namespace mlxguard::log {
namespace {

std::size_t bytes_of(const RecentGroup& group) {
  std::size_t bytes = 0;
  for (const EventLine& line : group.lines) bytes += sizeof(EventLine) + line.text.size();
  return bytes;
}

}  // namespace

void RecentEvents::add(RecentGroup group) {
  const std::size_t bytes = bytes_of(group);
  const std::lock_guard lock(mutex_);
  if (bytes_ + bytes > limits::kLogQueueBytesMax) {  // the integrator cannot follow just now
    groups_.clear();
    bytes_ = 0;
    return;
  }
  bytes_ += bytes;
  groups_.push_back(std::move(group));
}

std::vector<RecentGroup> RecentEvents::take(std::uint64_t from, std::size_t events_min) {
  std::vector<RecentGroup> taken;
  std::size_t events = 0;
  const std::lock_guard lock(mutex_);
  while (!groups_.empty() && events < events_min) {
    RecentGroup& next = groups_.front();
    if (next.first_index > from) break;
    bytes_ -= bytes_of(next);
    if (next.first_index == from) {
      from = next.end();
      events += next.lines.size();
      taken.push_back(std::move(next));
    }
    groups_.pop_front();
  }
  return taken;
}

}  // namespace mlxguard::log
