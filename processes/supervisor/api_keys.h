// SPDX-License-Identifier: Apache-2.0
// API keys: read as hashes, made once when there are none. A key is 32 random bytes, so a plain
// SHA-256 is enough to store it: there is nothing to guess (a passphrase would need a slow hash).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "crypto/random.h"
#include "ipc/messages.h"

namespace mlxguard::supervisor {

struct ApiKeys {
  std::vector<ipc::ApiKeyHash> hashes;
  /// Set when the file did not exist and a key was made: the one time it can be shown.
  std::optional<std::string> created;
};

/// Reads `file`. Lines: `NAME sha256:<hex>`, `NAME KEY`, or `KEY` alone; '#' starts a comment. A
/// file that holds a key itself must not be readable by others. Errors: kApiKeyFile,
/// kUnsafePermissions.
[[nodiscard]] Result<ApiKeys> load_api_keys(const std::filesystem::path& file);

/// Reads $STATE/api-keys; when it is absent, makes one key and stores its hash there (0600).
[[nodiscard]] Result<ApiKeys> load_or_create_api_keys(const std::filesystem::path& file,
                                                      crypto::Random& random);

}  // namespace mlxguard::supervisor
