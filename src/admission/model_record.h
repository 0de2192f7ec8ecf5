// SPDX-License-Identifier: Apache-2.0
// ModelRecord: the events of one walk along the model line. Returns an error as soon as one of them
// could not be made durable, and the line returns it: what is not on record does not happen.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "admission/model_claim.h"
#include "base/clock.h"
#include "base/result.h"
#include "record/event.h"
#include "signature/verify.h"

namespace mlxguard::admission {

/// What is known of a model where its line ended.
struct Walked {
  signature::Findings findings{};
  std::optional<trust::Judgement> judgement{};
};

class ModelRecord {
 public:
  ModelRecord(std::string model, record::Sink& sink, const Clock& clock);

  [[nodiscard]] const std::string& model() const { return model_; }
  [[nodiscard]] Result<void> opened(const signature::VerifyReport& claimed);
  [[nodiscard]] Result<void> snapshot(const signature::VerifyReport& claimed);
  /// The policy's decision; an inspection that it took is on record first.
  [[nodiscard]] Result<trust::Approval> decide(PolicyStation& policy,
                                               const signature::Verifier& verifier,
                                               const ContentBytes& bytes,
                                               const OpenInspector& open_inspector);
  /// What a source in mode `warn` lets through, each a `model.warned`, and then the model itself.
  [[nodiscard]] Result<void> verified(const signature::VerifyReport& report);
  /// Gives the error back once it is on record; else the record's own failure.
  [[nodiscard]] Error refused(Error error, const Walked& walked);

 private:
  [[nodiscard]] Result<void> warned(const trust::Judgement& judgement);
  [[nodiscard]] Result<void> append(record::Kind kind, std::string message,
                                    const signature::VerifyReport& report);
  std::string model_;
  record::Sink& sink_;
  const Clock& clock_;
  std::chrono::steady_clock::time_point start_;
};

/// The served name, or the last component of the path.
[[nodiscard]] std::string model_name(const std::string& served_name,
                                     const std::filesystem::path& path);

}  // namespace mlxguard::admission
