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
#include "inventory/lock_write.h"
#include "inventory/read.h"
#include "inventory/requirement_graph.h"
#include "packaging/marker.h"
#include "packaging/name.h"
#include "packaging/version.h"
#include "progress.h"
#include "record/event.h"
#include "resolver.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

namespace fs = std::filesystem;
using inventory::Component;
using inventory::Inventory;
using inventory::LockEntry;
using inventory::Observation;

struct Options {
  std::string target = ".";
  std::string out, requirements;
  std::vector<std::string> skipped;
  ResolverOptions resolver;
};

/// Lines of a requirements file that make an installer build what it names, which runs its code.
Result<void> check_requirements_file(const fs::path& file) {
  std::string found;
  const inventory::FileReader reader = [&](const std::string& path,
                                           std::uint64_t bytes_max) -> Result<std::string> {
    MLXGUARD_TRY_ASSIGN(std::string text,
                        inventory::read_file(file.parent_path() / path, bytes_max));
    if (text.find("--no-binary") != std::string::npos) found = path;
    return text;
  };
  MLXGUARD_TRY_ASSIGN(const Inventory asked, inventory::read_requirements(file.filename().string(),
                                                                          reader, file.string()));
  for (const Observation& one : asked.observations) found = one.where;
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

/// What the resolver is asked for.
struct Wanted {
  std::vector<std::string> requirements, files;
  bool exact = false;  ///< every package is named, with its version
};

/// Only an environment that agrees with itself is worth locking.
Result<void> check_whole(const Inventory& environment) {
  for (const Observation& one : environment.observations) {
    const bool harmless =
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
  wanted.exact = !project;
  for (const Component& component : found.components) {
    if (component.kind != Component::Kind::kPackage || !component.purl.starts_with("pkg:pypi/"))
      continue;
    if (skipped.contains(component.name)) continue;
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
    if (component.kind == Component::Kind::kPackage) known.emplace(component.name, &component);
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

Result<void> write(Session& session, const Options& options, const std::vector<LockEntry>& entries,
                   const Inventory& found) {
  std::vector<inventory::FileText> files = {{options.out, inventory::to_pylock(entries, "")}};
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
  MLXGUARD_TRY_ASSIGN(const Wanted wanted, wanted_of(found, options));
  options.resolver.dependencies = !wanted.exact;
  if (output.interactive()) {
    output.progress(fmt::format("asking {} for the files of {} packages", options.resolver.tool,
                                wanted.requirements.size()));
  }
  auto resolved = resolve(wanted.requirements, wanted.files, options.resolver);
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
  MLXGUARD_TRY(write(session, options, *resolved, found));

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
  app.add_option("--index-url", options->resolver.index_url,
                 "index to ask (as the resolver is configured)");
  app.add_flag("--allow-sdist", options->resolver.source_distributions,
               "also take source distributions, whose builds run code");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
