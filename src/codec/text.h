// SPDX-License-Identifier: Apache-2.0
// Hexadecimal, base64, PEM and UTF-8: strict readers, plain writers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/byte_reader.h"
#include "base/result.h"

namespace mlxguard::codec {

using ByteVector = std::vector<std::uint8_t>;

[[nodiscard]] std::string to_hex(Bytes bytes);
/// Lowercase, even length; else kHex.
[[nodiscard]] Result<ByteVector> from_hex(std::string_view text);

/// RFC 4648 section 4, padded.
[[nodiscard]] std::string to_base64(Bytes bytes);
/// Canonical only: right padding, zero trailing bits, no white space; else kBase64.
[[nodiscard]] Result<ByteVector> from_base64(std::string_view text);

/// True for well-formed UTF-8 (no overlong forms, no surrogates).
[[nodiscard]] bool is_utf8(std::string_view text);

/// RFC 3339 UTC with milliseconds, such as 2026-11-23T12:00:00.000Z.
[[nodiscard]] std::string to_rfc3339(std::int64_t milliseconds_since_epoch);
/// Accepts a date alone, or date and time in UTC ("Z"), with or without fraction; else kJsonSyntax.
[[nodiscard]] Result<std::int64_t> from_rfc3339(std::string_view text);

}  // namespace mlxguard::codec
