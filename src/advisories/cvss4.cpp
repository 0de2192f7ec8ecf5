// SPDX-License-Identifier: Apache-2.0
#include "advisories/cvss4.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "advisories/cvss4_table.h"
#include "advisories/cvss_vector.h"

namespace mlxguard::advisories {
namespace {

constexpr auto kMandatory = CvssMetric::Need::kMandatory;

constexpr CvssMetric kMetrics[] = {
    {"AV", "N A L P", kMandatory},
    {"AC", "L H", kMandatory},
    {"AT", "N P", kMandatory},
    {"PR", "N L H", kMandatory},
    {"UI", "N P A", kMandatory},
    {"VC", "H L N", kMandatory},
    {"VI", "H L N", kMandatory},
    {"VA", "H L N", kMandatory},
    {"SC", "H L N", kMandatory},
    {"SI", "H L N", kMandatory},
    {"SA", "H L N", kMandatory},
    {"E", "X A P U"},
    {"CR", "X H M L"},
    {"IR", "X H M L"},
    {"AR", "X H M L"},
    {"MAV", "X N A L P"},
    {"MAC", "X L H"},
    {"MAT", "X N P"},
    {"MPR", "X N L H"},
    {"MUI", "X N P A"},
    {"MVC", "X H L N"},
    {"MVI", "X H L N"},
    {"MVA", "X H L N"},
    {"MSC", "X H L N"},
    {"MSI", "X S H L N"},
    {"MSA", "X S H L N"},
    {"S", "X N P"},
    {"AU", "X N Y"},
    {"R", "X A U I"},
    {"V", "X D C"},
    {"RE", "X L M H"},
    {"U", "X Clear Green Amber Red"},
};

/// The values that count, each as its only letter.
class Effective {
 public:
  explicit Effective(const CvssValues& values) : values_(values) {}

  /// Modified where it is; what is not defined counts as the worst.
  [[nodiscard]] char operator[](std::string_view name) const {
    const std::string_view modified = value_or_x(values_, "M" + std::string(name));
    if (modified != "X") return modified.front();
    const std::string_view value = value_or_x(values_, name);
    if (value != "X") return value.front();
    return name == "E" ? 'A' : 'H';  // else CR, IR or AR: the other ones are mandatory
  }
  [[nodiscard]] bool is(std::string_view name, char value) const { return (*this)[name] == value; }

