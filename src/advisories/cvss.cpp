// SPDX-License-Identifier: Apache-2.0
#include "advisories/cvss.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

namespace mlxguard::advisories {
namespace {

using Metrics = std::map<std::string, std::string, std::less<>>;

/// The metrics of the vector; nothing if one is malformed or there twice.
std::optional<Metrics> metrics_of(std::string_view vector) {
  Metrics metrics;
  while (!vector.empty()) {
    const std::size_t slash = vector.find('/');
    const std::string_view part = vector.substr(0, slash);
    vector = slash == std::string_view::npos ? std::string_view() : vector.substr(slash + 1);
    const std::size_t colon = part.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon + 1 == part.size())
      return std::nullopt;
    const bool added =
        metrics.emplace(std::string(part.substr(0, colon)), std::string(part.substr(colon + 1)))
            .second;
    if (!added) return std::nullopt;
  }
  return metrics;
}

struct Weight {
  std::string_view value;
  double number;
};

/// The number of a metric's value; nothing for a metric that is missing or a value that is unknown.
template <std::size_t kCount>
std::optional<double> weight(const Metrics& metrics, std::string_view name,
                             const Weight (&weights)[kCount]) {
  const auto found = metrics.find(name);
  if (found == metrics.end()) return std::nullopt;
  for (const Weight& one : weights) {
    if (one.value == found->second) return one.number;
  }
  return std::nullopt;
}

constexpr Weight kImpact3[] = {{"H", 0.56}, {"L", 0.22}, {"N", 0.0}};
constexpr Weight kVector3[] = {{"N", 0.85}, {"A", 0.62}, {"L", 0.55}, {"P", 0.2}};
constexpr Weight kComplexity3[] = {{"L", 0.77}, {"H", 0.44}};
constexpr Weight kPrivileges3[] = {{"N", 0.85}, {"L", 0.62}, {"H", 0.27}};
constexpr Weight kPrivilegesChanged3[] = {{"N", 0.85}, {"L", 0.68}, {"H", 0.5}};
constexpr Weight kInteraction3[] = {{"N", 0.85}, {"R", 0.62}};
constexpr Weight kScope3[] = {{"U", 0}, {"C", 1}};

/// Smallest number of one decimal that is not smaller (v3.1: in integers, so that 0.1 is exact).
double round_up(double value, bool exact) {
  if (!exact) return std::ceil(value * 10) / 10;
  const auto number = static_cast<long long>(std::llround(value * 100'000));
  if (number % 10'000 == 0) return static_cast<double>(number) / 100'000;
  return static_cast<double>(number / 10'000 + 1) / 10;
}

std::optional<double> base_3(const Metrics& metrics, bool exact) {
  const auto scope = weight(metrics, "S", kScope3);
  if (!scope) return std::nullopt;
  const bool changed = *scope > 0;
  const auto c = weight(metrics, "C", kImpact3), i = weight(metrics, "I", kImpact3),
             a = weight(metrics, "A", kImpact3), av = weight(metrics, "AV", kVector3),
             ac = weight(metrics, "AC", kComplexity3),
             pr = changed ? weight(metrics, "PR", kPrivilegesChanged3)
                          : weight(metrics, "PR", kPrivileges3),
             ui = weight(metrics, "UI", kInteraction3);
  if (!c || !i || !a || !av || !ac || !pr || !ui) return std::nullopt;
  const double subscore = 1 - (1 - *c) * (1 - *i) * (1 - *a);
  const double impact =
      changed ? 7.52 * (subscore - 0.029) - 3.25 * std::pow(subscore - 0.02, 15) : 6.42 * subscore;
  if (impact <= 0) return 0.0;
  const double sum = impact + 8.22 * *av * *ac * *pr * *ui;
  return round_up(std::min((changed ? 1.08 : 1.0) * sum, 10.0), exact);
}

constexpr Weight kVector2[] = {{"L", 0.395}, {"A", 0.646}, {"N", 1.0}};
constexpr Weight kComplexity2[] = {{"H", 0.35}, {"M", 0.61}, {"L", 0.71}};
constexpr Weight kAuthentication2[] = {{"M", 0.45}, {"S", 0.56}, {"N", 0.704}};
constexpr Weight kImpact2[] = {{"N", 0.0}, {"P", 0.275}, {"C", 0.660}};

std::optional<double> base_2(const Metrics& metrics) {
  const auto av = weight(metrics, "AV", kVector2), ac = weight(metrics, "AC", kComplexity2),
             au = weight(metrics, "Au", kAuthentication2), c = weight(metrics, "C", kImpact2),
             i = weight(metrics, "I", kImpact2), a = weight(metrics, "A", kImpact2);
  if (!av || !ac || !au || !c || !i || !a) return std::nullopt;
  const double impact = 10.41 * (1 - (1 - *c) * (1 - *i) * (1 - *a));
  const double exploitability = 20 * *av * *ac * *au;
  const double factor = impact > 0 ? 1.176 : 0;
  return std::round((0.6 * impact + 0.4 * exploitability - 1.5) * factor * 10) / 10;
}

}  // namespace

std::optional<double> cvss_base_score(std::string_view vector) {
  const bool is_31 = vector.starts_with("CVSS:3.1/");
  const bool is_30 = vector.starts_with("CVSS:3.0/");
  if (is_31 || is_30)
    vector.remove_prefix(9);
  else if (vector.starts_with("CVSS:"))
    return std::nullopt;
  const auto metrics = metrics_of(vector);
  if (!metrics) return std::nullopt;
  return is_31 || is_30 ? base_3(*metrics, is_31) : base_2(*metrics);
}

std::string_view rating_of(double score) {
  if (score >= 9.0) return "critical";
  if (score >= 7.0) return "high";
  if (score >= 4.0) return "medium";
  return score > 0 ? "low" : "none";
}

}  // namespace mlxguard::advisories
