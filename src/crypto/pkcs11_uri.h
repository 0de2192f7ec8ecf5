// SPDX-License-Identifier: Apache-2.0
// PKCS#11 URIs (RFC 7512), as far as they name one private key: a token, an object, and the module
// that reaches them. Input: text from a command line, a script or a key record. Stricter than the
// RFC: an attribute that is not known is refused, since ignoring it could name another key, and so
// is `pin-value`, since a PIN does not belong where others can read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "crypto/secret.h"

namespace mlxguard::crypto {

struct Pkcs11Uri {
  // Of the token. Absent: any.
  std::optional<std::string> token{};
  std::optional<std::string> manufacturer{};
  std::optional<std::string> serial{};
  std::optional<std::string> model{};
  std::optional<std::uint64_t> slot_id{};
  // Of the key. At least one is there.
  std::optional<std::string> object{};
  std::optional<std::vector<std::uint8_t>> id{};

  std::string module_path{};              ///< absolute
  std::optional<std::string> pin_file{};  ///< of pin-source, absolute

  /// kTokenUri.
  [[nodiscard]] static Result<Pkcs11Uri> parse(std::string_view text);
  /// Reads back as the same value.
  [[nodiscard]] std::string text() const;
};

/// A URI as users of other tools write it, with the PIN inside and the module by its name.
struct ForeignPkcs11Uri {
  std::string text;           ///< for parse(): `module-path` in place of `module-name`, and no PIN
  std::optional<Secret> pin;  ///< of `pin-value`; whoever read the URI has it
};

/// Looks for the module in the system's own folders. kTokenUri; a text that is wrong otherwise
/// comes back as it is, for parse() to refuse.
[[nodiscard]] Result<ForeignPkcs11Uri> read_foreign_pkcs11_uri(std::string_view text);

}  // namespace mlxguard::crypto
