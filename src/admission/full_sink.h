// SPDX-License-Identifier: Apache-2.0
// For tests: a log whose disk fills up.
#pragma once

#include "record/event.h"

namespace mlxguard::admission {

/// Takes `budget` events and then has no disk left.
class FullSink final : public record::Sink {
 public:
  explicit FullSink(int budget) : budget_(budget) {}
  Result<void> append(const record::Event&) override {
    if (budget_-- > 0) return {};
    return make_error(ErrorCode::kLogWrite, "no space left");
  }

 private:
  int budget_;
};

}  // namespace mlxguard::admission
