// SPDX-License-Identifier: Apache-2.0
// EventRelay: the gateway's events on their way to the log. Each has a sequence number; the relay
// says up to which number everything is durable. An event whose write failed (disk full) is kept
// and tried again: nothing is acknowledged that is not on disk, and nothing is dropped.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "log/state_log.h"

namespace mlxguard::supervisor {

class EventRelay {
 public:
  /// `log` must outlive the relay.
  [[nodiscard]] static Result<std::unique_ptr<EventRelay>> create(log::EventLog& log);

  /// Called with 1, 2, 3, ... by the supervisor's thread. kWorkerProtocol for any other number.
  [[nodiscard]] Result<void> submit(std::uint64_t sequence, record::Event event);
  /// The highest number up to which all are durable, if it rose since the last call.
  [[nodiscard]] std::optional<std::uint64_t> take_acknowledged();
  /// Tries failed writes again; the supervisor calls it now and then.
  void retry_failed();
  [[nodiscard]] bool has_failed() const;
  /// Readable when take_acknowledged() may have news.
  [[nodiscard]] int notify_fd() const;

 private:
  struct Shared;
  EventRelay(log::EventLog& log, std::shared_ptr<Shared> shared);
  void write(std::uint64_t sequence, const record::Event& event);

  log::EventLog& log_;
  std::shared_ptr<Shared> shared_;  ///< callbacks of the log's thread hold it too
  std::uint64_t expected_ = 1;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace mlxguard::supervisor
