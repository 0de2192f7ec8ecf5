// SPDX-License-Identifier: Apache-2.0
// The data channel to one worker, for one generation of it: a bounded queue, a bounded number of
// requests in the worker's hands, a deadline for each. When the worker dies every request is
// answered at once. Sends only what was validated. Input: a worker's answers; the worker may be
// compromised, so an answer that nobody waits for or of the wrong kind ends the link.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <variant>

#include "ipc/messages.h"
#include "net.h"
#include "validate/check.h"
#include "validate/text_rules.h"
#include "wire/channel.h"

namespace mlxguard::gateway {

/// What may be sent to a worker.
using Work = std::variant<validate::ValidatedInputs, validate::ValidatedTexts>;
/// What came back for it, of the same kind; not yet checked against the schema.
using Reply = std::variant<ipc::InferAnswer, ipc::EmbedAnswer>;

struct WorkerLinkOptions {
  std::size_t queue_max = 256;    ///< requests that wait
  std::size_t in_flight_max = 2;  ///< requests that the worker holds
  std::chrono::milliseconds request_timeout{60'000};
};

class WorkerLink : public std::enable_shared_from_this<WorkerLink> {
 public:
  /// `on_overdue` is called at most once: the worker has answered nothing for a whole request
  /// timeout while it held a request, or broke the protocol. It is to be killed.
  WorkerLink(Executor executor, wire::Channel channel, WorkerLinkOptions options,
             std::function<void()> on_overdue);
  ~WorkerLink();
  WorkerLink(const WorkerLink&) = delete;
  WorkerLink& operator=(const WorkerLink&) = delete;

  /// Starts to read answers; once.
  void start();

  /// kQueueFull if neither the worker nor the queue has room; kWorkerUnavailable if it is gone.
  [[nodiscard]] Result<void> has_room() const;
  /// Sends, or waits for its turn; returns the answer. Errors: as above, kDeadline, kWorkerDied,
  /// and what the worker refused or failed with.
  [[nodiscard]] Task<Result<Reply>> ask(Work work, SteadyTime deadline);

  /// The supervisor says that the worker is gone and why: answers everything.
  void end(const Error& reason);

 private:
  struct Slot;
  enum class Kind : std::uint8_t { kInfer, kEmbed };

  Task<void> receive();
  Task<void> wait_for_room();
  Task<void> watch();
  Task<void> end_without_reason();
  void pump();
  /// False if the message breaks the protocol.
  [[nodiscard]] bool deliver(const wire::Received& received);
  template <class Answer>
  [[nodiscard]] bool deliver_answer(const wire::Received& received, Kind kind);
  [[nodiscard]] bool settle(std::uint64_t id, std::optional<Kind> kind, Result<Reply> result);
  void hang_up(const Error& why);
  void report_overdue();
  void give_up(const std::shared_ptr<Slot>& slot);
  [[nodiscard]] Result<wire::Packet> packet_of(Work work, std::uint64_t id,
                                              SteadyTime deadline) const;

  Executor executor_;
  wire::Channel channel_;
  Descriptor descriptor_;  ///< the channel's descriptor, for waiting; the channel owns it
  WorkerLinkOptions options_;
  std::function<void()> on_overdue_;
  Timer watch_timer_;
  Timer end_timer_;
  std::deque<std::shared_ptr<Slot>> waiting_;
  std::map<std::uint64_t, std::shared_ptr<Slot>> held_;  ///< by the worker; also those given up
  std::uint64_t next_id_ = 1;
  SteadyTime progress_{};  ///< when the worker last answered, or began to hold something
  bool blocked_ = false;   ///< the socket is full; wait_for_room is waiting
  bool gone_ = false;      ///< nothing is sent any more
  bool ended_ = false;     ///< everything was answered
};

}  // namespace mlxguard::gateway
