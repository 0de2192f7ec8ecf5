// SPDX-License-Identifier: Apache-2.0
// Key and certificate files that other tools made and their users keep: PEM with anything around
// it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "crypto/certificate.h"
#include "crypto/secret.h"
#include "session.h"

namespace mlxguard::cli {

/// kNotFound, kPermission, kKeyPermissions, kTooLarge.
[[nodiscard]] Result<crypto::Secret> read_foreign_key_file(
    const Session& session, const std::string& file,
    std::size_t bytes_max = limits::kKeyFileBytesMax);
/// The first block of one of these kinds, with its end of line, in a file that may have other text
/// around it (as `openssl ec -text` prints keys); the whole text if there is none.
[[nodiscard]] std::string_view pem_block(std::string_view text,
                                         std::span<const std::string_view> kinds);
/// Every certificate of these files, in order. kCertificateInvalid and those of reading.
[[nodiscard]] Result<std::vector<crypto::Certificate>> read_certificates(
    const Session& session, const std::vector<std::string>& files);

}  // namespace mlxguard::cli
