// SPDX-License-Identifier: Apache-2.0
// What this process has just made durable, kept until the integrator takes it: events that are in
// memory need not be read from the journal, and its HMACs need not be checked again. Only a
// shortcut: whatever is not here is read from the journal.
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "log/journal.h"

namespace mlxguard::log {

/// One event, written and hashed.
struct EventLine {
  std::string text;
  Hash leaf{};
};

/// Events of one group, with consecutive index numbers.
struct RecentGroup {
  std::uint64_t first_index = 0;
  std::vector<EventLine> lines;
  JournalCursor cursor;  ///< behind them in the journal

  [[nodiscard]] std::uint64_t end() const { return first_index + lines.size(); }
};

/// Thread-safe.
class RecentEvents {
 public:
  void add(RecentGroup group);
  /// The groups that follow each other from index `from` on, until they have `events_min` events;
  /// none if the event with that number is not here. Older ones are forgotten.
  [[nodiscard]] std::vector<RecentGroup> take(std::uint64_t from, std::size_t events_min);

 private:
  std::mutex mutex_;
  std::deque<RecentGroup> groups_;
  std::size_t bytes_ = 0;
};

}  // namespace mlxguard::log
