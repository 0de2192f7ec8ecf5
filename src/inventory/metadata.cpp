// SPDX-License-Identifier: Apache-2.0
#include "inventory/metadata.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/limits.h"
#include "codec/text.h"

namespace mlxguard::inventory {
namespace {

constexpr std::size_t kLicenseBytesMax = 80;

Error malformed(std::string message) {
  return make_error(ErrorCode::kDepsFile, std::move(message));
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  return text;
}

Result<void> once(std::string& field, std::string value, const char* name) {
  if (!field.empty()) return malformed(std::string("a second ") + name + " field");
  field = std::move(value);
  return {};
}

Result<void> take(Metadata& metadata, const std::string& name, std::string value) {
  if (name == "name") return once(metadata.name, std::move(value), "Name");
  if (name == "version") return once(metadata.version, std::move(value), "Version");
  if (name == "requires-dist") metadata.requires_dist.push_back(std::move(value));
  if (name == "provides-extra") metadata.provides_extra.push_back(std::move(value));
  if (name == "dynamic") metadata.dynamic.push_back(ascii_lower(value));
  if (name == "requires-python") metadata.requires_python = std::move(value);
  if (name == "license-expression") metadata.license = std::move(value);
  if (name == "license" && metadata.license.empty() && value.size() <= kLicenseBytesMax &&
      value.find('\n') == std::string::npos && value != "UNKNOWN") {
    metadata.license = std::move(value);
  }
  return {};
}

}  // namespace

Result<Metadata> parse_metadata(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  if (text.size() > limits::kMetadataBytesMax) {
    return make_error(ErrorCode::kTooLarge, "the metadata is larger than allowed");
  }
  Metadata metadata;
  std::string name, value;
  std::size_t fields = 0;
  for (std::size_t at = 0; at <= text.size() + 1;) {  // one empty line more: the last field's end
    const std::size_t start = std::min(at, text.size());
    const std::size_t end = std::min(text.find('\n', start), text.size());
    const std::string_view line = text.substr(start, end - start);
    at = end + 1;
    const bool last = trimmed(line).empty() && (line.empty() || line == "\r");
    if (!last && (line.front() == ' ' || line.front() == '\t')) {
      if (name.empty()) return malformed("a continuation line before the first field");
      value.append("\n").append(trimmed(line));
      continue;
    }
    if (!name.empty()) {
      if (!codec::is_utf8(value))
        return make_error(ErrorCode::kUtf8, "the metadata is not valid UTF-8");
      MLXGUARD_TRY(take(metadata, name, std::move(value)));
      name.clear();
    }
    if (last) break;
    if (++fields > limits::kMetadataFieldsMax) {
      return make_error(ErrorCode::kTooLarge, "the metadata has more fields than allowed");
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      return malformed("expected a field and a colon on each line");
    }
    name = ascii_lower(trimmed(line.substr(0, colon)));
    value = trimmed(line.substr(colon + 1));
  }
  if (metadata.name.empty()) return malformed("expected a Name field, found none");
  if (metadata.version.empty()) return malformed("expected a Version field, found none");
  return metadata;
}

}  // namespace mlxguard::inventory
