// SPDX-License-Identifier: Apache-2.0
// The log's private key: an Ed25519 seed in a file of its own ($STATE/keys/log.ed25519), without a
// passphrase, since the log must be able to start by itself. Who can read it can write a log anew.
#pragma once

#include <filesystem>
#include <optional>

#include "base/result.h"
#include "crypto/ed25519.h"
#include "crypto/random.h"

namespace mlxguard::log {

/// Reads `keys_dir`/log.ed25519. Errors: kNotFound; kKeyPermissions if group or others have any
/// access, if another user owns it, or if it is not a regular file; kKeyFormat.
[[nodiscard]] Result<crypto::Ed25519Key> load_log_key(const std::filesystem::path& keys_dir);
/// The same; makes key and folder (0600, 0700) when there is none. Two processes get the same key.
[[nodiscard]] Result<crypto::Ed25519Key> load_or_create_log_key(
    const std::filesystem::path& keys_dir, crypto::Random& random);

}  // namespace mlxguard::log
