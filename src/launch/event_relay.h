// SPDX-License-Identifier: Apache-2.0
// EventRelay: the gateway's events on their way to the log. Each has a sequence number; the relay
// says up to which number everything is durable. An event whose write failed (disk full) is kept
// and tried again: nothing is acknowledged that is not on disk, and nothing is dropped.
// Input: events of a gateway that may be compromised. The relay holds no more of them than the
// window allows (limits::kEventWindow, limits::kEventWindowBytes); a gateway that reports more
// before it is acknowledged breaks the protocol.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "record/event.h"

namespace mlxguard::launch {

/// Not thread-safe, but for the callbacks that it hands out.
class EventRelay {
 public:
  using Done = std::function<void(Result<void> written)>;
  /// Calls `done` exactly once, from any thread, perhaps before it returns. The event lives until
  /// then. It may be called after the relay is gone.
  using Submit = std::function<void(const record::Event& event, Done done)>;

  /// Errors: kIo.
  [[nodiscard]] static Result<std::unique_ptr<EventRelay>> create(Submit submit);

  /// Takes the event with the next number: 1, 2, 3, ... `size_bytes` is what the message took.
  /// kWorkerProtocol for any other number, and for an event beyond the window.
  [[nodiscard]] Result<void> add(std::uint64_t sequence, record::Event event,
                                 std::size_t size_bytes);
  /// Submits what was added since the last call, in order.
  void submit_added();
  /// The highest number up to which all are durable, if it rose since the last call. This is what
  /// makes room in the window, so the caller passes it on to the gateway.
  [[nodiscard]] std::optional<std::uint64_t> take_acknowledged();
  /// Submits again what could not be written; the supervisor calls it now and then.
  void retry_failed();
  [[nodiscard]] bool has_failed() const { return !failed_.empty(); }
  /// Readable when take_acknowledged() may have news.
  [[nodiscard]] int notify_fd() const;

  /// Events that are not yet acknowledged, and what their messages took.
  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  [[nodiscard]] std::size_t pending_bytes() const { return pending_bytes_; }

 private:
  struct Shared;
  struct Pending {
    std::shared_ptr<const record::Event> event;  ///< the submission that is under way shares it
    std::size_t size_bytes = 0;
    bool durable = false;
  };
  EventRelay(Submit submit, std::shared_ptr<Shared> shared);
  void submit(std::uint64_t sequence);
  [[nodiscard]] Pending& at(std::uint64_t sequence);

  Submit submit_;
  std::shared_ptr<Shared> shared_;  ///< callbacks that the relay handed out hold it too
  std::deque<Pending> pending_;     ///< the first has number acknowledged_ + 1
  std::size_t pending_bytes_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t submitted_ = 0;        ///< the highest number that was submitted
  std::vector<std::uint64_t> failed_;  ///< to be submitted again
};

}  // namespace mlxguard::launch
