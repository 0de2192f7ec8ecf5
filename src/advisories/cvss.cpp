// SPDX-License-Identifier: Apache-2.0
#include "advisories/cvss.h"

#include <algorithm>
#include <cmath>

#include "advisories/cvss4.h"
#include "advisories/cvss_vector.h"
#include "base/check.h"

namespace mlxguard::advisories {
namespace {

constexpr auto kMandatory = CvssMetric::Need::kMandatory;

// Temporal and environmental metrics do not change the base score; a vector with values of them
// that there are not is malformed all the same.
constexpr CvssMetric kMetrics3[] = {
    {"AV", "N A L P", kMandatory},
    {"AC", "L H", kMandatory},
    {"PR", "N L H", kMandatory},
    {"UI", "N R", kMandatory},
    {"S", "U C", kMandatory},
    {"C", "H L N", kMandatory},
    {"I", "H L N", kMandatory},
    {"A", "H L N", kMandatory},
    {"E", "X H F P U"},
    {"RL", "X U W T O"},
    {"RC", "X C R U"},
    {"CR", "X H M L"},
    {"IR", "X H M L"},
    {"AR", "X H M L"},
    {"MAV", "X N A L P"},
    {"MAC", "X L H"},
    {"MPR", "X N L H"},
    {"MUI", "X N R"},
    {"MS", "X U C"},
    {"MC", "X H L N"},
    {"MI", "X H L N"},
    {"MA", "X H L N"},
};
constexpr CvssMetric kMetrics2[] = {
    {"AV", "L A N", kMandatory}, {"AC", "H M L", kMandatory}, {"Au", "M S N", kMandatory},
    {"C", "N P C", kMandatory},  {"I", "N P C", kMandatory},  {"A", "N P C", kMandatory},
    {"E", "U POC F H ND"},       {"RL", "OF TF W U ND"},      {"RC", "UC UR C ND"},
    {"CDP", "N L LM MH H ND"},   {"TD", "N L M H ND"},        {"CR", "L M H ND"},
    {"IR", "L M H ND"},          {"AR", "L M H ND"},
};

struct Weight {
  std::string_view value;
  double number;
};

/// The number of a metric's value, which read_cvss() found to be one of the table's.
template <std::size_t kCount>
double weight(const CvssValues& metrics, std::string_view name, const Weight (&weights)[kCount]) {
  const std::string_view value = value_or_x(metrics, name);
  const auto row = std::find_if(std::begin(weights), std::end(weights),
                                [&](const Weight& one) { return one.value == value; });
  MLXGUARD_CHECK(row != std::end(weights));
  return row->number;
}

constexpr Weight kImpact3[] = {{"H", 0.56}, {"L", 0.22}, {"N", 0.0}};
constexpr Weight kVector3[] = {{"N", 0.85}, {"A", 0.62}, {"L", 0.55}, {"P", 0.2}};
constexpr Weight kComplexity3[] = {{"L", 0.77}, {"H", 0.44}};
constexpr Weight kPrivileges3[] = {{"N", 0.85}, {"L", 0.62}, {"H", 0.27}};
constexpr Weight kPrivilegesChanged3[] = {{"N", 0.85}, {"L", 0.68}, {"H", 0.5}};
constexpr Weight kInteraction3[] = {{"N", 0.85}, {"R", 0.62}};

/// Smallest number of one decimal that is not smaller (v3.1: in integers, so that 0.1 is exact).
double round_up(double value, bool exact) {
  if (!exact) return std::ceil(value * 10) / 10;
  const auto number = static_cast<long long>(std::llround(value * 100'000));
  if (number % 10'000 == 0) return static_cast<double>(number) / 100'000;
  return static_cast<double>(number / 10'000 + 1) / 10;
}

double base_3(const CvssValues& metrics, bool exact) {
  const bool changed = value_or_x(metrics, "S") == "C";
  const double c = weight(metrics, "C", kImpact3), i = weight(metrics, "I", kImpact3),
               a = weight(metrics, "A", kImpact3), av = weight(metrics, "AV", kVector3),
               ac = weight(metrics, "AC", kComplexity3),
               pr = changed ? weight(metrics, "PR", kPrivilegesChanged3)
                            : weight(metrics, "PR", kPrivileges3),
               ui = weight(metrics, "UI", kInteraction3);
  const double subscore = 1 - (1 - c) * (1 - i) * (1 - a);
  const double impact =
      changed ? 7.52 * (subscore - 0.029) - 3.25 * std::pow(subscore - 0.02, 15) : 6.42 * subscore;
  if (impact <= 0) return 0.0;
  const double sum = impact + 8.22 * av * ac * pr * ui;
  return round_up(std::min((changed ? 1.08 : 1.0) * sum, 10.0), exact);
}

constexpr Weight kVector2[] = {{"L", 0.395}, {"A", 0.646}, {"N", 1.0}};
constexpr Weight kComplexity2[] = {{"H", 0.35}, {"M", 0.61}, {"L", 0.71}};
constexpr Weight kAuthentication2[] = {{"M", 0.45}, {"S", 0.56}, {"N", 0.704}};
constexpr Weight kImpact2[] = {{"N", 0.0}, {"P", 0.275}, {"C", 0.660}};

double base_2(const CvssValues& metrics) {
  const double av = weight(metrics, "AV", kVector2), ac = weight(metrics, "AC", kComplexity2),
               au = weight(metrics, "Au", kAuthentication2), c = weight(metrics, "C", kImpact2),
               i = weight(metrics, "I", kImpact2), a = weight(metrics, "A", kImpact2);
  const double impact = 10.41 * (1 - (1 - c) * (1 - i) * (1 - a));
  const double exploitability = 20 * av * ac * au;
  const double factor = impact > 0 ? 1.176 : 0;
  return std::round((0.6 * impact + 0.4 * exploitability - 1.5) * factor * 10) / 10;
}

}  // namespace

std::optional<double> cvss_score(std::string_view vector) {
  constexpr std::string_view k40 = "CVSS:4.0/", k31 = "CVSS:3.1/", k30 = "CVSS:3.0/";
  if (vector.starts_with(k40)) return cvss4_score(vector.substr(k40.size()));
  const bool is_31 = vector.starts_with(k31);
  if (is_31 || vector.starts_with(k30)) {
    const auto metrics = read_cvss(vector.substr(k31.size()), kMetrics3);
    return metrics ? std::optional(base_3(*metrics, is_31)) : std::nullopt;
  }
  const auto metrics = read_cvss(vector, kMetrics2);
  return metrics ? std::optional(base_2(*metrics)) : std::nullopt;
}

std::string_view rating_of(double score) {
  if (score >= 9.0) return "critical";
  if (score >= 7.0) return "high";
  if (score >= 4.0) return "medium";
  return score > 0 ? "low" : "none";
}

}  // namespace mlxguard::advisories
