// SPDX-License-Identifier: Apache-2.0
// The model line, up to a VerifiedModel: open -> signature and names -> snapshot -> digests. Each
// station leaves its event; an event that cannot be made durable stops the line. Input: a path to
// anything. Trusted: the operator's public keys. Output: bytes that cannot change any more, or a
// recorded refusal.
#pragma once

#include <filesystem>
#include <string>
#include <variant>

#include "artifact/model_folder.h"
#include "base/clock.h"
#include "base/result.h"
#include "events/event.h"
#include "signature/trusted_keys.h"
#include "signature/verified_model.h"
#include "signature/verify.h"

namespace mlxguard::admission {

struct AdmitRequest {
  std::filesystem::path path;
  std::string name;  ///< under which it is served; empty: the folder's name
  artifact::Progress progress{};
};

/// The whole line. Every error is a durable event `model.refused` before it is returned; if that
/// event cannot be made durable, the error is kLogWrite.
[[nodiscard]] Result<signature::VerifiedModel> admit(const AdmitRequest& request,
                                                     const signature::TrustedKeys& trusted,
                                                     events::Sink& sink, const Clock& clock);

/// For people who ask: hashes the files where they are, lists everything that differs, and makes
/// nothing that can be loaded. The same events, without a snapshot. An Error means that it could
/// not be found out.
[[nodiscard]] Result<std::variant<signature::VerifyReport, signature::Refusal>> verify_only(
    const AdmitRequest& request, const signature::TrustedKeys& trusted, events::Sink& sink,
    const Clock& clock);

}  // namespace mlxguard::admission
