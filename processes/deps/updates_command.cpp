// SPDX-License-Identifier: Apache-2.0
// mlxguard deps updates: the smallest upgrades that clear the findings and still resolve. uv or pip
// resolves; which version is high enough, the advisories say; and what was resolved is scanned
// again before it is told.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "arguments.h"
#include "codec/json.h"
#include "codec/text.h"
#include "deps_commands.h"
#include "inventory/builder.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/read.h"
#include "key_options.h"
#include "knowledge.h"
#include "packaging/name.h"
#include "packaging/version.h"
#include "progress.h"
#include "resolver.h"

namespace mlxguard::cli {
namespace {

using advisories::ComponentReport;
using advisories::Finding;
using inventory::Component;
using inventory::Inventory;
using inventory::LockEntry;
using packaging::Version;

constexpr int kRoundsMax = 8;     // a fix may bring another finding
constexpr int kSearchedMax = 24;  // versions that are tried where no advisory names a fix

struct Options {
  std::string target = ".", out, cooldown = "7d";
  std::vector<std::string> vex;
  ResolverOptions resolver;
};

/// One package that is vulnerable, and what became of it.
struct Upgrade {
  std::string name, from, at_least, to;
  std::vector<std::string> cleared;  ///< ids of findings
  std::vector<std::string> left;     ///< ids that no known version ends
};

struct Plan {
  std::map<std::string, Upgrade> upgrades;       ///< by name
  std::map<std::string, std::string> installed;  ///< versions, by name
  std::vector<LockEntry> resolved;
  std::vector<std::string> remaining;  ///< "name version: id" that the resolved set still has
};

/// The smallest of the versions that end this finding and are newer than `from`.
std::optional<std::string> smallest_fix(const Finding& finding, const Version& from) {
  std::optional<Version> best;
  std::string text;
  for (const std::string& one : finding.fixed_in) {
    const auto version = Version::parse(one);
    if (!version || *version <= from || (best && *best <= *version)) continue;
    best = *version;
    text = one;
  }
  if (!best) return std::nullopt;
  return text;
}

/// The first version, going by the fixes that advisories name, that none of them affects.
Result<Upgrade> high_enough(const ComponentReport& report, const advisories::Knowledge& knowledge) {
  Upgrade upgrade{report.component->name, report.component->version, "", "", {}, {}};
  std::vector<Finding> findings = report.findings;
  for (const Finding& finding : findings) {
    if (!finding.suppressed) upgrade.cleared.push_back(finding.id);
  }
  Component candidate = *report.component;
  for (int round = 0; round < kRoundsMax; ++round) {
    const auto from = Version::parse(candidate.version);
    if (!from) break;
    std::optional<Version> highest;
    for (const Finding& finding : findings) {
      if (finding.suppressed) continue;
      const auto fix = smallest_fix(finding, *from);
      if (!fix) {
        upgrade.left.push_back(finding.id);
        std::erase(upgrade.cleared, finding.id);
        continue;
      }
      const auto version = Version::parse(*fix);
      if (version && (!highest || *highest < *version)) highest = *version;
    }
    if (!highest) break;
    candidate.version = highest->text();
    candidate.purl = inventory::pypi_purl(candidate.name, candidate.version);
    upgrade.at_least = candidate.version;
    MLXGUARD_TRY_ASSIGN(const ComponentReport again, advisories::judge(candidate, knowledge, {}));
    findings = again.findings;
    // Those that no version ends have been told.
    std::erase_if(findings, [&](const Finding& one) {
      return std::find(upgrade.left.begin(), upgrade.left.end(), one.id) != upgrade.left.end();
    });
    if (findings.empty()) break;
  }
  return upgrade;
}

/// Whether a version has no finding; nothing that could be told is nothing known against it.
Result<bool> is_clear(const std::string& name, const std::string& version,
                      const advisories::Knowledge& knowledge) {
  Component component;
  component.name = name;
  component.version = version;
  component.purl = inventory::pypi_purl(name, version);
  MLXGUARD_TRY_ASSIGN(const ComponentReport report, advisories::judge(component, knowledge, {}));
  return std::all_of(report.findings.begin(), report.findings.end(),
                     [](const Finding& finding) { return finding.suppressed.has_value(); });
}

/// An advisory may say which versions are affected and name none that is not: the index has later
/// ones then, which are asked for and judged, the smallest first.
Result<void> search_fix(Upgrade& upgrade, const advisories::Knowledge& knowledge,
                        ResolverOptions resolver) {
  resolver.dependencies = false;
  const std::string from = upgrade.at_least.empty() ? upgrade.from : upgrade.at_least;
  std::string wanted = upgrade.name + ">" + Version::parse(from)->text();
  const auto newest = resolve({wanted}, {}, resolver);
  if (!newest || newest->size() != 1) return {};  // there is nothing later
  std::string found = newest->front().version;
  MLXGUARD_TRY_ASSIGN(const bool clear, is_clear(upgrade.name, found, knowledge));
  if (!clear) return {};
  resolver.smallest = resolver.tool == "uv";
  for (int tried = 0; resolver.smallest && tried < kSearchedMax; ++tried) {
    const auto next = resolve({wanted}, {}, resolver);
    if (!next || next->size() != 1) break;
    const std::string& version = next->front().version;
    MLXGUARD_TRY_ASSIGN(const bool good, is_clear(upgrade.name, version, knowledge));
    if (good) {
      found = version;
      break;
    }
    wanted += ",!=" + version;
  }
  upgrade.at_least = found;
  upgrade.cleared.insert(upgrade.cleared.end(), upgrade.left.begin(), upgrade.left.end());
  upgrade.left.clear();
  return {};
}

std::vector<std::string> asked(const Plan& plan, const char* for_upgrades, const char* for_others) {
  std::vector<std::string> requirements;
  for (const auto& [name, version] : plan.installed) {
    const auto upgrade = plan.upgrades.find(name);
    const bool raised = upgrade != plan.upgrades.end() && !upgrade->second.at_least.empty();
    requirements.push_back(
        name + (raised ? for_upgrades + upgrade->second.at_least : for_others + version));
  }
  return requirements;
}

/// The others stay where they are if that resolves, and only rise where it does not.
Result<std::vector<LockEntry>> resolve_upgrades(const Plan& plan, const Options& options,
                                                WallTime now, std::chrono::milliseconds cooldown) {
  ResolverOptions resolver = options.resolver;
  resolver.smallest = true;
  if (cooldown.count() > 0) {
    resolver.uploaded_before = codec::to_rfc3339((now.time_since_epoch() - cooldown).count());
    for (const auto& [name, version] : plan.installed) {
      if (!plan.upgrades.contains(name)) resolver.cooled.push_back(name);
    }
  }
  auto resolved = resolve(asked(plan, "==", "=="), {}, resolver);
  if (!resolved) resolved = resolve(asked(plan, ">=", "=="), {}, resolver);
  if (!resolved) resolved = resolve(asked(plan, ">=", ">="), {}, resolver);
  return resolved;
}

/// Holds what was resolved against the advisories again.
Result<void> judge_resolved(Plan& plan, const advisories::Knowledge& knowledge) {
  for (const LockEntry& entry : plan.resolved) {
    Component component;
    component.name = entry.name;
    component.version = entry.version;
    component.purl = inventory::pypi_purl(entry.name, entry.version);
    MLXGUARD_TRY_ASSIGN(const ComponentReport report, advisories::judge(component, knowledge, {}));
    for (const Finding& finding : report.findings) {
      if (!finding.suppressed)
        plan.remaining.push_back(entry.name + " " + entry.version + ": " + finding.id);
    }
    if (const auto upgrade = plan.upgrades.find(entry.name); upgrade != plan.upgrades.end()) {
      upgrade->second.to = entry.version;
    }
  }
  return {};
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& one : texts) out += (out.empty() ? "" : ", ") + one;
  return out;
}

void write_texts(codec::JsonWriter& json, const char* key, const std::vector<std::string>& texts) {
  json.key(key).begin_array();
  for (const std::string& one : texts) json.string(one);
  json.end_array();
}

void print(const Output& output, const Plan& plan) {
  codec::JsonWriter json;
  json.begin_object().key("upgrades").begin_array();
  for (const auto& [name, one] : plan.upgrades) {
    json.begin_object().field("name", name).field("from", one.from).field("to", one.to);
    json.field("at_least", one.at_least);
    write_texts(json, "clears", one.cleared);
    write_texts(json, "no_fix", one.left);
    json.end_object();
    const std::string to = one.to.empty() ? "no version" : one.to;
    output.line(fmt::format("{} {} -> {}  clears {}", output.styled(Style::kBold, name), one.from,
                            to, one.cleared.empty() ? "nothing" : joined(one.cleared)));
    if (!one.left.empty()) {
      output.line(output.styled(Style::kBad, "  no known version ends " + joined(one.left)));
    }
  }
  json.end_array().key("beside").begin_array();
  for (const LockEntry& entry : plan.resolved) {
    const auto before = plan.installed.find(entry.name);
    if (plan.upgrades.contains(entry.name)) continue;
    if (before != plan.installed.end() && before->second == entry.version) continue;
    const std::string from = before == plan.installed.end() ? "" : before->second;
    json.begin_object().field("name", entry.name).field("from", from);
    json.field("to", entry.version).end_object();
    output.line(fmt::format("  with it: {} {} -> {}", entry.name, from.empty() ? "(new)" : from,
                            entry.version));
  }
  json.end_array();
  write_texts(json, "remaining", plan.remaining);
  json.end_object();
  output.json_line(json.text());
  for (const std::string& one : plan.remaining) {
    output.line(output.styled(Style::kBad, "still there: " + one));
  }
  if (plan.upgrades.empty()) output.line("nothing to upgrade");
}

Result<Plan> make_plan(Session& session, const Options& options) {
  MLXGUARD_TRY_ASSIGN(const LoadedKnowledge loaded, load_knowledge(session, options.vex, ""));
  if (!loaded.osv && !loaded.feed) {
    return make_error(ErrorCode::kAdvisoryDatabase, "there is no advisory database to go by")
        .hinting("mlxguard deps db update brings one");
  }
  const advisories::Knowledge knowledge = loaded.view();
  MLXGUARD_TRY_ASSIGN(const auto cooldown,
                      options.cooldown == "0"
                          ? Result<std::chrono::milliseconds>(std::chrono::milliseconds(0))
                          : lifetime_of(options.cooldown));
  inventory::ReadOptions read_options;
  read_options.native = inventory::NativeParts::kSkip;
  read_options.records = inventory::RecordCheck::kNone;
  MLXGUARD_TRY_ASSIGN(const Inventory found,
                      inventory::read_inventory(options.target, read_options));
  MLXGUARD_TRY_ASSIGN(const auto report,
                      advisories::scan(found, knowledge, {}, session.clock().now()));
  Plan plan;
  for (const ComponentReport& one : report.components) {
    const Component& component = *one.component;
    if (!component.purl.starts_with("pkg:pypi/") || !Version::parse(component.version)) continue;
    if (!inventory::property_of(component, "source").empty()) continue;  // not from an index
    plan.installed[component.name] = component.version;
    const bool open = std::any_of(one.findings.begin(), one.findings.end(),
                                  [](const Finding& finding) { return !finding.suppressed; });
    if (!open) continue;
    MLXGUARD_TRY_ASSIGN(Upgrade upgrade, high_enough(one, knowledge));
    if (!upgrade.left.empty()) {
      ResolverOptions resolver = options.resolver;
      if (cooldown.count() > 0) {
        const auto before = session.clock().now().time_since_epoch() - cooldown;
        resolver.uploaded_before = codec::to_rfc3339(before.count());
      }
      MLXGUARD_TRY(search_fix(upgrade, knowledge, resolver));
    }
    plan.upgrades.emplace(component.name, std::move(upgrade));
  }
  const bool any = std::any_of(plan.upgrades.begin(), plan.upgrades.end(),
                               [](const auto& one) { return !one.second.at_least.empty(); });
  if (any) {
    if (session.output().interactive()) {
      session.output().progress("asking " + options.resolver.tool + " what still resolves");
    }
    auto resolved = resolve_upgrades(plan, options, session.clock().now(), cooldown);
    session.output().progress("");
    if (!resolved) {
      return std::move(resolved).error().hinting(
          cooldown.count() > 0 ? "a fix may be younger than the cooldown: --cooldown 0 takes it"
                               : "no set of versions holds all of the fixes");
    }
    plan.resolved = *std::move(resolved);
  }
  MLXGUARD_TRY(judge_resolved(plan, knowledge));
  return plan;
}

Result<int> run(Session& session, const Options& given) {
  Options options = given;
  const std::filesystem::path own = std::filesystem::path(options.target) / "bin" / "python";
  std::error_code missing;
  if (options.resolver.python.empty()) {
    options.resolver.python = std::filesystem::exists(own, missing) ? own.string() : "python3";
  }
  MLXGUARD_TRY_ASSIGN(const Plan plan, make_plan(session, options));
  if (!options.out.empty() && !plan.resolved.empty()) {
    MLXGUARD_TRY(inventory::write_file(options.out, inventory::to_pylock(plan.resolved, "")));
  }
  print(session.output(), plan);
  const bool cleared = plan.remaining.empty() &&
                       std::all_of(plan.upgrades.begin(), plan.upgrades.end(), [](const auto& one) {
                         return one.second.left.empty() && !one.second.to.empty();
                       });
  return cleared ? 0 : 1;
}

}  // namespace

void define_deps_updates(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  options->resolver.tool = "uv";
  options->resolver.python.clear();
  app.add_option("TARGET", options->target,
                 "environment, lock or requirements file (the current folder)");
  app.add_option("-o,--output", options->out, "write the upgraded set as pylock.toml");
  app.add_option("--cooldown", options->cooldown, "take no release younger than this; 0: any")
      ->capture_default_str();
  app.add_option("--vex", options->vex, "OpenVEX document: what it suppresses needs no upgrade")
      ->allow_extra_args(false);
  app.add_option("--resolver", options->resolver.tool,
                 "uv (default) or pip, which knows no cooldown");
  app.add_option("--python", options->resolver.python,
                 "Python to resolve for (the environment's own)");
  app.add_option("--index-url", options->resolver.index_url,
                 "index to ask (as the resolver is configured)");
  app.add_flag("--allow-sdist", options->resolver.source_distributions,
               "also take source distributions, whose builds run code");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
