// SPDX-License-Identifier: Apache-2.0
// Claim: what is known of a model when the policy is asked about it. Made by verification; the
// signers in it are proven, the rest is what they signed or what the caller said.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"
#include "trust/signer.h"

namespace mlxguard::trust {

/// The file of a model whose signed content the policy reads.
inline constexpr std::string_view kModelNotesFile = "mlxguard.json";

/// What mlxguard.json says of the model itself. Believed because it is signed like every file.
struct ModelNotes {
  std::optional<std::string> name{};     ///< "name": what stays the same from version to version
  std::optional<std::string> version{};  ///< "version"
  std::optional<std::string> hugging_face{};  ///< "origin": {"hugging_face": "ORG/NAME"}
};
/// Other members are for others to judge. kManifestInvalid if these have another type, or it is no
/// JSON.
[[nodiscard]] Result<ModelNotes> parse_model_notes(std::string_view text);

/// What an inspection of the model's files said.
struct InspectionFinding {
  std::string rule;
  std::string severity;
  std::string file;
};

/// `pattern` of a policy: a rule's id, or severity:LEVEL for that and everything worse (info, low,
/// medium, high, critical). A severity that is none of these is worse than all.
[[nodiscard]] bool finding_matches(std::string_view pattern, const InspectionFinding& finding);

/// What only the bytes tell. Made when their digests are known to be the signed ones.
struct Content {
  ModelNotes notes{};
  struct FileFormats {
    std::string file;
    std::vector<std::string> formats;  ///< of trust/formats.h
  };
  std::vector<FileFormats> files{};
  /// Absent: nobody looked.
  std::optional<std::vector<InspectionFinding>> findings{};
  /// Empty if the inspection came to its end; else why it did not.
  std::string inspection_gap{};
};

struct Claim {
  std::filesystem::path location{};         ///< absolute, without links
  std::string hugging_face{};               ///< the caller's word, or empty
  std::vector<std::string> root_digests{};  ///< of the signed list; first the one that was signed
  std::vector<Signer> signers{};
  std::vector<std::string> legacy{};  ///< old forms that its bundles use
  std::optional<Content> content{};   ///< absent: not looked at yet
};

}  // namespace mlxguard::trust
