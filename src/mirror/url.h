// SPDX-License-Identifier: Apache-2.0
// Absolute http and https URLs, and references resolved against them (RFC 3986). Input: links of an
// index page that an attacker may have written: no other scheme, no credentials, no control bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::mirror {

/// Who may put credentials into a URL: the operator may, a page may not.
enum class Credentials : std::uint8_t { kRefused, kAllowed };

struct Url {
  std::string scheme;       ///< "http" or "https"
  std::string credentials;  ///< "user:password", percent-encoded; only of the operator's own URL
  std::string host;         ///< lower case; an IPv6 address without brackets
  std::uint16_t port = 0;   ///< never 0: the scheme's own where none is given
  std::string path;         ///< starts with '/'; dot segments removed
  std::string query;        ///< without '?'

  /// Without credentials and fragment: safe to log, store and show.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] bool same_server(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

/// Errors: kMirrorPage. A fragment is dropped.
[[nodiscard]] Result<Url> parse_url(std::string_view text,
                                    Credentials credentials = Credentials::kRefused);
/// An absolute URL, "//host/path", "/path" or "relative/path" as seen from `base`.
[[nodiscard]] Result<Url> resolve_url(const Url& base, std::string_view reference);

/// "%2B" -> "+"; kMirrorPage for a broken escape or a NUL byte.
[[nodiscard]] Result<std::string> percent_decode(std::string_view text);
/// Everything but unreserved characters escaped.
[[nodiscard]] std::string percent_encode(std::string_view text);

}  // namespace mlxguard::mirror
