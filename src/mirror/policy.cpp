// SPDX-License-Identifier: Apache-2.0
#include "mirror/policy.h"

#include <algorithm>

#include "codec/text.h"

namespace mlxguard::mirror {
namespace {

Decision refuse(Action action, ErrorCode code, std::string reason) {
  Decision decision;
  decision.action = action;
  decision.code = code;
  decision.reason = std::move(reason);
  return decision;
}

std::string listed(const std::vector<Finding>& findings, Verdict verdict) {
  constexpr std::size_t kListedMax = 8;
  std::string out;
  std::size_t count = 0;
  for (const Finding& finding : findings) {
    if (finding.verdict != verdict || ++count > kListedMax) continue;
    if (!out.empty()) out += ", ";
    out += verdict == Verdict::kVulnerable ? finding.code : finding.code + ": " + finding.text;
  }
  if (count > kListedMax) out += " and " + std::to_string(count - kListedMax) + " more";
  return out;
}

std::string named(std::string_view project, const ProjectFile& file) {
  return std::string(project) + " " + file.version;
}

}  // namespace

std::string_view name_of(Action action) {
  switch (action) {
    case Action::kServe:
      return "served";
    case Action::kBlock:
      return "blocked";
    case Action::kHold:
      return "held";
  }
  return {};
}

bool Policy::accepted(const Finding& finding) const {
  const UnknownRow* row = find_unknown(finding.code);
  return row != nullptr && options_.accepted.contains(row->unknown);
}

std::int64_t Policy::cooldown_end_ms(const ProjectFile& file) const {
  // Upstream's own word, or, where it says nothing, the time at which this mirror saw the file
  // first.
  const std::int64_t born = file.upload_time_ms.value_or(file.first_seen_ms);
  // No index lets a file of a name be uploaded twice: one that changed is as new as its change.
  return std::max(born, file.changed_ms) + options_.cooldown.count();
}

Decision Policy::decide(std::string_view project, const ProjectFile& file, const OperatorList& said,
                        const Judgement& release, const Judgement* inspection, WallTime now) const {
  // 1. The allow-list is about which bytes there may be at all: no release overrides it.
  if (options_.allow_list && !options_.allow_list->allows(project, file)) {
    return refuse(Action::kBlock, ErrorCode::kMirrorNotAllowed,
                  named(project, file) + " is not on the allow-list");
  }
  std::vector<Finding> findings = release.findings;
  if (inspection != nullptr) {
    findings.insert(findings.end(), inspection->findings.begin(), inspection->findings.end());
  }
  if (file.sha256.empty()) {
    findings.push_back({Verdict::kCouldNotTell, "no-digest", "upstream gives no sha256 for it"});
  }
  if (inspection != nullptr && !file.metadata_sha256.empty() &&
      inspection->metadata_sha256 != file.metadata_sha256) {
    // What resolvers were told of its dependencies is not what would be installed.
    findings.push_back({Verdict::kQuarantined, "wheel.invalid",
                        "its METADATA is not the one that upstream offers beside it"});
  }
  Verdict verdict = Verdict::kClean;
  for (const Finding& finding : findings) verdict = std::max(verdict, finding.verdict);
  const auto with_findings = [&](Decision decision) {
    decision.findings = findings;
    decision.verdict = verdict;
    return decision;
  };
  // 2. The operator's word.
  if (const OperatorEntry* entry = said.find(project, file)) {
    Decision decision;
    decision.by_operator = true;
    decision.reason = entry->reason;
    if (entry->action == OperatorAction::kRelease) {
      decision.action = Action::kServe;
      decision.reason = "released by the operator: " + entry->reason;
      return with_findings(std::move(decision));
    }
    decision = refuse(Action::kBlock, ErrorCode::kMirrorBlocked,
                      named(project, file) + " is quarantined by the operator: " + entry->reason);
    decision.by_operator = true;
    verdict = Verdict::kQuarantined;
    return with_findings(std::move(decision));
  }
  // 3. What is known to be bad.
  if (verdict == Verdict::kQuarantined) {
    return with_findings(refuse(
        Action::kBlock, ErrorCode::kMirrorBlocked,
        named(project, file) + " is quarantined: " + listed(findings, Verdict::kQuarantined)));
  }
  if (verdict == Verdict::kVulnerable) {
    return with_findings(
        refuse(Action::kBlock, ErrorCode::kMirrorBlocked,
               named(project, file) + " is vulnerable: " + listed(findings, Verdict::kVulnerable)));
  }
  // 4. What is too new.
  const std::int64_t now_ms = now.time_since_epoch().count();
  if (const std::int64_t end = cooldown_end_ms(file);
      options_.cooldown.count() > 0 && end > now_ms) {
    Decision decision =
        refuse(Action::kHold, ErrorCode::kMirrorHeld,
               named(project, file) + " is too new: held until " + codec::to_rfc3339(end) +
                   (file.upload_time_ms ? "" : " (upstream does not say when it was uploaded)"));
    decision.until_ms = end;
    return with_findings(std::move(decision));
  }
  // 5. What could not be told, unless each reason is accepted by name.
  std::vector<Finding> open;
  std::copy_if(findings.begin(), findings.end(), std::back_inserter(open), [&](const Finding& one) {
    return one.verdict == Verdict::kCouldNotTell && !accepted(one);
  });
  if (!open.empty()) {
    return with_findings(refuse(Action::kHold, ErrorCode::kMirrorHeld,
                                "could not tell whether " + named(project, file) +
                                    " is safe: " + listed(open, Verdict::kCouldNotTell)));
  }
  Decision served;
  served.action = Action::kServe;
  served.reason = verdict == Verdict::kClean
                      ? "no known vulnerability"
                      : "accepted: " + listed(findings, Verdict::kCouldNotTell);
  return with_findings(std::move(served));
}

Policy::Shown Policy::shown(std::string_view project, const ProjectFile& file,
                            const OperatorList& said, WallTime now) const {
  if (options_.allow_list && options_.allow_list->knows(project) &&
      !options_.allow_list->allows(project, file)) {
    return Shown::kNotAllowed;
  }
  const std::int64_t now_ms = now.time_since_epoch().count();
  if (options_.cooldown.count() > 0 && cooldown_end_ms(file) > now_ms) {
    // Whoever has been named by the operator, for good or ill, is shown.
    if (said.find(project, file) == nullptr) return Shown::kInCooldown;
  }
  return Shown::kYes;
}

}  // namespace mlxguard::mirror
