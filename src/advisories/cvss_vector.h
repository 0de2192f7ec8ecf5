// SPDX-License-Identifier: Apache-2.0
// The text form of CVSS vectors: "AV:N/AC:L/...", read against the table of the metrics that the
// version of CVSS has. Input: text of an advisory, which anyone may have written.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>

namespace mlxguard::advisories {

/// Row: a metric's name, its values with a space between, and whether each vector has it.
struct CvssMetric {
  enum class Need : std::uint8_t { kMandatory, kOptional };
  std::string_view name;
  std::string_view values;
  Need need = Need::kOptional;
};

/// Value by name of metric; both are parts of the text that was read.
using CvssValues = std::map<std::string_view, std::string_view>;

/// Metrics in any order. Nothing for a text with a metric or a value that is not in the table, one
/// that is there twice, an empty part, or without a mandatory one.
[[nodiscard]] std::optional<CvssValues> read_cvss(std::string_view text,
                                                  std::span<const CvssMetric> metrics);

/// The value, or "X" ("not defined") for a metric that the vector leaves out.
[[nodiscard]] std::string_view value_or_x(const CvssValues& values, std::string_view name);

}  // namespace mlxguard::advisories
