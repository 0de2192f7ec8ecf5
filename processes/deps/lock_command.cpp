// SPDX-License-Identifier: Apache-2.0
// mlxguard deps lock: exact versions with hashes, as pylock.toml and as requirements. The hashes
// are those of the index's files: what is installed does not tell them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "arguments.h"
#include "codec/json.h"
#include "deps_commands.h"
#include "inventory/builder.h"
#include "inventory/environment.h"
#include "inventory/files.h"
#include "inventory/lock_files.h"
#include "inventory/lock_platform.h"
#include "inventory/lock_write.h"
#include "inventory/read.h"
#include "inventory/requirement_graph.h"
#include "inventory/vendored.h"
#include "packaging/marker.h"
#include "packaging/name.h"
#include "packaging/version.h"
#include "progress.h"
#include "record/event.h"
#include "resolver.h"
#include "tool_process.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

namespace fs = std::filesystem;
using inventory::Component;
using inventory::Inventory;
using inventory::LockEntry;
using inventory::LockPlatform;
using inventory::Observation;

struct Options {
  std::string target = ".";
  std::string out, requirements;
  std::vector<std::string> skipped, platforms, extras, groups;
  ResolverOptions resolver;
};

/// Lines of a requirements file that make an installer build what it names, which runs its code.
Result<void> check_requirements_file(const fs::path& file) {
  std::string found;
  const inventory::RequirementsPlace place = inventory::requirements_place(file);
  const inventory::FileReader reader = [&](const std::string& path,
                                           std::uint64_t bytes_max) -> Result<std::string> {
    MLXGUARD_TRY_ASSIGN(std::string text, inventory::read_file(place.root / path, bytes_max));
    if (text.find("--no-binary") != std::string::npos) found = path;
    return text;
  };
  MLXGUARD_TRY_ASSIGN(const Inventory asked,
                      inventory::read_requirements(place.name, reader, file.string()));
  for (const Observation& one : asked.observations) {
    if (one.kind == Observation::Kind::kUnreadable) found = one.where;
  }
  for (const Component& component : asked.components) {
    const auto source = inventory::property_of(component, "source");
    const auto url = inventory::property_of(component, "source_url");
    if (source == "archive" && url.ends_with(".whl")) continue;
    if (!source.empty()) found = component.name;
  }
  if (found.empty()) return {};
  return make_error(ErrorCode::kDepsLock, "asks for what is built from source, which runs its code")
      .about(found)
      .hinting("--allow-sdist takes it");
}

/// A project whose needs are not all told in a form that a resolver is given would have a lock that
/// lacks some of them.
Result<void> check_project(const Inventory& project) {
  for (const Observation& one : project.observations) {
    if (one.kind != Observation::Kind::kUnreadable || one.where != "pyproject.toml") continue;
    return make_error(ErrorCode::kDepsLock, one.error.message)
        .about(one.where)
        .hinting("install the project into an environment and lock that: mlxguard deps lock ENV");
  }
  for (const Component& component : project.components) {
    if (inventory::property_of(component, "optional") == "true") continue;
    if (!inventory::property_of(component, "requirement").empty()) continue;
    return make_error(ErrorCode::kDepsLock, "is asked for in a table of Poetry's own")
        .about(component.name)
        .hinting("poetry lock writes a poetry.lock, which mlxguard deps check takes as it is");
  }
  return {};
}

/// What the resolver is asked for.
struct Wanted {
  std::vector<std::string> requirements, files;
  bool exact = false;  ///< every package is named, with its version
};

