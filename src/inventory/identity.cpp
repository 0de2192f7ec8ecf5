// SPDX-License-Identifier: Apache-2.0
#include "inventory/identity.h"

#include "packaging/name.h"
#include "packaging/purl.h"

namespace mlxguard::inventory {

std::string make_purl(std::string_view type, std::string_view space, std::string_view name,
                      std::string_view version, const Qualifiers& qualifiers) {
  packaging::Purl purl;
  purl.type = type;
  purl.space = space;
  purl.name = name;
  purl.version = version;
  for (const auto& [key, value] : qualifiers) {
    if (!value.empty()) purl.qualifiers[key] = value;
  }
  auto text = purl.write();
  if (text) return *std::move(text);
  // Names come from hostile files too. What is no purl of its type can still be told apart.
  purl.type = "generic";
  purl.space = type;
  auto fallback = purl.write();
  return fallback ? *std::move(fallback) : "pkg:generic/unnamed";
}

std::string pypi_purl(std::string_view name, std::string_view version,
                      const Qualifiers& qualifiers) {
  return make_purl("pypi", "", packaging::normalize_name(name), version, qualifiers);
}

std::string model_purl(std::string_view name, std::string_view root_digest) {
  return make_purl("generic", "", name, "", {{"checksum", "sha256:" + std::string(root_digest)}});
}

Result<PurlParts> read_purl(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(packaging::Purl purl, packaging::Purl::parse(text));
  if (purl.type == "pypi") purl.name = packaging::normalize_name(purl.name);
  PurlParts parts;
  MLXGUARD_TRY_ASSIGN(parts.canonical, purl.write());
  MLXGUARD_TRY(packaging::Purl::parse(parts.canonical));  // escapes may have made it too long
  parts.type = std::move(purl.type);
  parts.space = std::move(purl.space);
  parts.name = std::move(purl.name);
  parts.version = std::move(purl.version);
  return parts;
}

std::string with_version(std::string_view text, std::string_view version) {
  auto purl = packaging::Purl::parse(text);
  if (!purl || !purl->version.empty()) return std::string(text);
  purl->version = version;
  auto written = purl->write();
  return written ? *std::move(written) : std::string(text);
}

}  // namespace mlxguard::inventory
