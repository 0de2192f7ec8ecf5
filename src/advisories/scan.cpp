// SPDX-License-Identifier: Apache-2.0
#include "advisories/scan.h"

#include <algorithm>
#include <map>
#include <queue>

#include "advisories/cvss.h"
#include "advisories/match.h"
#include "base/ascii.h"
#include "inventory/builder.h"
#include "packaging/version.h"

namespace mlxguard::advisories {
namespace {

using inventory::Component;
using inventory::Observation;

void sort_unique(std::vector<std::string>& texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
}

/// Oldest first; what is no version, last.
void sort_versions(std::vector<std::string>& texts) {
  sort_unique(texts);
  std::stable_sort(
      texts.begin(), texts.end(), [](const std::string& left, const std::string& right) {
        const auto a = packaging::Version::parse(left), b = packaging::Version::parse(right);
        return a && b ? *a < *b : a.has_value() && !b;
      });
}

Rating rate_of(const Severity& severity) {
  Rating rating{severity.source, severity.text, std::nullopt, {}};
  if (severity.type == "word") {
    const std::string word = ascii_lower(severity.text);
    rating.rating = word == "moderate" ? "medium" : word;
    return rating;
  }
  rating.score = cvss_score(severity.text);
  if (rating.score) rating.rating = advisories::rating_of(*rating.score);
  return rating;
}

/// A record that affects the component, with what of it counts.
struct Hit {
  Record record;
  std::vector<std::string> fixed_in;
};

bool share_an_id(const Finding& finding, const Hit& hit) {
  const auto has = [&](const std::string& id) {
    return std::binary_search(finding.ids.begin(), finding.ids.end(), id);
  };
  return has(hit.record.id) ||
         std::any_of(hit.record.aliases.begin(), hit.record.aliases.end(), has);
}

/// The CVE is what people search for.
std::string best_id(const std::vector<std::string>& ids, const std::string& fallback) {
  const auto cve = std::find_if(ids.begin(), ids.end(),
                                [](const std::string& id) { return id.starts_with("CVE-"); });
  return cve != ids.end() ? *cve : fallback;
}

void take_in(Finding& finding, const Hit& hit) {
  const Record& record = hit.record;
  finding.ids.push_back(record.id);
  finding.ids.insert(finding.ids.end(), record.aliases.begin(), record.aliases.end());
  sort_unique(finding.ids);
  if (finding.summary.empty()) finding.summary = record.summary;
  if (finding.details.empty()) finding.details = record.details;
  if (finding.link.empty()) finding.link = record.link;
  const auto rate = [&](const std::vector<Severity>& severities) {
    for (const Severity& one : severities) {
      Rating rating = rate_of(one);
      rating.source = record.id + (one.source == "record" ? "" : " (" + one.source + ")");
      finding.ratings.push_back(std::move(rating));
    }
  };
  rate(record.severities);
  for (const Affected& affected : record.affected) rate(affected.severities);
  finding.fixed_in.insert(finding.fixed_in.end(), hit.fixed_in.begin(), hit.fixed_in.end());
  sort_versions(finding.fixed_in);
  finding.id = best_id(finding.ids, finding.id.empty() ? record.id : finding.id);
}

/// Records that share an id are one vulnerability, also by way of a third.
std::vector<Finding> merge(const std::vector<Hit>& hits) {
  std::vector<Finding> findings;
  for (const Hit& hit : hits) {
    Finding merged;
    take_in(merged, hit);
    for (auto it = findings.begin(); it != findings.end();) {
      if (!share_an_id(*it, hit)) {
        ++it;
        continue;
      }
      merged.ids.insert(merged.ids.end(), it->ids.begin(), it->ids.end());
      merged.ratings.insert(merged.ratings.begin(), it->ratings.begin(), it->ratings.end());
      merged.fixed_in.insert(merged.fixed_in.end(), it->fixed_in.begin(), it->fixed_in.end());
      if (!it->summary.empty()) merged.summary = it->summary;
      if (!it->details.empty()) merged.details = it->details;
      if (!it->link.empty()) merged.link = it->link;
      it = findings.erase(it);
    }
    sort_unique(merged.ids);
    sort_versions(merged.fixed_in);
    merged.id = best_id(merged.ids, merged.id);
    findings.push_back(std::move(merged));
  }
  std::sort(findings.begin(), findings.end(),
            [](const Finding& left, const Finding& right) { return left.id < right.id; });
  return findings;
}

void complete(std::vector<Finding>& findings, const std::string& purl, const Knowledge& knowledge) {
  for (Finding& finding : findings) {
    for (const std::string& id : finding.ids) {
      const auto at = std::lower_bound(knowledge.exploited.begin(), knowledge.exploited.end(), id,
                                       [](const ExploitedEntry& entry, const std::string& wanted) {
                                         return entry.cve < wanted;
                                       });
      if (at != knowledge.exploited.end() && at->cve == id)
        finding.exploited_since = at->date_added;
    }
    const VexStatement* statement =
        find_suppression(knowledge.vex, finding.ids, purl, knowledge.vex_products);
    if (statement != nullptr) finding.suppressed = *statement;
  }
}

/// What one database says of the component.
Result<void> ask(const Database* database, const std::string& key, const Component& component,
                 std::vector<Hit>& hits, std::vector<Unknown>& unknowns) {
  if (database == nullptr || !database->knows(key)) return {};
  MLXGUARD_TRY_ASSIGN(std::vector<Record> records, database->find(key));
  for (Record& record : records) {
    bool affected = false;
    std::vector<std::string> fixed_in;
    std::optional<Unknown> unknown;
    for (const Affected& one : record.affected) {
      Match matched = match(one, component.version);
      affected = affected || matched.standing == Standing::kAffected;
      if (matched.standing == Standing::kCouldNotTell) {
        const bool version = matched.obstacle == Obstacle::kVersion;
        unknown = {version ? Reason::kVersion : Reason::kRange, record.id + ": " + matched.why};
      }
      fixed_in.insert(fixed_in.end(), matched.fixed_in.begin(), matched.fixed_in.end());
    }
    if (affected) {
      hits.push_back({std::move(record), std::move(fixed_in)});
    } else if (unknown) {
      unknowns.push_back(*std::move(unknown));
    }
  }
  return {};
}

/// A model has no advisories, but a signature; sources of the project itself have none either.
bool is_looked_at(const Component& component) {
  return component.kind != Component::Kind::kModel &&
         inventory::property_of(component, "own") != "true";
}

void accept(ComponentReport& report, const ScanOptions& options) {
  const bool named = options.accepted.contains(report.component->name);
  for (Unknown& unknown : report.unknowns) {
    unknown.accepted = named || options.accepted.contains(name_of(unknown.reason));
  }
}

Verdict verdict_of(const Unknown& unknown) {
  return unknown.accepted ? Verdict::kAccepted : Verdict::kCouldNotTell;
}

/// For each component the one that brings it in, nearest to what was asked for.
std::map<std::string, std::string> parents_of(const inventory::Inventory& inventory) {
  std::map<std::string, const Component*> by_purl;
  std::set<std::string> needed;
  for (const Component& one : inventory.components) {
    by_purl[one.purl] = &one;
    needed.insert(one.needs.begin(), one.needs.end());
  }
  std::map<std::string, std::string> parents;
  std::queue<const Component*> open;
  const auto begin_with = [&](bool (*wanted)(const Component&, const std::set<std::string>&)) {
    for (const Component& one : inventory.components) {
      if (wanted(one, needed) && parents.try_emplace(one.purl).second) open.push(&one);
    }
  };
  const auto walk = [&] {
    while (!open.empty()) {
      const Component* one = open.front();
      open.pop();
      for (const std::string& purl : one->needs) {
        const auto found = by_purl.find(purl);
        if (found != by_purl.end() && parents.try_emplace(purl, one->purl).second) {
          open.push(found->second);
        }
      }
    }
  };
  begin_with([](const Component& one, const std::set<std::string>&) { return one.direct; });
  walk();
  begin_with([](const Component& one, const auto& all) { return !all.contains(one.purl); });
  walk();
  return parents;
}

std::vector<std::string> path_to(const std::string& purl,
                                 const std::map<std::string, std::string>& parents,
                                 const std::map<std::string, std::string>& names) {
  std::vector<std::string> path;
  for (std::string at = purl; !at.empty();) {
    const auto name = names.find(at);
    path.push_back(name == names.end() ? at : name->second);
    const auto parent = parents.find(at);
    at = parent == parents.end() ? std::string() : parent->second;
  }
  std::reverse(path.begin(), path.end());
  return path;
}

void judge_database(const Knowledge& knowledge, const ScanOptions& options, WallTime now,
                    Report& report) {
  if (knowledge.osv == nullptr) {
    report.unknowns.push_back({Reason::kNoDatabase, "there is no advisory database"});
  } else if (const auto age = check_age(knowledge.osv->info(), options.age_max, now); !age) {
    report.unknowns.push_back({Reason::kOldDatabase, age.error().message});
  }
}

std::vector<const VexStatement*> unused_statements(const std::vector<VexStatement>& statements,
                                                   const Report& report) {
  std::set<std::size_t> used;
  for (const ComponentReport& one : report.components) {
    for (const Finding& finding : one.findings) {
      if (finding.suppressed) used.insert(finding.suppressed->number);
    }
  }
  std::vector<const VexStatement*> unused;
  for (const VexStatement& one : statements) {
    if (suppresses(one) && !used.contains(one.number)) unused.push_back(&one);
  }
  return unused;
}

/// Without a RECORD nobody knows which files are a package's, nor what they should be.
bool lacks_record(const Observation& one) {
  return one.kind == Observation::Kind::kRecordMissing &&
         (one.where.ends_with(".dist-info/RECORD") || one.where.ends_with(".egg-info"));
}

void take_observations(const inventory::Inventory& inventory, Report& report) {
  using Kind = Observation::Kind;
  for (const Observation& one : inventory.observations) {
    if (one.kind == Kind::kUnreadable || lacks_record(one)) {
      report.unknowns.push_back({Reason::kUnreadable, one.where + ": " + one.error.message});
    } else if (one.kind != Kind::kMissing) {
      report.observations.push_back(&one);
    }
    report.altered = report.altered || one.kind == Kind::kRecordMismatch;
  }
}

}  // namespace

std::string_view name_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::kClean:
      return "clean";
    case Verdict::kSuppressed:
      return "suppressed";
    case Verdict::kAccepted:
      return "accepted";
    case Verdict::kCouldNotTell:
      return "could-not-tell";
    case Verdict::kVulnerable:
      return "vulnerable";
  }
  return {};
}

