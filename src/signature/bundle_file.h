// SPDX-License-Identifier: Apache-2.0
// Where a model's bundle stands on disk: `model.sig` inside a model's folder, `FILE.sig` beside a
// model that is a single file; those of further signers in `model.sig.d/NAME.sig`,
// `FILE.sig.d/NAME.sig`. Read without following links; replaced atomically.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/model_folder.h"
#include "base/result.h"

namespace mlxguard::signature {

/// Name under which a new bundle of a folder is written before it is put in place. A signer that is
/// killed may leave it behind: it is not a part of the model (never signed, never loaded, no reason
/// to refuse), and the next signer removes it.
inline constexpr std::string_view kUnfinishedSignatureFile = ".model.sig.new";

/// The same for a bundle of another name: `own.sig`, or `folder/own.sig` below the model.
[[nodiscard]] std::string unfinished_file_of(std::string_view bundle_file);

[[nodiscard]] std::filesystem::path bundle_path(const artifact::ModelFolder& folder,
                                                const std::filesystem::path& model_path);

/// Untrusted text of the bundle. Errors: kSignatureMissing, kTooLarge, kArtifactSymlink.
[[nodiscard]] Result<std::string> read_bundle_file(const artifact::ModelFolder& folder,
                                                   const std::filesystem::path& model_path);

/// The bundle of a further signer: untrusted text, or why it could not be read.
struct FurtherBundle {
  std::string name;  ///< "model.sig.d/NAME.sig"
  Result<std::string> text;
};
/// By name. Errors: kSignatureCount for more than kModelBundlesMax with the first.
[[nodiscard]] Result<std::vector<FurtherBundle>> read_further_bundles(
    const artifact::ModelFolder& folder, const std::filesystem::path& model_path);

/// The same for a bundle that stands where its path says.
[[nodiscard]] Result<std::string> read_bundle_at(const std::filesystem::path& file);
[[nodiscard]] Result<void> put_bundle_at(const std::filesystem::path& file, std::string_view text);

/// Puts the bundle of a further signer in place, as put_bundle_file() does.
[[nodiscard]] Result<std::filesystem::path> put_further_bundle(
    const artifact::ModelFolder& folder, const std::filesystem::path& model_path,
    const std::string& signer, std::string_view text);

/// Puts the bundle in place: after a crash at any moment the old or the new one is there, whole.
/// Two signers of one model wait for each other.
[[nodiscard]] Result<std::filesystem::path> put_bundle_file(const artifact::ModelFolder& folder,
                                                            const std::filesystem::path& model_path,
                                                            std::string_view text);

}  // namespace mlxguard::signature
