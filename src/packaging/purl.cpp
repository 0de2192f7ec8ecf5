// SPDX-License-Identifier: Apache-2.0
// Source: purl-spec (how to parse and build, and the rules of each type).
#include "packaging/purl.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "base/ascii.h"
#include "base/limits.h"
#include "base/percent.h"
#include "packaging/name.h"
#include "packaging/purl_types.h"
#include "packaging/scan.h"

namespace mlxguard::packaging {
namespace {

Error invalid(std::string_view why, std::string_view text) {
  return make_error(ErrorCode::kPurl, "expected a package URL: " + std::string(why))
      .about(std::string(text));
}

std::optional<std::string> decode(std::string_view text) {
  if (text.find("%00") != std::string_view::npos) return std::nullopt;
  return percent_decode(text);
}

std::string encode(std::string_view text) { return percent_encode(text, ".-_~:"); }

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

/// Decodes each segment and leaves out empty ones. nullopt: a segment that hides a slash.
std::optional<std::string> join_segments(std::string_view text, bool is_subpath) {
  std::string out;
  for (const std::string_view part : split(text, '/')) {
    const auto segment = decode(part);
    if (!segment) return std::nullopt;
    if (segment->empty() || (is_subpath && (*segment == "." || *segment == ".."))) continue;
    if (is_subpath && segment->find('/') != std::string::npos) return std::nullopt;
    if (!out.empty()) out += '/';
    out += *segment;
  }
  return out;
}

bool is_key(std::string_view key) {
  return !key.empty() && !is_ascii_digit(key.front()) &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return is_ascii_alphanumeric(c) || c == '.' || c == '-' || c == '_';
         });
}

bool is_type(std::string_view type) {
  return !type.empty() && !is_ascii_digit(type.front()) &&
         std::all_of(type.begin(), type.end(), [](char c) {
           return is_ascii_alphanumeric(c) || c == '.' || c == '-' || c == '+';
         });
}

bool read_qualifiers(std::string_view text, Purl& purl) {
  for (const std::string_view pair : split(text, '&')) {
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos) return false;
    const std::string key = ascii_lower(pair.substr(0, equals));
    const auto value = decode(pair.substr(equals + 1));
    if (!is_key(key) || !value) return false;
    if (value->empty()) continue;
    if (!purl.qualifiers.emplace(key, *value).second) return false;
  }
  return true;
}

}  // namespace

Result<Purl> Purl::parse(std::string_view text) {
  if (text.size() > limits::kPurlBytesMax) return invalid("longer than any real one", {});
  const std::string_view whole = text;
  Purl purl;
  if (const std::size_t hash = text.rfind('#'); hash != std::string_view::npos) {
    auto subpath = join_segments(text.substr(hash + 1), true);
    if (!subpath) return invalid("a malformed subpath", whole);
    purl.subpath = *std::move(subpath);
    text = text.substr(0, hash);
  }
  if (const std::size_t mark = text.rfind('?'); mark != std::string_view::npos) {
    if (!read_qualifiers(text.substr(mark + 1), purl))
      return invalid("malformed qualifiers", whole);
    text = text.substr(0, mark);
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || ascii_lower(text.substr(0, colon)) != "pkg") {
    return invalid("it begins with pkg:", whole);
  }
  text.remove_prefix(colon + 1);
  while (text.starts_with('/')) text.remove_prefix(1);
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return invalid("it has a type and a name", whole);
  purl.type = ascii_lower(text.substr(0, slash));
  text.remove_prefix(slash + 1);

  const std::size_t last_slash = text.rfind('/');
  const std::size_t at = text.rfind('@');
  const bool versioned =
      at != std::string_view::npos && (last_slash == std::string_view::npos || at > last_slash);
  if (versioned) {
    auto version = decode(text.substr(at + 1));
    if (!version) return invalid("a malformed version", whole);
    purl.version = *std::move(version);
    text = text.substr(0, at);
    if (text.empty() || text.ends_with('/')) return invalid("a name", whole);
  }
  while (text.ends_with('/')) text.remove_suffix(1);
  const std::size_t name_at = text.rfind('/');
  auto name = decode(name_at == std::string_view::npos ? text : text.substr(name_at + 1));
  auto space = join_segments(
      name_at == std::string_view::npos ? std::string_view() : text.substr(0, name_at), false);
  if (!name || !space) return invalid("a malformed name", whole);
  purl.name = *std::move(name);
  purl.space = *std::move(space);
  if (!is_type(purl.type)) return invalid("a malformed type", whole);
  if (purl.name.empty()) return invalid("a name", whole);
  if (const auto why = apply_type_rules(purl)) return invalid(*why, whole);
  return purl;
}

Result<std::string> Purl::write() const {
  Purl purl = *this;
  purl.type = ascii_lower(purl.type);
  if (!is_type(purl.type)) return invalid("a type", type);
  if (purl.name.empty()) return invalid("a name", type);
  if (const auto why = apply_type_rules(purl)) return invalid(*why, type);
  std::string out = "pkg:" + purl.type + "/";
  for (const std::string_view segment : split(purl.space, '/')) {
    if (!segment.empty()) out += encode(segment) + "/";
  }
  // Of type git alone, a name has segments.
  bool first = true;
  for (const std::string_view segment : split(purl.name, purl.type == "git" ? '/' : '\0')) {
    out += (first ? "" : "/") + encode(segment);
    first = false;
  }
  if (!purl.version.empty()) out += "@" + encode(purl.version);
  char separator = '?';
  std::map<std::string, std::string> sorted;
  for (const auto& [key, value] : purl.qualifiers) {
    if (!is_key(key)) return invalid("a malformed qualifier", key);
    if (!value.empty()) sorted[ascii_lower(key)] = value;
  }
  for (const auto& [key, value] : sorted) {
    out += separator;
    out += key + "=" + encode(value);
    separator = '&';
  }
  std::string path;
  for (const std::string_view segment : split(purl.subpath, '/')) {
    if (segment.empty() || segment == "." || segment == "..") continue;
    path += (path.empty() ? "#" : "/") + encode(segment);
  }
  return out + path;
}

std::string pypi_purl(std::string_view name, std::string_view version) {
  std::string out = "pkg:pypi/" + encode(normalize_name(name));
  if (!version.empty()) out += "@" + encode(version);
  return out;
}

}  // namespace mlxguard::packaging
