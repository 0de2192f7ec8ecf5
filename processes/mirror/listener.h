// SPDX-License-Identifier: Apache-2.0
// What the mirror makes before it is locked: its listening socket, its TLS side, its keys.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "config/config.h"
#include "crypto/digest.h"
#include "http/tls.h"

namespace mlxguard::mirror {

struct Listener {
  UniqueFd socket;
  std::uint16_t port = 0;
};

/// Errors: kListen.
[[nodiscard]] Result<Listener> listen_on(const config::ListenAddress& address);
/// Nothing if no certificate is named. Errors: kTlsMaterial.
[[nodiscard]] Result<std::optional<http::TlsContext>> load_tls(
    const std::filesystem::path& certificate, const std::filesystem::path& private_key);
/// Digests of the keys, one a line; lines with # are remarks. Errors: kApiKeyFile.
[[nodiscard]] Result<std::vector<crypto::Sha256Digest>> load_api_keys(
    const std::filesystem::path& file);

}  // namespace mlxguard::mirror
