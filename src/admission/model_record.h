// SPDX-License-Identifier: Apache-2.0
// ModelRecord: the events of one walk along the model line. Returns an error as soon as one of them
// could not be made durable, and the line returns it: what is not on record does not happen.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "events/event.h"
#include "signature/verify.h"

namespace mlxguard::admission {

class ModelRecord {
 public:
  ModelRecord(std::string model, events::Sink& sink, const Clock& clock);

  [[nodiscard]] const std::string& model() const { return model_; }
  [[nodiscard]] Result<void> opened(const signature::VerifyReport& claimed);
  [[nodiscard]] Result<void> snapshot(const signature::VerifyReport& claimed);
  [[nodiscard]] Result<void> verified(const signature::VerifyReport& report);
  /// Gives the error back once it is on record; else the record's own failure.
  [[nodiscard]] Error refused(Error error, const signature::Findings& findings);

 private:
  [[nodiscard]] Result<void> append(events::Kind kind, std::string message,
                                    const signature::VerifyReport& report);
  std::string model_;
  events::Sink& sink_;
  const Clock& clock_;
  std::chrono::steady_clock::time_point start_;
};

/// The served name, or the last component of the path.
[[nodiscard]] std::string model_name(const std::string& served_name,
                                     const std::filesystem::path& path);

}  // namespace mlxguard::admission