const std::vector<ReasonRow>& reason_rows() {
#define MLXGUARD_REASON_ROW(enumerator, name, meaning) {Reason::enumerator, name, meaning},
  static const std::vector<ReasonRow> rows{MLXGUARD_UNKNOWN_REASON_TABLE(MLXGUARD_REASON_ROW)};
#undef MLXGUARD_REASON_ROW
  return rows;
}

std::string_view name_of(Reason reason) {
  return reason_rows()[static_cast<std::size_t>(reason)].name;
}

std::size_t Report::count(Verdict wanted) const {
  return static_cast<std::size_t>(
      std::count_if(components.begin(), components.end(),
                    [&](const ComponentReport& one) { return one.verdict == wanted; }));
}

void conclude(ComponentReport& report) {
  report.verdict = Verdict::kClean;
  for (const Finding& finding : report.findings) {
    report.verdict = std::max(report.verdict, finding.suppressed ? Verdict::kSuppressed
                                              : finding.accepted ? Verdict::kAccepted
                                                                 : Verdict::kVulnerable);
  }
  for (const Unknown& unknown : report.unknowns) {
    report.verdict = std::max(report.verdict, verdict_of(unknown));
  }
}

void conclude(Report& report) {
  report.verdict = Verdict::kClean;
  for (const ComponentReport& one : report.components) {
    report.verdict = std::max(report.verdict, one.verdict);
  }
  for (const Unknown& unknown : report.unknowns) {
    report.verdict = std::max(report.verdict, verdict_of(unknown));
  }
}