 private:
  const CvssValues& values_;
};

/// Levels of the equivalence sets (tables 24 to 29): 0 is the most severe.
struct MacroVector {
  int eq1 = 0, eq2 = 0, eq3 = 0, eq4 = 0, eq5 = 0, eq6 = 0;
};

MacroVector macro_vector(const Effective& value) {
  MacroVector macro;
  const bool av = value.is("AV", 'N'), pr = value.is("PR", 'N'), ui = value.is("UI", 'N');
  if (av && pr && ui)
    macro.eq1 = 0;
  else
    macro.eq1 = (av || pr || ui) && !value.is("AV", 'P') ? 1 : 2;
  macro.eq2 = value.is("AC", 'L') && value.is("AT", 'N') ? 0 : 1;
  const bool vc = value.is("VC", 'H'), vi = value.is("VI", 'H'), va = value.is("VA", 'H');
  if (vc && vi)
    macro.eq3 = 0;
  else
    macro.eq3 = vc || vi || va ? 1 : 2;
  if (value.is("SI", 'S') || value.is("SA", 'S'))
    macro.eq4 = 0;
  else
    macro.eq4 = value.is("SC", 'H') || value.is("SI", 'H') || value.is("SA", 'H') ? 1 : 2;
  macro.eq5 = value.is("E", 'A') ? 0 : value.is("E", 'P') ? 1 : 2;
  const bool wanted =
      (value.is("CR", 'H') && vc) || (value.is("IR", 'H') && vi) || (value.is("AR", 'H') && va);
  macro.eq6 = wanted ? 0 : 1;
  return macro;
}

/// In tenths; nothing for a level beyond the lowest, or a macro vector that there is not.
std::optional<int> macro_score(const MacroVector& macro) {
  if (macro.eq1 > 2 || macro.eq2 > 1 || macro.eq3 > 2 || macro.eq4 > 2 || macro.eq5 > 2 ||
      macro.eq6 > 1) {
    return std::nullopt;
  }
  const auto row = static_cast<std::size_t>((macro.eq1 * 2 + macro.eq2) * 3 + macro.eq3);
  const auto column = static_cast<std::size_t>((macro.eq4 * 3 + macro.eq5) * 2 + macro.eq6);
  const int score = kMacroScores[row][column];
  return score == kNoMacroScore ? std::nullopt : std::optional(score);
}

/// The metric's values from the most severe on: the place of one is its distance in steps.
std::string_view ladder(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kLadders[] = {
      {"AV", "NALP"}, {"PR", "NLH"}, {"UI", "NPA"}, {"AC", "LH"},   {"AT", "NP"},
      {"VC", "HLN"},  {"VI", "HLN"}, {"VA", "HLN"}, {"SC", "SHLN"}, {"SI", "SHLN"},
      {"SA", "SHLN"}, {"CR", "HML"}, {"IR", "HML"}, {"AR", "HML"},
  };
  for (const auto& [metric, values] : kLadders) {
    if (metric == name) return values;
  }
  return {};
}

/// Metrics of an equivalence set, and the letters that its highest vectors give to them.
using Highest = std::span<const std::string_view>;

/// Steps from the first highest vector that is nowhere below this one.
int distance(const Effective& value, std::span<const std::string_view> metrics, Highest highest) {
  for (const std::string_view vector : highest) {
    int sum = 0;
    bool below = false;
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const std::string_view steps = ladder(metrics[i]);
      const int step =
          static_cast<int>(steps.find(value[metrics[i]])) - static_cast<int>(steps.find(vector[i]));
      below = below || step < 0;
      sum += step;
    }
    if (!below) return sum;
  }
  return 0;
}

constexpr std::array<std::string_view, 3> kEq1{"AV", "PR", "UI"};
constexpr std::array<std::string_view, 2> kEq2{"AC", "AT"};
constexpr std::array<std::string_view, 6> kEq3Eq6{"VC", "VI", "VA", "CR", "IR", "AR"};
constexpr std::array<std::string_view, 3> kEq4{"SC", "SI", "SA"};

int distance_1(const Effective& value, int level) {
  constexpr std::string_view k0[] = {"NNN"}, k1[] = {"ANN", "NLN", "NNP"}, k2[] = {"PNN", "ALP"};
  return distance(value, kEq1, level == 0 ? Highest(k0) : level == 1 ? Highest(k1) : Highest(k2));
}

int distance_2(const Effective& value, int level) {
  constexpr std::string_view k0[] = {"LN"}, k1[] = {"HN", "LP"};
  return distance(value, kEq2, level == 0 ? Highest(k0) : Highest(k1));
}

int distance_3_6(const Effective& value, int eq3, int eq6) {
  constexpr std::string_view k00[] = {"HHHHHH"}, k01[] = {"HHLMMH", "HHHMMM"},
                             k10[] = {"LHHHHH", "HLHHHH"},
                             k11[] = {"LHLHMH", "LHHHMM", "HLHMHM", "HLLMHH", "LLHHHM"},
                             k21[] = {"LLLHHH"};
  if (eq3 == 0) return distance(value, kEq3Eq6, eq6 == 0 ? Highest(k00) : Highest(k01));
  if (eq3 == 1) return distance(value, kEq3Eq6, eq6 == 0 ? Highest(k10) : Highest(k11));
  return distance(value, kEq3Eq6, k21);
}

int distance_4(const Effective& value, int level) {
  constexpr std::string_view k0[] = {"HSS"}, k1[] = {"HHH"}, k2[] = {"LLL"};
  return distance(value, kEq4, level == 0 ? Highest(k0) : level == 1 ? Highest(k1) : Highest(k2));
}

/// The next lower macro vector in one equivalence set, and where between the two this one lies.
struct Fall {
  std::optional<int> next;  ///< its score in tenths
  int distance = 0;         ///< steps below the highest vector
  int depth = 1;            ///< steps that the level has (table 30)
};

/// EQ3 and EQ6 fall together; from the highest of both the better of two ways counts.
std::optional<int> next_3_6(MacroVector macro) {
  if (macro.eq3 == 0 && macro.eq6 == 0) {
    MacroVector other = macro;
    ++macro.eq3;
    ++other.eq6;
    return std::max(macro_score(macro), macro_score(other));
  }
  if (macro.eq3 == 1 && macro.eq6 == 0)
    ++macro.eq6;
  else
    ++macro.eq3;
  return macro_score(macro);
}

std::array<Fall, 5> falls_of(const Effective& value, const MacroVector& macro) {
  constexpr int kDepth1[] = {1, 4, 5}, kDepth2[] = {1, 2}, kDepth4[] = {6, 5, 4};
  constexpr int kDepth36[3][2] = {{7, 6}, {8, 8}, {1, 10}};
  const auto next = [&](int MacroVector::*set) {
    MacroVector lower = macro;
    ++(lower.*set);
    return macro_score(lower);
  };
  return {
      {{next(&MacroVector::eq1), distance_1(value, macro.eq1), kDepth1[macro.eq1]},
       {next(&MacroVector::eq2), distance_2(value, macro.eq2), kDepth2[macro.eq2]},
       {next_3_6(macro), distance_3_6(value, macro.eq3, macro.eq6), kDepth36[macro.eq3][macro.eq6]},
       {next(&MacroVector::eq4), distance_4(value, macro.eq4), kDepth4[macro.eq4]},
       {next(&MacroVector::eq5), 0, 1}}};
}

}  // namespace

std::optional<double> cvss4_score(std::string_view metrics) {
  const auto values = read_cvss(metrics, kMetrics);
  if (!values) return std::nullopt;
  const Effective value(*values);
  constexpr std::string_view kImpacts[] = {"VC", "VI", "VA", "SC", "SI", "SA"};
  if (std::all_of(std::begin(kImpacts), std::end(kImpacts),
                  [&](std::string_view name) { return value.is(name, 'N'); })) {
    return 0.0;
  }
  const MacroVector macro = macro_vector(value);
  const auto highest = macro_score(macro);
  if (!highest) return std::nullopt;
  constexpr int kParts = 840;  // a multiple of every depth
  int count = 0, fall_parts = 0;
  for (const Fall& fall : falls_of(value, macro)) {
    if (!fall.next || *fall.next > *highest) continue;
    ++count;
    fall_parts += (*highest - *fall.next) * fall.distance * (kParts / fall.depth);
  }
  count = std::max(count, 1);
  const int whole = kParts * count;
  const int tenths = (2 * (*highest * whole - fall_parts) + whole) / (2 * whole);
  return static_cast<double>(std::clamp(tenths, 0, 100)) / 10;
}

}  // namespace mlxguard::advisories
