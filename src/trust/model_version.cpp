// SPDX-License-Identifier: Apache-2.0
#include "trust/model_version.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/ascii.h"
#include "base/limits.h"

namespace mlxguard::trust {
namespace {

Error not_a_version(std::string_view text) {
  return make_error(ErrorCode::kTrustVersion,
                    "expected a version such as 3, 1.2.0 or 2.0.0-rc.1, found another text")
      .compared("N.N.N", std::string(text.substr(0, 64)));
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = text.find('.', begin);
    parts.push_back(text.substr(begin, dot == std::string_view::npos ? dot : dot - begin));
    if (dot == std::string_view::npos) return parts;
    begin = dot + 1;
  }
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

bool is_identifier(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_ascii_alphanumeric(c) || c == '-';
  });
}

/// Semantic Versioning, section 11: numbers by value and before words, words by their bytes.
std::strong_ordering compare_identifiers(const std::string& a, const std::string& b) {
  const auto a_number = number_of(a);
  const auto b_number = number_of(b);
  if (a_number && b_number) return *a_number <=> *b_number;
  if (a_number.has_value() != b_number.has_value()) {
    return a_number ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  return a.compare(b) <=> 0;
}

}  // namespace

Result<ModelVersion> ModelVersion::parse(std::string_view text) {
  if (text.empty() || text.size() > 128) return not_a_version(text);
  ModelVersion version;
  version.text_ = text;
  const std::size_t hyphen = text.find('-');
  for (const std::string_view part : split(text.substr(0, hyphen))) {
    const auto number = number_of(part);
    if (!number || version.numbers_.size() == limits::kModelVersionPartsMax) {
      return not_a_version(text);
    }
    version.numbers_.push_back(*number);
  }
  while (!version.numbers_.empty() && version.numbers_.back() == 0) version.numbers_.pop_back();
  if (hyphen == std::string_view::npos) return version;
  for (const std::string_view part : split(text.substr(hyphen + 1))) {
    if (!is_identifier(part)) return not_a_version(text);
    version.prerelease_.emplace_back(part);
  }
  return version;
}

std::strong_ordering ModelVersion::operator<=>(const ModelVersion& other) const {
  if (const auto order = numbers_ <=> other.numbers_; order != 0) return order;
  if (prerelease_.empty() || other.prerelease_.empty()) {
    return prerelease_.empty() <=> other.prerelease_.empty();
  }
  const std::size_t shared = std::min(prerelease_.size(), other.prerelease_.size());
  for (std::size_t i = 0; i < shared; ++i) {
    const auto order = compare_identifiers(prerelease_[i], other.prerelease_[i]);
    if (order != 0) return order;
  }
  return prerelease_.size() <=> other.prerelease_.size();
}

}  // namespace mlxguard::trust
