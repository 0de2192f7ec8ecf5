// SPDX-License-Identifier: Apache-2.0
// mlxguard deps check: an environment held against its lock. Passes only when nothing differs.
#include <fcntl.h>
#include <fmt/format.h>

#include <map>
#include <memory>

#include "arguments.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "deps_commands.h"
#include "inventory/builder.h"
#include "inventory/environment.h"
#include "inventory/files.h"
#include "inventory/lock_check.h"
#include "inventory/read.h"
#include "packaging/name.h"
#include "progress.h"
#include "record/event.h"

namespace mlxguard::cli {

using record::Attr;
namespace {

namespace fs = std::filesystem;
using inventory::Difference;
using inventory::Inventory;
using inventory::LockCheck;

constexpr std::uint64_t kWheelBytesMax = 4ull << 30;
constexpr std::size_t kDifferencesShown = 60;  // --json lists all

struct Options {
  std::string lock, target = ".venv", wheels;
  std::vector<std::string> allowed;
  bool without_hashes = false, unrecorded = false, no_bytecode = false;
};

/// The digest of what each wheel of this folder installs, by the wheel's own hash.
Result<std::map<std::string, std::string>> contents_of_wheels(const fs::path& folder) {
  std::map<std::string, std::string> contents;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(folder, problem)) {
    if (entry.path().extension() != ".whl") continue;
    inventory::ReadOptions read_options;
    read_options.native = inventory::NativeParts::kSkip;
    MLXGUARD_TRY_ASSIGN(const std::string bytes,
                        inventory::read_file(entry.path(), kWheelBytesMax));
    MLXGUARD_TRY_ASSIGN(const Inventory wheel, inventory::read_wheel(entry.path(), read_options));
    for (const auto& observation : wheel.observations) {
      const bool differs = observation.kind == inventory::Observation::Kind::kRecordMismatch ||
                           observation.kind == inventory::Observation::Kind::kRecordMissing ||
                           observation.kind == inventory::Observation::Kind::kUnrecorded;
      if (differs) return Error(observation.error).about(entry.path().filename().string());
    }
    for (const auto& component : wheel.components) {
      const auto digest = inventory::property_of(component, "record_digest");
      if (!digest.empty()) {
        contents["sha256:" + codec::to_hex(crypto::sha256(as_bytes(bytes)))] = digest;
      }
    }
  }
  if (problem) return os_error("open", folder.string(), problem.value()).about(folder.string());
  return contents;
}

/// RECORD has no hashes of byte code: where there is some, what Python runs could not be compared.
void find_bytecode(const inventory::EnvironmentPlace& place, LockCheck& check) {
  std::error_code problem;
  for (const std::string& site : place.site_packages) {
    fs::recursive_directory_iterator at(place.prefix / site, problem);
    for (const fs::recursive_directory_iterator end; !problem && at != end; at.increment(problem)) {
      if (at->path().extension() != ".pyc") continue;
      check.differences.push_back({Difference::Kind::kFile, "",
                                   at->path().lexically_relative(place.prefix).string(), "", "",
                                   "byte code, of which no lock tells the content"});
    }
    if (!problem) continue;
    check.differences.push_back(
        {Difference::Kind::kUnreadable, "", site, "", "", problem.message()});
  }
}

Result<void> log_check(Session& session, const Options& options, const LockCheck& check) {
  MLXGUARD_TRY_ASSIGN(log::EventLog * log, session.log());
  record::Event event{.kind = record::Kind::kDepsChecked};
  if (!check.differences.empty()) {
    event =
        record::event_of(record::Kind::kDepsChecked,
                         make_error(ErrorCode::kDepsLock, "the environment differs from its lock"));
  } else {
    event.message = "as locked";
  }
  event.set(Attr::kLock, options.lock)
      .set(Attr::kRoot, options.target)
      .set(Attr::kPackages, check.packages)
      .set(Attr::kDifferences, check.differences.size());
  return log->append(event);
}

std::string words_of(const Difference& one) {
  std::string text = one.name.empty() ? printable(one.where) : one.name;
  text += ": " + printable(one.message);
  if (!one.name.empty() && !one.where.empty() && one.kind == Difference::Kind::kFile) {
    text += " (" + printable(one.where) + ")";
  }
  if (!one.expected.empty() || !one.actual.empty()) {
    text += fmt::format(": expected {}, found {}",
                        one.expected.empty() ? "none" : printable(one.expected),
                        one.actual.empty() ? "none" : printable(one.actual));
  }
  return text;
}

void print(const Output& output, const Options& options, const LockCheck& check) {
  codec::JsonWriter json;
  json.begin_object().field("lock", options.lock).field("environment", options.target);
  json.key("passed").boolean(check.differences.empty());
  json.field("packages", static_cast<std::int64_t>(check.packages));
  json.field("contents", static_cast<std::int64_t>(check.contents));
  if (check.optional > 0) json.field("optional", static_cast<std::int64_t>(check.optional));
  json.key("differences").begin_array();
  for (const Difference& one : check.differences) {
    json.begin_object().field("kind", std::string(inventory::name_of(one.kind)));
    json.field("name", one.name).field("where", one.where).field("expected", one.expected);
    json.field("actual", one.actual).field("message", one.message).end_object();
  }
  json.end_array().end_object();
  output.json_line(json.text());
  std::map<Difference::Kind, std::size_t> shown;
  for (const Difference& one : check.differences) {
    if (shown[one.kind]++ >= kDifferencesShown) continue;
    output.line(fmt::format("{:<10} {}", output.styled(Style::kBad, inventory::name_of(one.kind)),
                            words_of(one)));
  }
  for (const auto& [kind, count] : shown) {
    if (count <= kDifferencesShown) continue;
    output.line(
        fmt::format("and {} more: {}", count - kDifferencesShown, inventory::name_of(kind)));
  }
  if (!check.differences.empty()) return;
  output.line(fmt::format("{} {} packages are as {} says", output.styled(Style::kGood, "passed"),
                          check.packages, printable(options.lock)));
  if (check.optional > 0) {
    output.note(fmt::format("{} locked packages belong to extras or groups and are not installed",
                            check.optional));
  }
  if (check.contents < check.packages) {
    output.note(fmt::format(
        "the files of {} packages were held against their RECORD only: the lock does not "
        "tell their content (deps lock writes it, --wheels brings it)",
        check.packages - check.contents));
  }
}

Result<int> run(Session& session, const Options& options) {
  const Output& output = session.output();
  MLXGUARD_TRY_ASSIGN(const Inventory lock, inventory::read_inventory(options.lock));
  if (lock.source == "environment" || lock.source == "project" || lock.source == "wheel") {
    return make_error(ErrorCode::kDepsFile, "expected a lock file or requirements file")
        .about(options.lock);
  }
  const auto place = inventory::find_environment(options.target);
  if (!place) {
    return make_error(ErrorCode::kDepsEnvironment, "expected a Python environment")
        .about(options.target);
  }
  inventory::LockCheckOptions check_options;
  for (const std::string& name : options.allowed) {
    check_options.allowed.insert(packaging::normalize_name(name));
  }
  if (options.without_hashes)
    check_options.hashes = inventory::LockCheckOptions::Hashes::kNotRequired;
  if (options.unrecorded) {
    check_options.unrecorded = inventory::LockCheckOptions::Unrecorded::kAllowed;
  }
  check_options.python_version = place->python_version;
  if (!options.wheels.empty()) {
    MLXGUARD_TRY_ASSIGN(check_options.content_of_wheel, contents_of_wheels(options.wheels));
  }
  inventory::ReadOptions read_options;
  read_options.native = inventory::NativeParts::kSkip;
  ProgressLine progress(output, session.clock(), "checking");
  read_options.progress = progress.callback();
  MLXGUARD_TRY_ASSIGN(const Inventory environment,
                      inventory::read_environment(*place, options.target, read_options));
  progress.finish();
  LockCheck check = inventory::check_lock(lock, environment, check_options);
  if (options.no_bytecode) find_bytecode(*place, check);
  MLXGUARD_TRY(log_check(session, options, check));
  print(output, options, check);
  if (check.differences.empty()) return 0;
  if (output.json()) return 1;
  return make_error(
             ErrorCode::kDepsLock,
             fmt::format("the environment differs from its lock in {} {}", check.differences.size(),
                         check.differences.size() == 1 ? "place" : "places"))
      .about(options.target)
      .hinting("install the locked versions again, or lock what is meant with mlxguard deps lock");
}

}  // namespace

void define_deps_check(Arguments& app, const std::function<void(Action)>& chosen) {
  const auto options = std::make_shared<Options>();
  app.add_option("LOCK", options->lock,
                 "pylock.toml, requirements with hashes, uv.lock or poetry.lock")
      ->required();
  app.add_option("ENV", options->target, "Python environment (.venv)");
  app.add_option("--allow", options->allowed,
                 "an installed package that need not be locked (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--wheels", options->wheels,
                 "folder of wheels: installed files are held against those that the lock names");
  app.add_flag("--no-hashes", options->without_hashes, "accept a lock without hashes");
  app.add_flag("--allow-unrecorded", options->unrecorded, "accept files that no package lists");
  app.add_flag("--no-bytecode", options->no_bytecode,
               "refuse compiled Python files, of which no hash is known");
  app.callback([=] { chosen([=](Session& session) { return run(session, *options); }); });
}

}  // namespace mlxguard::cli
