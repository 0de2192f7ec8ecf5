// SPDX-License-Identifier: Apache-2.0
// Keys on PKCS#11 tokens. The token's module is foreign code: it runs in a process of its own
// (mlxguard-token, beside our programs), which is given the PIN and digests and gives back
// signatures; each of them is verified before it is used. See
// docs/adr/0010-token-module-in-a-process.md.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/secret.h"
#include "crypto/signer.h"

namespace mlxguard::crypto {

/// Asked once, and only after the token was found and says that a wrong PIN would not lock it.
using PinSource = std::function<Result<Secret>()>;

struct TokenOptions {
  /// Empty: mlxguard-token in the folder of the running program.
  std::filesystem::path program{};
  /// For each answer of the module; one that takes longer is ended.
  std::chrono::milliseconds answer_within = std::chrono::seconds(30);
};

/// Opens the one private key that `uri` (RFC 7512) names. Errors: kTokenUri (also: names more than
/// one key), kTokenModule (cannot be loaded, died, does not answer), kToken (no such token, or it
/// failed), kTokenPin (wrong, locked, or one wrong try before it locks), kTokenKeyNotFound,
/// kKeyFormat.
[[nodiscard]] Result<std::unique_ptr<Signer>> open_pkcs11_key(std::string_view uri,
                                                              const PinSource& pin,
                                                              const TokenOptions& options = {});

/// Makes a key pair on the token that never leaves it, under the label and id of `uri`. kKeyExists
/// if there is one.
[[nodiscard]] Result<std::unique_ptr<Signer>> generate_pkcs11_key(std::string_view uri, Curve curve,
                                                                  const PinSource& pin,
                                                                  const TokenOptions& options = {});

}  // namespace mlxguard::crypto
