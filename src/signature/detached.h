// SPDX-License-Identifier: Apache-2.0
// A model checked where it is against a statement whose bundle may stand anywhere: for tools whose
// users name both, and who say what else to leave out. Input: a folder chosen by an attacker, and
// the payload of a bundle that authenticate() took. Nothing that can be loaded comes of it: see
// verify.h for that.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "signature/statement.h"
#include "signature/verify.h"

namespace mlxguard::signature {

/// kTolerated: only the signed files are looked at. Links, pipes and names that no model may have
/// are tolerated too, where they are not in the place of a signed file.
enum class UnsignedFiles : std::uint8_t { kRefused, kTolerated };

struct DetachedOptions {
  StatementOptions statement{};
  /// Paths below the root that are left out, besides those that the statement names: the bundle's
  /// own, and what the user says. A signed file among them is refused, not passed over.
  std::vector<std::string> ignored{};
  UnsignedFiles unsigned_files = UnsignedFiles::kRefused;
  /// Links are followed only if this and the statement say so.
  artifact::Links links = artifact::Links::kRefused;
  artifact::Progress progress{};
};

/// A Refusal lists everything that differs. Errors: those of parse_statement, kIgnoredRead, and
/// those of ModelFolder. The report has no signer.
[[nodiscard]] Result<std::variant<VerifyReport, Refusal>> check_detached(
    artifact::ModelFolder folder, std::string_view payload, const DetachedOptions& options);

}  // namespace mlxguard::signature
