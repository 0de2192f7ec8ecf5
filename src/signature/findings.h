// SPDX-License-Identifier: Apache-2.0
// Compares what was signed with what is there. Pure: no file is touched here.
#pragma once

#include <span>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "signature/statement.h"

namespace mlxguard::signature {

/// What differs, one Error a file (subject, expected, actual): kDigestMismatch first, then
/// kFileMissing, then kFileUnsigned, each by name. A renamed file is a missing one and an unsigned
/// one.
using Findings = std::vector<Error>;

/// Both lists sorted by name. Finds kFileMissing and kFileUnsigned.
[[nodiscard]] Findings compare_names(std::span<const artifact::FileDigest> signed_files,
                                     std::span<const artifact::FileEntry> present);

/// As compare_names(), and kDigestMismatch where the bytes differ.
[[nodiscard]] Findings compare_digests(std::span<const artifact::FileDigest> signed_files,
                                       std::span<const artifact::FileDigest> present);

}  // namespace mlxguard::signature
