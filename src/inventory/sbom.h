// SPDX-License-Identifier: Apache-2.0
// Reads CycloneDX JSON, 1.2 to 1.7: an SBOM that a wheel carries, or one that a user hands over.
// Input: bytes chosen by an attacker. What is read is judged strictly: the parts that become
// components and dependencies must be as the specification says. What is not read is not judged
// (docs/dependencies.md).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inventory/component.h"

namespace mlxguard::inventory {

struct Sbom {
  std::string spec_version;
  std::string root_ref;               ///< bom-ref of metadata.component; may be empty
  std::string root_purl;              ///< canonical; may be empty
  std::vector<Component> components;  ///< nested ones too; `location` is not set
  std::vector<std::string> refs;      ///< the components' bom-refs, side by side; may be empty
  /// bom-refs: who depends on whom.
  std::vector<std::pair<std::string, std::string>> dependencies;
  std::size_t without_purl = 0;  ///< components of which only a name is told
};

/// Whether a licence's id must be one of the SPDX list. Lists grow: what a wheel carries may be
/// newer.
enum class LicenseIds : std::uint8_t { kKnown, kAny };
/// Errors: kSbom, kTooLarge, and the codes of JSON.
[[nodiscard]] Result<Sbom> read_sbom(std::string_view text, LicenseIds ids = LicenseIds::kKnown);

/// Whether the text looks like CycloneDX, so that it is worth reading as one.
[[nodiscard]] bool is_cyclonedx(std::string_view text);

}  // namespace mlxguard::inventory
