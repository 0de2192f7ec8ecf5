// SPDX-License-Identifier: Apache-2.0
// For tests: a log whose disk fills up.
#pragma once

#include "events/event.h"

namespace mlxguard::admission {

/// Takes `budget` events and then has no disk left.
class FullSink final : public events::Sink {
 public:
  explicit FullSink(int budget) : budget_(budget) {}
  Result<void> append(const events::Event&) override {
    if (budget_-- > 0) return {};
    return make_error(ErrorCode::kLogWrite, "no space left");
  }

 private:
  int budget_;
};

}  // namespace mlxguard::admission
