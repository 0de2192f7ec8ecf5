// SPDX-License-Identifier: Apache-2.0
#include "launch/outbox.h"

namespace mlxguard::launch {

Result<void> Outbox::flush(wire::Channel& channel) {
  while (!waiting_.empty()) {
    auto sent = channel.try_send(waiting_.front().packet);
    if (!sent) {
      if (sent.error().code != ErrorCode::kWorkerUnavailable) return std::move(sent).error();
      peer_gone_ = true;
      waiting_.clear();
      return {};
    }
    if (*sent == wire::SendStatus::kWouldBlock) break;
    waiting_.pop_front();
  }
  if (waiting_.size() <= kWaitingMax) return {};
  return make_error(ErrorCode::kWorkerProtocol, "a process does not read what it is sent");
}

}  // namespace mlxguard::launch
