// SPDX-License-Identifier: Apache-2.0
// How a call ended, in three types that cannot be mixed up: the answer is whole; the worker says
// that it failed; the link between the two processes failed. What a worker says in words comes from
// a process that may be compromised, so its type offers the words for the log only.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/result.h"
#include "call/messages.h"

namespace mlxguard::call {

/// What a worker said. Its code is one of our table and is believed as far as a client may see it
/// (front/errors.h decides); its words never reach a client.
class WorkerError {
 public:
  WorkerError(ErrorCode code, std::string reason) : code_(code), reason_(std::move(reason)) {}
  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& reason_for_log() const { return reason_; }

 private:
  ErrorCode code_;
  std::string reason_;
};

/// What this process found: the queue is full (kQueueFull), no worker is there
/// (kWorkerUnavailable), it died with the call (kWorkerDied), the time is over (kDeadline), the
/// call was cancelled (kClientGone), or the request could not be sent (kTooLarge, kIo). All of the
/// error was written by this process.
class LinkError {
 public:
  explicit LinkError(Error error) : error_(std::move(error)) {}
  [[nodiscard]] ErrorCode code() const { return error_.code; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
};

using Outcome = std::variant<Usage, WorkerError, LinkError>;

}  // namespace mlxguard::call
