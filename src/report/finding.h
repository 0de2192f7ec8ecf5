// SPDX-License-Identifier: Apache-2.0
// What a check found, in the form that every writer of reports takes. Texts come from files and
// databases that are not trusted; a writer escapes them as its format demands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlxguard::report {

enum class Severity : std::uint8_t { kNote, kWarning, kError };

/// Where something was found.
struct Place {
  std::string path;      ///< relative to the report's root; empty: the root itself
  std::size_t line = 0;  ///< from 1; 0: not told
};

/// One kind of finding: a vulnerability, a check.
struct Rule {
  std::string id;
  std::string title;
  std::string help;              ///< what it is and how it is ended, in plain words
  std::string link;              ///< http or https; may be empty
  std::optional<double> score;   ///< CVSS, 0 to 10
  Severity severity = Severity::kWarning;
};

struct Finding {
  std::string rule;  ///< id of a rule
  Severity severity = Severity::kWarning;
  std::string text;
  Place place;
  std::string identity;  ///< the same across runs for the same finding: what it is about
  std::optional<std::string> suppressed;  ///< why it does not count
};

struct Report {
  std::string tool, version;
  std::string root;  ///< absolute path of the folder that places start from
  std::vector<Rule> rules;
  std::vector<Finding> findings;
  std::vector<std::pair<std::string, std::string>> properties;
};

}  // namespace mlxguard::report
