// SPDX-License-Identifier: Apache-2.0
#include "advisories/cvss_vector.h"

#include <algorithm>

namespace mlxguard::advisories {
namespace {

/// The text up to the separator, which is taken away with it.
std::string_view take_until(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return part;
}

bool has_value(const CvssMetric& metric, std::string_view value) {
  for (std::string_view rest = metric.values; !rest.empty();) {
    if (take_until(rest, ' ') == value) return true;
  }
  return false;
}

}  // namespace

std::optional<CvssValues> read_cvss(std::string_view text, std::span<const CvssMetric> metrics) {
  CvssValues values;
  if (text.ends_with('/')) return std::nullopt;
  while (!text.empty()) {
    std::string_view value = take_until(text, '/');
    const std::string_view name = take_until(value, ':');
    const auto metric = std::find_if(metrics.begin(), metrics.end(),
                                     [&](const CvssMetric& row) { return row.name == name; });
    if (metric == metrics.end() || !has_value(*metric, value)) return std::nullopt;
    if (!values.emplace(name, value).second) return std::nullopt;
  }
  for (const CvssMetric& metric : metrics) {
    if (metric.need == CvssMetric::Need::kMandatory && !values.contains(metric.name)) {
      return std::nullopt;
    }
  }
  return values;
}

std::string_view value_or_x(const CvssValues& values, std::string_view name) {
  const auto found = values.find(name);
  return found == values.end() ? std::string_view("X") : found->second;
}

}  // namespace mlxguard::advisories
