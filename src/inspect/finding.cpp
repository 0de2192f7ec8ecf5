// SPDX-License-Identifier: Apache-2.0
#include "inspect/finding.h"

#include <algorithm>
#include <tuple>

#include "base/limits.h"
#include "codec/unicode.h"

namespace mlxguard::inspect {

std::string evidence_of(std::string_view untrusted_text) {
  return codec::visible_text(untrusted_text, limits::kInspectEvidenceBytesMax);
}

void Findings::add(Rule rule, std::string reason, std::string_view untrusted_evidence,
                   Place place) {
  add(rule, describe(rule).severity, std::move(reason), untrusted_evidence, place);
}

void Findings::add(Rule rule, Severity severity, std::string reason,
                   std::string_view untrusted_evidence, Place place) {
  if (report_.findings.size() >= limits::kInspectFileFindingsMax) {
    gap("more findings than are kept for one file");
    return;
  }
  Finding finding;
  finding.rule = rule;
  finding.severity = severity;
  finding.inside = inside_;
  finding.offset = place.offset;
  finding.line = place.line;
  finding.reason = std::move(reason);
  finding.evidence = evidence_of(untrusted_evidence);
  report_.findings.push_back(std::move(finding));
}

void Findings::gap(std::string why) {
  if (!why.empty() && report_.gap.empty())
    report_.gap = inside_.empty() ? std::move(why) : inside_ + ": " + why;
}

std::size_t Report::count(Severity severity) const {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [&](const Finding& finding) { return finding.severity == severity; }));
}

std::optional<Severity> Report::worst() const {
  const auto found =
      std::max_element(findings.begin(), findings.end(),
                       [](const Finding& a, const Finding& b) { return a.severity < b.severity; });
  if (found == findings.end()) return std::nullopt;
  return found->severity;
}

void Report::add(InspectedFile file, FileReport found) {
  for (Finding& finding : found.findings) {
    finding.file = evidence_of(file.name);
    findings.push_back(std::move(finding));
  }
  if (!found.gap.empty()) add_gap(file.name, found.gap);
  bytes += file.size_bytes;
  file.name = evidence_of(file.name);
  file.format = evidence_of(found.format);
  files.push_back(std::move(file));
}

void Report::add_gap(std::string_view untrusted_name, std::string_view why) {
  Finding incomplete;
  incomplete.rule = Rule::kIncomplete;
  incomplete.severity = describe(Rule::kIncomplete).severity;
  incomplete.file = evidence_of(untrusted_name);
  incomplete.reason = evidence_of(why);
  not_inspected.push_back({incomplete.file, incomplete.reason});
  findings.push_back(std::move(incomplete));
}

void Report::sort() {
  const auto key = [](const Finding& f) {
    return std::make_tuple(-static_cast<int>(f.severity), std::string_view(f.file),
                           std::string_view(f.inside), f.line.value_or(0), f.offset.value_or(0),
                           static_cast<int>(f.rule));
  };
  std::stable_sort(findings.begin(), findings.end(),
                   [&](const Finding& a, const Finding& b) { return key(a) < key(b); });
}

}  // namespace mlxguard::inspect
