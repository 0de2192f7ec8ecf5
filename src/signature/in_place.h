// SPDX-License-Identifier: Apache-2.0
// Compares a model, where it lies, with what was signed. Input: a folder chosen by an attacker, and
// a statement whose signature verified. The answer is good for people, never for loading: the files
// may change right after.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "signature/findings.h"

namespace mlxguard::signature {

/// Both peers write "." for a model that is one file, the specification says its base name: the
/// latter becomes the former.
void unify_single_name(std::vector<artifact::FileDigest>& resources,
                       const artifact::ModelFolder& folder);

/// By name as bytes of UTF-8, shards of a file by their start.
void sort_by_range(std::vector<artifact::FileDigest>& digests);

/// ModelFolder::hash over some of the files, in their order.
using HashFiles =
    std::function<Result<std::vector<artifact::FileDigest>>(std::span<const artifact::FileEntry>)>;

/// Everything that differs; both lists sorted by name. A file that is not signed, or that ends
/// elsewhere than its shards, is not hashed: it has no digest to compare with, and could be of any
/// size. `shard_bytes` is 0 where whole files were signed. Errors: those of `hash`.
[[nodiscard]] Result<Findings> compare_in_place(
    const std::vector<artifact::FileDigest>& signed_files,
    const std::vector<artifact::FileEntry>& entries, std::uint64_t shard_bytes,
    const HashFiles& hash);

}  // namespace mlxguard::signature
