// SPDX-License-Identifier: Apache-2.0
// For tests: answers one question a line, so that other implementations can be asked the same in
// bulk. Fields are separated by U+001F; the first is the question. "error" stands for whatever is
// refused.
#include <iostream>
#include <string>
#include <vector>

#include "packaging/marker.h"
#include "packaging/name.h"
#include "packaging/purl.h"
#include "packaging/requirement.h"
#include "packaging/specifier.h"
#include "packaging/version.h"

namespace {

using namespace mlxguard::packaging;

constexpr char kSeparator = '\x1f';
using Fields = std::vector<std::string>;

Fields split(const std::string& line) {
  Fields fields(1);
  for (const char c : line) {
    if (c == kSeparator)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  fields.resize(std::max<std::size_t>(fields.size(), 8));
  return fields;
}

std::string compare(const Fields& fields) {
  const auto left = Version::parse(fields[1]);
  const auto right = Version::parse(fields[2]);
  if (!left || !right) return "error";
  const auto order = *left <=> *right;
  return order < 0 ? "<" : order > 0 ? ">" : "=";
}

std::string version(const Fields& fields) {
  const auto parsed = Version::parse(fields[1]);
  if (!parsed) return "error";
  return parsed->text() + kSeparator + (parsed->is_prerelease() ? "pre" : "final");
}

std::string contains(const Fields& fields) {
  const auto set = SpecifierSet::parse(fields[1]);
  const auto parsed = Version::parse(fields[2]);
  if (!set || !parsed) return "error";
  const auto prereleases = fields[3] == "allow" ? SpecifierSet::Prereleases::kAllow
                                                : SpecifierSet::Prereleases::kOnlyIfNamed;
  return set->contains(*parsed, prereleases, fields[2]) ? "true" : "false";
}

std::string specifier(const Fields& fields) {
  const auto parsed = Specifier::parse(fields[1]);
  return parsed ? parsed->text() : "error";
}

std::string purl_parts(const Purl& purl) {
  std::string out;
  for (const std::string& part : {purl.type, purl.space, purl.name, purl.version, purl.subpath}) {
    out += part + kSeparator;
  }
  for (const auto& [key, value] : purl.qualifiers) out += key + "=" + value + kSeparator;
  return out;
}

std::string parse_purl(const Fields& fields) {
  const auto parsed = Purl::parse(fields[1]);
  return parsed ? purl_parts(*parsed) : "error";
}

std::string roundtrip_purl(const Fields& fields) {
  const auto parsed = Purl::parse(fields[1]);
  if (!parsed) return "error";
  const auto written = parsed->write();
  return written ? *written : "error";
}

/// type, namespace, name, version, subpath, then key=value pairs.
std::string build_purl(const Fields& fields) {
  Purl purl{fields[1], fields[2], fields[3], fields[4], {}, fields[5]};
  for (std::size_t i = 6; i < fields.size(); ++i) {
    const std::size_t equals = fields[i].find('=');
    if (equals != std::string::npos) {
      purl.qualifiers.emplace(fields[i].substr(0, equals), fields[i].substr(equals + 1));
    }
  }
  const auto written = purl.write();
  return written ? *written : "error";
}

std::string requirement(const Fields& fields) {
  const auto parsed = Requirement::parse(fields[1]);
  return parsed ? parsed->text() : "error";
}

/// The marker, then name=value pairs of the environment.
std::string marker(const Fields& fields) {
  const auto parsed = Marker::parse(fields[1]);
  if (!parsed) return "error";
  MarkerEnvironment environment;
  for (std::size_t i = 2; i < fields.size(); ++i) {
    const std::size_t equals = fields[i].find('=');
    if (equals != std::string::npos) {
      environment.values[fields[i].substr(0, equals)] = fields[i].substr(equals + 1);
    }
  }
  const auto value = parsed->evaluate(environment);
  if (!value) return "undefined";
  return *value ? "true" : "false";
}

std::string marker_text(const Fields& fields) {
  const auto parsed = Marker::parse(fields[1]);
  return parsed ? parsed->text() : "error";
}

struct Question {
  std::string_view name;
  std::string (*answer)(const Fields&);
};
constexpr Question kQuestions[] = {
    {"compare", compare},         {"version", version},         {"contains", contains},
    {"specifier", specifier},     {"parse-purl", parse_purl},   {"roundtrip-purl", roundtrip_purl},
    {"build-purl", build_purl},   {"requirement", requirement}, {"marker", marker},
    {"marker-text", marker_text},
};

}  // namespace

int main() {
  std::ios::sync_with_stdio(false);
  for (std::string line; std::getline(std::cin, line);) {
    const Fields fields = split(line);
    std::string answer = "no such question";
    for (const Question& question : kQuestions) {
      if (question.name == fields[0]) answer = question.answer(fields);
    }
    std::cout << answer << '\n';
  }
  return 0;
}
