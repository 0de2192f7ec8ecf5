// SPDX-License-Identifier: Apache-2.0
// Compares what was signed with what is there. Pure: no file is touched here.
#pragma once

#include <span>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "signature/statement.h"

namespace mlxguard::signature {

/// What differs, one Error a file or shard (subject, expected, actual): kDigestMismatch first, then
/// kShard (a file that ends elsewhere than its shards), kFileMissing, kFileUnsigned, each by name.
/// A renamed file is a missing one and an unsigned one.
using Findings = std::vector<Error>;

/// Both lists sorted by name (shards by their start). Finds kFileMissing and kFileUnsigned, and
/// with the method `shards` (`shard_bytes` is not 0) kShard.
[[nodiscard]] Findings compare_names(std::span<const artifact::FileDigest> signed_files,
                                     std::span<const artifact::FileEntry> present,
                                     std::uint64_t shard_bytes = 0);

/// As compare_names(), and kDigestMismatch where the bytes differ. Both lists have the same shards
/// of the files that are in both.
[[nodiscard]] Findings compare_digests(std::span<const artifact::FileDigest> signed_files,
                                       std::span<const artifact::FileDigest> present);

}  // namespace mlxguard::signature
