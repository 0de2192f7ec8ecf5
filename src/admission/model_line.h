// SPDX-License-Identifier: Apache-2.0
// The model line, up to a VerifiedModel: open -> signature -> snapshot -> digests. Each station leaves an
// event; an event that cannot be made durable stops the line. Reads as one function.
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

/// The whole line. Every error is an event `model.refused` before it is returned.
[[nodiscard]] Result<signature::VerifiedModel> admit(const AdmitRequest& request,
                                                     const signature::TrustedKeys& trusted,
                                                     events::Sink& sink, const Clock& clock);

/// For people who ask: hashes in place, lists every finding, makes nothing that can be loaded.
[[nodiscard]] Result<std::variant<signature::VerifyReport, signature::Refusal>> verify_only(
    const AdmitRequest& request, const signature::TrustedKeys& trusted, events::Sink& sink,
    const Clock& clock);

}  // namespace mlxguard::admission