Result<ComponentReport> judge(const Component& component, const Knowledge& knowledge,
                              const ScanOptions& options) {
  ComponentReport report;
  report.component = &component;
  const std::string key = key_of_purl(component.purl);
  const bool known_somewhere = (knowledge.osv != nullptr && knowledge.osv->knows(key)) ||
                               (knowledge.feed != nullptr && knowledge.feed->knows(key));
  if (!known_somewhere) {
    const bool native = component.kind != Component::Kind::kPackage;
    report.unknowns.push_back({native ? Reason::kNativePart : Reason::kUnlisted,
                               native ? "no advisory database covers this native part"
                                      : "no advisory database knows this package"});
  } else {
    std::vector<Hit> hits;
    MLXGUARD_TRY(ask(knowledge.osv, key, component, hits, report.unknowns));
    MLXGUARD_TRY(ask(knowledge.feed, key, component, hits, report.unknowns));
    if (component.version.empty()) {  // one reason, instead of one for each advisory
      report.unknowns = {{Reason::kNoVersion, "which version it is could not be told"}};
    }
    report.findings = merge(hits);
    complete(report.findings, component.purl, knowledge);
  }
  accept(report, options);
  conclude(report);
  return report;
}

Result<Report> scan(const inventory::Inventory& inventory, const Knowledge& knowledge,
                    const ScanOptions& options, WallTime now) {
  Report report;
  judge_database(knowledge, options, now, report);
  take_observations(inventory, report);
  const auto parents = parents_of(inventory);
  std::map<std::string, std::string> names;
  for (const Component& one : inventory.components) names[one.purl] = one.name;
  for (const Component& component : inventory.components) {
    if (!is_looked_at(component)) continue;
    MLXGUARD_TRY_ASSIGN(ComponentReport one, judge(component, knowledge, options));
    one.path = path_to(component.purl, parents, names);
    report.components.push_back(std::move(one));
  }
  if (report.components
          .empty()) {  // the wrong folder is more likely than an environment of nothing
    report.unknowns.push_back({Reason::kEmpty, "there is no package in it"});
  }
  report.unused_vex = unused_statements(knowledge.vex, report);
  for (Unknown& unknown : report.unknowns) {
    unknown.accepted = options.accepted.contains(name_of(unknown.reason));
  }
  conclude(report);
  return report;
}

}  // namespace mlxguard::advisories
