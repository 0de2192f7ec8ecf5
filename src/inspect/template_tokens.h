// SPDX-License-Identifier: Apache-2.0
// The tokens of a Jinja template: what stands between its tags, as an untrusting reader sees it. It
// follows Jinja's default delimiters; what it cannot follow it says, since an unclosed tag hides
// code. Input: text chosen by an attacker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace mlxguard::inspect {

enum class TokenKind : std::uint8_t {
  kName,
  kInteger,
  kNumber,
  kString,      ///< `text` is its value, escapes resolved
  kOperator,    ///< one or two characters
  kBlockBegin,  ///< {%
  kBlockEnd,    ///< %}
  kValueBegin,  ///< {{
  kValueEnd,    ///< }}
};

struct Token {
  TokenKind kind = TokenKind::kOperator;
  std::string text{};
  std::uint64_t offset = 0;
  std::uint64_t line = 1;
};

struct TemplateTokens {
  std::vector<Token> tokens{};
  /// Where the template is not well-formed: a tag or string that is not closed. Empty if it is.
  std::string malformed{};
  std::uint64_t malformed_line = 0;
};

/// Errors: kTooLarge beyond the bounds of limits.h.
[[nodiscard]] Result<TemplateTokens> tokenize_template(std::string_view untrusted_text);

}  // namespace mlxguard::inspect
