// SPDX-License-Identifier: Apache-2.0
// What the mirror makes before it is locked: its TLS side, its keys.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/digest.h"
#include "http/tls.h"

namespace mlxguard::mirror {

/// Nothing if no certificate is named. Errors: kTlsMaterial.
[[nodiscard]] Result<std::optional<http::TlsContext>> load_tls(
    const std::filesystem::path& certificate, const std::filesystem::path& private_key);
/// Digests of the keys, one a line; lines with # are remarks. Errors: kApiKeyFile.
[[nodiscard]] Result<std::vector<crypto::Sha256Digest>> load_api_keys(
    const std::filesystem::path& file);

}  // namespace mlxguard::mirror
