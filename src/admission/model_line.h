// SPDX-License-Identifier: Apache-2.0
// The model line, up to a VerifiedModel: open -> signatures -> policy -> names -> snapshot ->
// digests -> policy. Each station leaves its event; an event that cannot be made durable stops the
// line. Input: a path to anything. Trusted: the operator's keys and policy. Output: bytes that
// cannot change any more, or a recorded refusal.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <variant>

#include "admission/model_claim.h"
#include "admission/trust.h"
#include "artifact/model_folder.h"
#include "base/clock.h"
#include "base/result.h"
#include "record/event.h"
#include "signature/verified_model.h"
#include "signature/verify.h"

namespace mlxguard::admission {

/// Whether a receipt of the store may stand for hashing a stored model's files once more.
enum class Receipts : std::uint8_t { kRefused, kAllowed };

struct AdmitRequest {
  std::filesystem::path path;  ///< or "store:NAME"
  std::string name;            ///< under which it is served; empty: the folder's name
  artifact::Progress progress{};
  std::filesystem::path state{};           ///< where the store is; needed for "store:NAME" only
  Receipts receipts = Receipts::kRefused;  ///< where no trust.toml says it of the model's source
  std::string hugging_face{};              ///< ORG/NAME that the caller asked for, or empty
  OpenInspector open_inspector{};
  /// Called with what the trust policy said of a model that was admitted: for warnings to people.
  std::function<void(const trust::Judgement&)> judged{};
};

/// The whole line: signed by a trusted key and allowed by the trust policy. Every error is a
/// durable event `model.refused` before it is returned; if that event cannot be made durable, the
/// error is kLogWrite.
[[nodiscard]] Result<signature::VerifiedModel> admit(const AdmitRequest& request,
                                                     const Trust& trust, record::Sink& sink,
                                                     const Clock& clock);

/// For people who ask: hashes the files where they are, lists everything that differs, and makes
/// nothing that can be loaded. The same events, without a snapshot. An Error means that it could
/// not be found out.
[[nodiscard]] Result<std::variant<signature::VerifyReport, signature::Refusal>> verify_only(
    const AdmitRequest& request, const Trust& trust, record::Sink& sink, const Clock& clock);

}  // namespace mlxguard::admission
