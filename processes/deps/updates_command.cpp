// SPDX-License-Identifier: Apache-2.0
// mlxguard deps updates: the smallest upgrades that clear the findings and still resolve. uv or pip
// resolves; which version is high enough, the advisories say; and what was resolved is scanned
// again before it is told.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "advisories/accepted_names.h"
#include "advisories/upgrade.h"
#include "arguments.h"
#include "base/ascii.h"
#include "codec/json.h"
#include "codec/text.h"
#include "deps_commands.h"
#include "inventory/builder.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/read.h"
#include "inventory/vendored.h"
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
using advisories::Upgrade;
using inventory::Component;
using inventory::Inventory;
using inventory::LockEntry;
using packaging::Version;

constexpr int kSearchedMax = 24;  // versions that are tried where no advisory names a fix

struct Options {
  std::string target = ".", out, cooldown = "7d";
  std::vector<std::string> vex, accepted;
  std::string max_age = "30d";
  ResolverOptions resolver;
};

/// A package that no resolver is asked about: it stays as it is.
struct Kept {
  std::string name, version, why;
};

struct Plan {
  std::map<std::string, Upgrade> upgrades;       ///< by name
  std::map<std::string, std::string> installed;  ///< versions, by name
  std::vector<LockEntry> resolved;
  std::vector<Kept> kept;
  std::vector<std::string> remaining;  ///< "name version: id" that is still there afterwards
  std::vector<std::string> untold;     ///< "name version: why" it could not be told, afterwards
  bool passes = false;                 ///< what is there afterwards would pass a scan
};

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
  MLXGUARD_TRY_ASSIGN(const bool clear, advisories::is_clear(upgrade.name, found, knowledge));
  if (!clear) return {};
  resolver.smallest = resolver.tool == "uv";
  for (int tried = 0; resolver.smallest && tried < kSearchedMax; ++tried) {
    const auto next = resolve({wanted}, {}, resolver);
    if (!next || next->size() != 1) break;
    const std::string& version = next->front().version;
    MLXGUARD_TRY_ASSIGN(const bool good, advisories::is_clear(upgrade.name, version, knowledge));
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

/// Why no resolver is asked about this component and it stays as it is; empty: one is.
std::string why_kept(const Component& component) {
  const auto source = inventory::property_of(component, "source");
  if (source == "editable" || source == "folder") return "it is a folder of sources";
  if (source == "vcs") return "it comes from a repository";
  if (!source.empty()) return "it comes from a URL";
  if (component.kind == Component::Kind::kNative) return "it is a part of a wheel";
  if (!component.purl.starts_with("pkg:pypi/")) return "it is no Python package";
  if (inventory::is_vendored(component)) return "it is a copy inside of another package";
  if (component.version.empty()) return "no exact version of it is told";
  if (!Version::parse(component.version)) return "its version is none that PEP 440 allows";
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

/// What there is afterwards: the resolved packages instead of those that were asked for, and all
/// others as they are.
Inventory after_upgrades(const Inventory& found, const Plan& plan) {
  Inventory after;
  after.root = found.root;
  after.source = found.source;
  after.observations = found.observations;
  for (const Component& one : found.components) {
    const bool asked = plan.installed.contains(one.name) && why_kept(one).empty();
    if (plan.resolved.empty() || !asked) after.components.push_back(one);
  }
  for (const LockEntry& entry : plan.resolved) {
    Component component;
    component.name = entry.name;
    component.version = entry.version;
    component.purl = inventory::pypi_purl(entry.name, entry.version);
    after.components.push_back(std::move(component));
  }
  return after;
}

std::string shown(const Component& component) {
  return component.version.empty() ? component.name : component.name + " " + component.version;
}

/// Scans what there is afterwards: its verdict is the verdict of the upgrade.
Result<void> judge_result(const Inventory& found, const advisories::Knowledge& knowledge,
                          const advisories::ScanOptions& options, WallTime now, Plan& plan) {
  for (const LockEntry& entry : plan.resolved) {
    if (const auto upgrade = plan.upgrades.find(entry.name); upgrade != plan.upgrades.end()) {
      upgrade->second.to = entry.version;
    }
  }
  const Inventory after = after_upgrades(found, plan);
  MLXGUARD_TRY_ASSIGN(const advisories::Report report,
                      advisories::scan(after, knowledge, options, now));
  for (const ComponentReport& one : report.components) {
    for (const Finding& finding : one.findings) {
      if (finding.is_open()) plan.remaining.push_back(shown(*one.component) + ": " + finding.id);
    }
    for (const advisories::Unknown& unknown : one.unknowns) {
      if (unknown.accepted) continue;
      plan.untold.push_back(shown(*one.component) + ": " + unknown.text);
    }
  }
  for (const advisories::Unknown& unknown : report.unknowns) {
    if (!unknown.accepted) plan.untold.push_back(unknown.text);
  }
  plan.passes = report.passes();
  return {};
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
  write_texts(json, "could_not_tell", plan.untold);
  json.key("kept").begin_array();
  for (const Kept& one : plan.kept) {
    json.begin_object().field("name", one.name).field("version", one.version);
    json.field("why", one.why).end_object();
  }
  json.end_array().end_object();
  output.json_line(json.text());
  for (const std::string& one : plan.remaining) {
    output.line(output.styled(Style::kBad, "still there: " + one));
  }
  constexpr std::size_t kShown = 20;  // --json lists all
  const auto some = [&](const std::vector<std::string>& lines) {
    for (std::size_t i = 0; i < lines.size() && i < kShown; ++i) output.line(printable(lines[i]));
    if (lines.size() > kShown) {
      output.line(fmt::format("and {} more; --json lists all", lines.size() - kShown));
    }
  };
  std::vector<std::string> lines;
  for (const std::string& one : plan.untold) lines.push_back("could not tell: " + one);
  some(lines);
  lines.clear();
  for (const Kept& one : plan.kept) {
    lines.push_back("stays: " + one.name + (one.version.empty() ? "" : " " + one.version) + ", " +
                    one.why);
  }
  some(lines);
  if (plan.upgrades.empty() && plan.remaining.empty() && plan.untold.empty()) {
    output.line("nothing to upgrade");
  }
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
  advisories::ScanOptions scan_options;
  MLXGUARD_TRY_ASSIGN(scan_options.age_max, lifetime_of(options.max_age));
  MLXGUARD_TRY_ASSIGN(scan_options.accepted, advisories::accepted_names(options.accepted, found));
  MLXGUARD_TRY_ASSIGN(const auto report,
                      advisories::scan(found, knowledge, scan_options, session.clock().now()));
  Plan plan;
  for (const ComponentReport& one : report.components) {
    const Component& component = *one.component;
    const std::string why = why_kept(component);
    if (!why.empty()) {
      plan.kept.push_back({component.name, component.version, why});
      continue;
    }
    plan.installed[component.name] = component.version;
    const bool open = std::any_of(one.findings.begin(), one.findings.end(),
                                  [](const Finding& finding) { return !finding.suppressed; });
    if (!open) continue;
    MLXGUARD_TRY_ASSIGN(Upgrade upgrade, advisories::high_enough(one, knowledge));
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
  MLXGUARD_TRY(judge_result(found, knowledge, scan_options, session.clock().now(), plan));
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
    MLXGUARD_TRY(inventory::write_file(options.out, inventory::to_pylock(plan.resolved, {})));
    if (!plan.kept.empty()) {
      session.output().note(fmt::format("{} packages are not in {}: they stay as they are",
                                        plan.kept.size(), printable(options.out)));
    }
  }
  print(session.output(), plan);
  return plan.passes ? 0 : 1;
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
  app.add_option("--accept", options->accepted, "as for deps scan")->allow_extra_args(false);
  app.add_option("--max-age", options->max_age, "an older database could not tell")
      ->capture_default_str();
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
