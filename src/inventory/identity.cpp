// SPDX-License-Identifier: Apache-2.0
#include "inventory/identity.h"

#include <algorithm>

namespace mlxguard::inventory {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

/// PEP 503.
std::string normalized(std::string_view name) {
  std::string out;
  for (const char c : lower(name)) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (!separator) out += c;
    else if (!out.ends_with('-')) out += '-';
  }
  return out;
}

std::string encoded(std::string_view text, std::string_view also_plain) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == ':' ||
                       also_plain.find(c) != std::string_view::npos;
    if (plain) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace

std::string make_purl(std::string_view type, std::string_view space, std::string_view name,
                      std::string_view version, const Qualifiers& qualifiers) {
  std::string purl = "pkg:" + std::string(type) + "/";
  if (!space.empty()) purl += encoded(space, "/") + "/";
  purl += encoded(name, "");
  if (!version.empty()) purl += "@" + encoded(version, "");
  Qualifiers sorted = qualifiers;
  std::sort(sorted.begin(), sorted.end());
  char separator = '?';
  for (const auto& [key, value] : sorted) {
    if (value.empty()) continue;
    purl += separator + key + "=" + encoded(value, "/");
    separator = '&';
  }
  return purl;
}

std::string pypi_purl(std::string_view name, std::string_view version,
                      const Qualifiers& qualifiers) {
  return make_purl("pypi", "", normalized(name), version, qualifiers);
}

std::string model_purl(std::string_view name, std::string_view root_digest) {
  return make_purl("generic", "", name, "", {{"checksum", "sha256:" + std::string(root_digest)}});
}

Result<PurlParts> read_purl(std::string_view text) {
  const auto refuse = [] { return make_error(ErrorCode::kPurl, "expected pkg:type/name"); };
  if (!text.starts_with("pkg:")) return refuse();
  std::string_view rest = text.substr(4);
  rest = rest.substr(0, rest.find('#'));
  rest = rest.substr(0, rest.find('?'));
  PurlParts parts;
  if (const auto at = rest.rfind('@'); at != std::string_view::npos && at > 0) {
    parts.version = rest.substr(at + 1);
    rest = rest.substr(0, at);
  }
  const auto slash = rest.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 >= rest.size()) return refuse();
  parts.type = lower(rest.substr(0, slash));
  rest.remove_prefix(slash + 1);
  if (const auto last = rest.rfind('/'); last != std::string_view::npos) {
    parts.space = rest.substr(0, last);
    rest = rest.substr(last + 1);
  }
  parts.name = parts.type == "pypi" ? normalized(rest) : std::string(rest);
  if (parts.name.empty()) return refuse();
  parts.canonical = parts.type == "pypi" ? pypi_purl(parts.name, parts.version) : std::string(text);
  return parts;
}

std::string with_version(std::string_view text, std::string_view version) {
  if (version.empty() || text.find('@') != std::string_view::npos) return std::string(text);
  const auto end = std::min(text.find('?'), text.find('#'));
  std::string purl(text.substr(0, end));
  purl += "@" + encoded(version, "");
  if (end != std::string_view::npos) purl += text.substr(end);
  return purl;
}

}  // namespace mlxguard::inventory