/// Only an environment that agrees with itself is worth locking.
Result<void> check_whole(const Inventory& environment) {
  for (const Observation& one : environment.observations) {
    // A lock names whole packages: with them comes what they carry.
    const std::string_view folder = inventory::base_name(one.where);
    const bool copies = one.kind == Observation::Kind::kUnreadable &&
                        (folder == "_vendor" || folder == "_vendored");
    const bool harmless =
        copies ||
        one.kind == Observation::Kind::kMissing || one.kind == Observation::Kind::kPathCode ||
        one.kind == Observation::Kind::kInstallHook || one.kind == Observation::Kind::kUnrecorded;
    if (harmless) continue;
    Error error = one.error;
    return std::move(error)
        .with("not locked")
        .about(one.where)
        .hinting("mlxguard deps inventory shows all that differs; install the package again");
  }
  return {};
}

Result<std::string> pinned(const Component& component) {
  if (!inventory::property_of(component, "source").empty()) {
    return make_error(ErrorCode::kDepsLock,
                      "comes from no index, so that no hash can be had for it")
        .about(component.name)
        .hinting("--skip " + component.name + " leaves it out");
  }
  if (component.version.empty() || !packaging::Version::parse(component.version)) {
    return make_error(ErrorCode::kDepsLock, "has no version that can be locked")
        .about(component.name);
  }
  return component.name + "==" + component.version;
}

/// What the extras and groups that were named ask for. One that the project does not have would
/// leave something out of the lock.
Result<void> add_optional(const Inventory& found, const std::string& kind,
                          const std::vector<std::string>& names, Wanted& wanted) {
  for (const std::string& name : names) {
    const std::string key = kind + ":" + packaging::normalize_name(name);
    const std::size_t before = wanted.requirements.size();
    for (const Component& component : found.components) {
      for (const auto& [property, value] : component.properties) {
        if (property == key) wanted.requirements.push_back(value);
      }
    }
    if (wanted.requirements.size() > before) continue;
    return make_error(ErrorCode::kUsage, "the project has no " + kind + " of this name with "
                                         "requirements: " + name)
        .about(found.root);
  }
  return {};
}

Result<Wanted> wanted_of(const Inventory& found, const Options& options) {
  Wanted wanted;
  std::set<std::string> skipped;
  for (const std::string& name : options.skipped) skipped.insert(packaging::normalize_name(name));
  if (found.source == "requirements") {
    const fs::path target(options.target);
    const fs::path file = fs::is_directory(target) ? target / "requirements.txt" : target;
    if (!options.resolver.source_distributions) MLXGUARD_TRY(check_requirements_file(file));
    wanted.files.push_back(file.string());
    return wanted;
  }
  const bool project = found.source == "project";
  if (project) MLXGUARD_TRY(check_project(found));
  wanted.exact = !project;
  if (!project && !(options.extras.empty() && options.groups.empty())) {
    return make_error(ErrorCode::kUsage, "--extra and --group are those of a pyproject.toml")
        .about(found.root);
  }
  MLXGUARD_TRY(add_optional(found, "extra", options.extras, wanted));
  MLXGUARD_TRY(add_optional(found, "group", options.groups, wanted));
  for (const Component& component : found.components) {
    if (component.kind != Component::Kind::kPackage || !component.purl.starts_with("pkg:pypi/"))
      continue;
    if (skipped.contains(component.name) || inventory::is_vendored(component)) continue;
    if (project) {
      if (inventory::property_of(component, "optional") == "true") continue;
      for (const auto& [key, value] : component.properties) {
        if (key == "requirement") wanted.requirements.push_back(value);
      }
      continue;
    }
    MLXGUARD_TRY_ASSIGN(std::string text, pinned(component));
    const auto marker = inventory::property_of(component, "marker");
    wanted.requirements.push_back(std::move(text) +
                                  (marker.empty() ? "" : "; " + std::string(marker)));
  }
  return wanted;
}

