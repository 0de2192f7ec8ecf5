// SPDX-License-Identifier: Apache-2.0
// Compares a model, where it lies, with what was signed. Input: a folder chosen by an attacker, and
// a statement whose signature verified. The answer is good for people, never for loading: the files
// may change right after.
#pragma once

#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"
#include "signature/findings.h"

namespace mlxguard::signature {

/// Both peers write "." for a model that is one file, the specification says its base name: the
/// latter becomes the former.
void unify_single_name(std::vector<artifact::FileDigest>& resources,
                       const artifact::ModelFolder& folder);

/// Everything that differs; both lists sorted by name. A file that is not signed, or that ends
/// elsewhere than its shards, is not hashed: it has no digest to compare with, and could be of any
/// size. Errors: those of ModelFolder::hash.
[[nodiscard]] Result<Findings> compare_in_place(
    const artifact::ModelFolder& folder, const std::vector<artifact::FileDigest>& signed_files,
    const std::vector<artifact::FileEntry>& entries, artifact::HashPlan plan,
    const artifact::Progress& progress);

}  // namespace mlxguard::signature
