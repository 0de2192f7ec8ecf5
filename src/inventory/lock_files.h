// SPDX-License-Identifier: Apache-2.0
// Readers of requirements files and lock files. Input: text chosen by an attacker; nothing in it is
// fetched or run. A package's hashes are those of the files that an installer may take for it.
//
// Properties that they set beside the usual ones: "marker" (when the package is wanted at all),
// "specifier" (no exact version), "source_url", "commit", "files" (how many are offered),
// "optional" (asked for by an extra or group only), "asked_marker" (when the project itself asks
// for it, of a lock whose needs decide), "own" (sources of the project itself), "requirement",
// "extra:NAME" and "group:NAME" (as pyproject.toml has it), "record_digest" (of a lock that
// mlxguard wrote).
#pragma once

#include <string>
#include <string_view>

#include "inventory/component.h"
#include "inventory/distribution.h"

namespace mlxguard::inventory {

/// pylock.toml or pylock.NAME.toml.
[[nodiscard]] bool is_pylock_name(std::string_view name);

/// PEP 751. Errors: kDepsFile, kUtf8, kTooLarge.
[[nodiscard]] Result<Inventory> read_pylock(std::string_view text, const std::string& shown_root);
/// Lock files of uv, version 1. Errors: kDepsFile, kUtf8, kTooLarge.
[[nodiscard]] Result<Inventory> read_uv_lock(std::string_view text, const std::string& shown_root);
/// Lock files of poetry, versions 1 and 2. Errors: kDepsFile, kUtf8, kTooLarge.
[[nodiscard]] Result<Inventory> read_poetry_lock(std::string_view text,
                                                 const std::string& shown_root);
/// What pyproject.toml asks for ([project] dependencies and extras), which is no lock.
[[nodiscard]] Result<Inventory> read_pyproject(std::string_view text,
                                               const std::string& shown_root);

/// requirements.txt with its -r and -c files, which `read` gets relative to the first one's folder.
/// Errors: kDepsFile, kRequirement, kSpecifier, kMarker, kUtf8, kTooLarge (lines, files, a circle
/// of them).
[[nodiscard]] Result<Inventory> read_requirements(const std::string& file_name,
                                                  const FileReader& read,
                                                  const std::string& shown_root);

/// "sha256:<hex>" for a strong algorithm in lowercase hex of its length; else empty.
[[nodiscard]] std::string hash_of(std::string_view algorithm, std::string_view hex);

/// A URL without the user and password that someone may have written into it.
[[nodiscard]] std::string without_credentials(std::string url);

}  // namespace mlxguard::inventory