/// The resolver must have answered what it was asked: each package in its version, and no other.
Result<void> check_answer(const std::vector<LockEntry>& entries, const Inventory& found,
                          const Wanted& wanted) {
  if (!wanted.exact) return {};
  std::multimap<std::string, const Component*> known;
  for (const Component& component : found.components) {
    const bool installed =
        component.kind == Component::Kind::kPackage && !inventory::is_vendored(component);
    if (installed) known.emplace(component.name, &component);
  }
  std::set<std::string> answered;
  for (const LockEntry& entry : entries) {
    answered.insert(entry.name);
    const auto [first, last] = known.equal_range(entry.name);
    const bool asked = std::any_of(first, last, [&](const auto& one) {
      return inventory::same_version(one.second->version, entry.version);
    });
    if (asked) continue;
    return make_error(ErrorCode::kResolver, "the resolver answered what it was not asked")
        .about(entry.name + " " + entry.version);
  }
  for (const auto& [name, component] : known) {
    const auto text = component->name + "==" + component->version;
    const bool asked = std::find(wanted.requirements.begin(), wanted.requirements.end(), text) !=
                       wanted.requirements.end();
    const bool everywhere = inventory::property_of(*component, "marker").empty();
    if (asked && everywhere && !answered.contains(name)) {
      return make_error(ErrorCode::kResolver, "the resolver left a package out").about(name);
    }
  }
  return {};
}

/// The version of the Python that the resolver ran with, as that tells it; empty if it does not.
std::string version_of(const std::string& python) {
  constexpr std::chrono::seconds kTimeMax{60};
  const auto answer = run_tool(
      {python, "-I", "-c", "import platform; print(platform.python_version())"}, kTimeMax);
  if (!answer || answer->status != 0) return {};
  const std::string text = answer->out.substr(0, answer->out.find_first_of("\r\n"));
  return packaging::Version::parse(text) ? text : std::string();
}

inventory::LockTerms terms_of(const Options& options, const std::string& python,
                              const std::vector<const LockPlatform*>& platforms) {
  inventory::LockTerms terms = inventory::terms_for(python, platforms);
  for (const std::string& one : options.extras) {
    terms.extras.push_back(packaging::normalize_name(one));
  }
  for (const std::string& one : options.groups) {
    terms.groups.push_back(packaging::normalize_name(one));
  }
  terms.default_groups = terms.groups;
  return terms;
}

/// For each platform by itself; all of it as one set.
Result<std::vector<LockEntry>> resolve_all(const Wanted& wanted, const Options& options,
                                           const std::vector<const LockPlatform*>& platforms) {
  if (platforms.empty()) return resolve(wanted.requirements, wanted.files, options.resolver);
  std::vector<std::pair<std::string, std::vector<LockEntry>>> by_platform;
  for (const LockPlatform* row : platforms) {
    ResolverOptions resolver = options.resolver;
    resolver.platform = row->uv;
    auto resolved = resolve(wanted.requirements, wanted.files, resolver);
    if (!resolved) return std::move(resolved).error().with("for " + std::string(row->name));
    by_platform.emplace_back(row->marker, *std::move(resolved));
  }
  return inventory::joined_entries(by_platform);
}

Result<void> write(Session& session, const Options& options, const std::vector<LockEntry>& entries,
                   const Inventory& found, const inventory::LockTerms& terms) {
  std::vector<inventory::FileText> files = {{options.out, inventory::to_pylock(entries, terms)}};
  if (!options.requirements.empty()) {
    files.push_back({options.requirements, inventory::to_requirements(entries)});
  }
  MLXGUARD_TRY(inventory::write_files(files));
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  record::Event event{.kind = record::Kind::kDepsLocked};
  event.message = "locked";
  event.set(Attr::kRoot, found.root)
      .set(Attr::kSource, found.source)
      .set(Attr::kLock, options.out)
      .set(Attr::kPackages, entries.size());
  return log->append(event);
}

