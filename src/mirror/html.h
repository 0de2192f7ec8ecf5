// SPDX-License-Identifier: Apache-2.0
// As much HTML as an index page has: its anchors with their attributes and text. No tree, no
// script, no nesting: one pass, linear in the bytes, bounded in what it keeps. Input: bytes of an
// attacker.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace mlxguard::mirror {

struct Anchor {
  std::vector<std::pair<std::string, std::string>>
      attributes;    ///< lower-case names, decoded values
  std::string text;  ///< decoded, trimmed

  /// The first of this name.
  [[nodiscard]] const std::string* find(std::string_view name) const;
};

struct HtmlIndex {
  std::vector<Anchor> anchors;
  std::string repository_version;  ///< <meta name="pypi:repository-version" content=...>
};

/// Errors: kMirrorPage beyond the bounds (anchors, attributes, bytes of one tag) and for invalid
/// UTF-8.
[[nodiscard]] Result<HtmlIndex> parse_html_index(std::string_view untrusted_text);

/// & < > " ' as entities: for text and for attribute values in double quotes.
[[nodiscard]] std::string escape_html(std::string_view text);

}  // namespace mlxguard::mirror
