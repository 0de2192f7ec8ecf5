// SPDX-License-Identifier: Apache-2.0
// Package URLs (purl-spec): `pkg:pypi/mlx-lm@0.32.2`, `pkg:huggingface/ORG/NAME@REVISION`.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace mlxguard::packaging {

struct Purl {
  std::string type;
  std::string space;  ///< namespace, decoded, segments joined by '/'; may be empty
  std::string name;
  std::string version;                            ///< may be empty
  std::map<std::string, std::string> qualifiers;  ///< by key
  std::string subpath;                            ///< may be empty

  /// Normalised as the type demands. Errors: kPurl.
  [[nodiscard]] static Result<Purl> parse(std::string_view text);
  /// Canonical text; normalises as parse() does. Errors: kPurl for a purl that cannot be written.
  [[nodiscard]] Result<std::string> write() const;

  friend bool operator==(const Purl&, const Purl&) = default;
};

/// The canonical purl of a PyPI package; `version` may be empty.
[[nodiscard]] std::string pypi_purl(std::string_view name, std::string_view version);

}  // namespace mlxguard::packaging