Result<int> run(Session& session, const Options& given) {
  Options options = given;
  std::error_code ignored;
  if (fs::weakly_canonical(options.out, ignored) ==
      fs::weakly_canonical(options.requirements, ignored)) {
    return make_error(ErrorCode::kUsage, "expected two files after -o and --requirements")
        .about(options.out);
  }
  const Output& output = session.output();
  inventory::ReadOptions read_options;
  read_options.native = inventory::NativeParts::kSkip;
  ProgressLine reading(output, session.clock(), "reading");
  read_options.progress = reading.callback();
  MLXGUARD_TRY_ASSIGN(const Inventory found,
                      inventory::read_inventory(options.target, read_options));
  reading.finish();
  const bool environment = found.source == "environment";
  if (environment) {
    MLXGUARD_TRY(check_whole(found));
    const fs::path own = fs::path(options.target) / "bin" / "python";
    std::error_code missing;
    if (options.resolver.python.empty() && fs::exists(own, missing)) options.resolver.python = own;
  }
  if (options.resolver.python.empty()) options.resolver.python = "python3";
  MLXGUARD_TRY_ASSIGN(const auto platforms, inventory::lock_platforms(options.platforms));
  MLXGUARD_TRY_ASSIGN(const Wanted wanted, wanted_of(found, options));
  options.resolver.dependencies = !wanted.exact;
  if (output.interactive()) {
    output.progress(fmt::format("asking {} for the files of {} packages", options.resolver.tool,
                                wanted.requirements.size()));
  }
  const std::string python = version_of(options.resolver.python);
  auto resolved = resolve_all(wanted, options, platforms);
  output.progress("");
  if (!resolved) {
    Error error = std::move(resolved).error();
    if (error.message.find("No module named pip") != std::string::npos) {
      error.hint = "--python names a Python that has pip; --resolver uv needs none";
    } else if (!options.resolver.source_distributions && error.hint.empty()) {
      error.hint = "a package without wheels needs --allow-sdist: its build runs code of its own";
    }
    return error;
  }
  MLXGUARD_TRY(check_answer(*resolved, found, wanted));
  if (environment) inventory::add_installed(*resolved, found);
  const inventory::LockTerms terms = terms_of(options, python, platforms);
  MLXGUARD_TRY(write(session, options, *resolved, found, terms));

  codec::JsonWriter json;
  json.begin_object().field("lock", options.out);
  json.field("requirements", options.requirements);
  json.field("packages", static_cast<std::int64_t>(resolved->size())).key("yanked").begin_array();
  for (const LockEntry& entry : *resolved) {
    if (entry.yanked) json.string(entry.name);
  }
  json.end_array().end_object();
  output.json_line(json.text());
  output.line(fmt::format("{} {}: {} packages", output.styled(Style::kGood, "locked"),
                          printable(options.out), resolved->size()));
  if (terms.requires_python.empty()) {
    output.note("the lock does not say for which Python it is: --python did not tell its version");
  }
  for (const LockEntry& entry : *resolved) {
    if (entry.yanked)
      output.note(entry.name + " " + entry.version + " was withdrawn from the index");
  }
  return 0;
}

}  // namespace

void define_deps_lock(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  options->resolver.python.clear();
  app.add_option("TARGET", options->target,
                 "environment, project, requirements file or lock file (the current folder)");
  app.add_option("-o,--output", options->out, "pylock.toml to write")->required();
  app.add_option("--requirements", options->requirements, "also write requirements with hashes");
  app.add_option("--skip", options->skipped, "leave this package out (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--resolver", options->resolver.tool, "pip (default) or uv");
  app.add_option("--python", options->resolver.python,
                 "Python to resolve for (the environment's own, else python3)");
  app.add_option("--platform", options->platforms,
                 "lock for this platform (repeatable; needs --resolver uv): " +
                     inventory::lock_platform_names())
      ->allow_extra_args(false);
  app.add_option("--extra", options->extras, "with this extra of the project (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--group", options->groups,
                 "with this dependency group of the project (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--index-url", options->resolver.index_url,
                 "index to ask (as the resolver is configured)");
  app.add_flag("--allow-sdist", options->resolver.source_distributions,
               "also take source distributions, whose builds run code");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
