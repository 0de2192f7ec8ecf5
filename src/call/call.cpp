// SPDX-License-Identifier: Apache-2.0
#include "call/call.h"

namespace mlxguard::call {

Call::Call(async::Executor executor, Request request)
    : timer_(executor, request.deadline), request_(std::move(request)) {}

Call::~Call() {
  if (!outcome_) give_up(make_error(ErrorCode::kClientGone, "nobody waits for the call"));
}

Task<std::optional<ReceivedPart>> Call::next() {
  for (;;) {
    if (!parts_.empty()) {
      ReceivedPart part = std::move(parts_.front());
      parts_.pop_front();
      if (const auto holder = holder_.lock()) holder->taken(*this, 1);
      co_return std::optional<ReceivedPart>(std::move(part));
    }
    if (outcome_) co_return std::nullopt;
    if (std::chrono::steady_clock::now() >= request_.deadline) {
      give_up(make_error(ErrorCode::kDeadline, "the request did not finish in its time"));
      co_return std::nullopt;
    }
    co_await timer_.async_wait(async::kAwait);
  }
}

const Outcome& Call::outcome() const {
  MLXGUARD_CHECK(outcome_.has_value());
  return *outcome_;
}

void Call::cancel() {
  if (outcome_) return;
  parts_.clear();
  give_up(make_error(ErrorCode::kClientGone, "the client went away before its answer"));
}

void Call::give_up(Error error) {
  outcome_ = LinkError(std::move(error));
  timer_.cancel();
  if (const auto holder = std::exchange(holder_, {}).lock()) holder->give_up(*this);
}

void Call::deliver(ReceivedPart part) {
  parts_.push_back(std::move(part));
  timer_.cancel();
}

void Call::finish(Outcome outcome) {
  if (outcome_) return;
  outcome_ = std::move(outcome);
  holder_.reset();
  timer_.cancel();
}

}  // namespace mlxguard::call
