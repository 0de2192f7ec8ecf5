// SPDX-License-Identifier: Apache-2.0
// Configuration files (JSON, YAML, TOML-like): keys that make a loader run code, templates inside
// of them, and weights indexes that leave the model. Keys are looked for at any depth and also in
// files that a strict parser refuses, since loaders are not strict. Input: text chosen by an
// attacker.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "inspect/finding.h"

namespace mlxguard::inspect {

/// What is known of a file beside its bytes.
struct FileContext {
  std::string name{};                   ///< below the model
  std::vector<std::string> siblings{};  ///< names in the same folder; only of weights indexes
};

/// Whether the file has to be well-formed: a file named .json, rather than text that looks like it.
enum class Strictness : std::uint8_t { kMustParse, kMayBeOther };

void scan_json(std::string_view untrusted_text, const FileContext& context, Strictness strictness,
               Findings& findings);
void scan_yaml(std::string_view untrusted_text, const FileContext& context, Findings& findings);

/// Whether this file's siblings are asked about: an index of weights.
[[nodiscard]] bool is_weights_index(std::string_view name);

}  // namespace mlxguard::inspect
