// SPDX-License-Identifier: Apache-2.0
// Where a model's bundle stands on disk: `model.sig` inside a model's folder, `FILE.sig` beside a
// model that is a single file. Read without following links; replaced atomically.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "artifact/model_folder.h"
#include "base/result.h"

namespace mlxguard::signature {

/// Name under which a new bundle of a folder is written before it is put in place. A signer that is
/// killed may leave it behind: it is not a part of the model (never signed, never loaded, no reason
/// to refuse), and the next signer removes it.
inline constexpr std::string_view kUnfinishedSignatureFile = ".model.sig.new";

[[nodiscard]] std::filesystem::path bundle_path(const artifact::ModelFolder& folder,
                                                const std::filesystem::path& model_path);

/// Untrusted text of the bundle. Errors: kSignatureMissing, kTooLarge, kArtifactSymlink.
[[nodiscard]] Result<std::string> read_bundle_file(const artifact::ModelFolder& folder,
                                                   const std::filesystem::path& model_path);

/// Puts the bundle in place: after a crash at any moment the old or the new one is there, whole.
/// Two signers of one model wait for each other.
[[nodiscard]] Result<std::filesystem::path> put_bundle_file(const artifact::ModelFolder& folder,
                                                            const std::filesystem::path& model_path,
                                                            std::string_view text);

}  // namespace mlxguard::signature
