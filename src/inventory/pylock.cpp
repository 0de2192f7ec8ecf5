// SPDX-License-Identifier: Apache-2.0
// pylock.toml (PEP 751).
#include <charconv>

#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "inventory/toml_file.h"
#include "packaging/marker.h"
#include "packaging/name.h"
#include "packaging/specifier.h"

namespace mlxguard::inventory {
namespace {

/// [[packages.wheels]], packages.sdist, packages.archive: where it is and what it hashes to.
Result<void> take_file(const toml::table& file, LockedPackage& package) {
  MLXGUARD_TRY_ASSIGN(const toml::table* hashes, table_at(file, "hashes"));
  if (hashes == nullptr || hashes->empty()) return toml_error(file, "expected hashes");
  std::size_t strong = 0;
  for (const auto& [algorithm, value] : *hashes) {
    const auto hex = value.value_exact<std::string>();
    if (!hex) return toml_error(value, "expected a hash");
    const std::string known = hash_of(algorithm.str(), *hex);
    if (!known.empty()) {
      package.hashes.push_back(known);
      ++strong;
    } else if (algorithm.str() == "sha256" || algorithm.str() == "sha512") {
      return toml_error(value, "expected lowercase hexadecimal digits of a hash");
    }
  }
  if (strong == 0) return toml_error(file, "expected sha256 or a stronger hash");
  MLXGUARD_TRY_ASSIGN(const std::string url, text_or_empty(file, "url"));
  MLXGUARD_TRY_ASSIGN(const std::string path, text_or_empty(file, "path"));
  if (url.empty() && path.empty()) return toml_error(file, "expected a url or path");
  return {};
}

Result<void> take_files(const toml::table& entry, LockedPackage& package) {
  std::size_t files = 0;
  MLXGUARD_TRY_ASSIGN(const toml::array* wheels, array_at(entry, "wheels"));
  if (wheels != nullptr) {
    for (const toml::node& node : *wheels) {
      MLXGUARD_TRY_ASSIGN(const toml::table* wheel, as_table(node));
      MLXGUARD_TRY(take_file(*wheel, package));
      ++files;
    }
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* sdist, table_at(entry, "sdist"));
  if (sdist != nullptr) {
    MLXGUARD_TRY(take_file(*sdist, package));
    ++files;
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* archive, table_at(entry, "archive"));
  if (archive != nullptr) {
    MLXGUARD_TRY(take_file(*archive, package));
    MLXGUARD_TRY_ASSIGN(const std::string url, text_or_empty(*archive, "url"));
    if (!url.empty()) {
      package.qualifiers.emplace_back("download_url", without_credentials(url));
      package.properties.emplace_back("source_url", without_credentials(url));
    }
    package.properties.emplace_back("source", "archive");
    if (files > 0) return toml_error(*archive, "an archive beside wheels or an sdist");
    ++files;
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* vcs, table_at(entry, "vcs"));
  if (vcs != nullptr) {
    MLXGUARD_TRY_ASSIGN(const std::string type, required_text(*vcs, "type"));
    MLXGUARD_TRY_ASSIGN(const std::string commit, required_text(*vcs, "commit-id"));
    MLXGUARD_TRY_ASSIGN(const std::string url, text_or_empty(*vcs, "url"));
    const std::string shown = without_credentials(url);
    if (!shown.empty())
      package.qualifiers.emplace_back("vcs_url", type + "+" + shown + "@" + commit);
    package.properties.emplace_back("source", "vcs");
    package.properties.emplace_back("source_url", shown);
    package.properties.emplace_back("commit", commit);
    if (files > 0) return toml_error(*vcs, "a repository beside other sources");
    ++files;
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* directory, table_at(entry, "directory"));
  if (directory != nullptr) {
    MLXGUARD_TRY_ASSIGN(const std::string path, required_text(*directory, "path"));
    const bool editable = (*directory)["editable"].value_or(false);
    package.properties.emplace_back("source", editable ? "editable" : "folder");
    package.properties.emplace_back("source_url", path);
    if (files > 0) return toml_error(*directory, "a folder beside other sources");
    ++files;
  }
  if (files == 0)
    return toml_error(entry, "a package without wheels, sdist, archive, vcs or directory");
  package.properties.emplace_back("files", std::to_string(files));
  return {};
}

/// What mlxguard wrote beside: how the files that it installs look.
Result<void> take_own(const toml::table& entry, LockedPackage& package) {
  MLXGUARD_TRY_ASSIGN(const toml::table* tool, table_at(entry, "tool"));
  if (tool == nullptr) return {};
  MLXGUARD_TRY_ASSIGN(const toml::table* own, table_at(*tool, "mlxguard"));
  if (own == nullptr) return {};
  MLXGUARD_TRY_ASSIGN(const std::string digest, text_or_empty(*own, "record-digest"));
  if (!digest.empty()) package.properties.emplace_back("record_digest", digest);
  return {};
}

Result<LockedPackage> read_package(const toml::table& entry) {
  LockedPackage package;
  MLXGUARD_TRY_ASSIGN(package.name, required_text(entry, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string version, text_or_empty(entry, "version"));
  package.version = version;
  MLXGUARD_TRY_ASSIGN(const std::string marker, text_or_empty(entry, "marker"));
  if (!marker.empty()) {
    if (!packaging::Marker::parse(marker)) return toml_error(entry, "expected a marker (PEP 508)");
    package.marker = marker;
  }
  MLXGUARD_TRY(take_files(entry, package));
  MLXGUARD_TRY(take_own(entry, package));
  MLXGUARD_TRY_ASSIGN(const toml::array* needs, array_at(entry, "dependencies"));
  if (needs != nullptr) {
    for (const toml::node& node : *needs) {
      MLXGUARD_TRY_ASSIGN(const toml::table* need, as_table(node));
      MLXGUARD_TRY_ASSIGN(const std::string name, required_text(*need, "name"));
      MLXGUARD_TRY_ASSIGN(const std::string exact, text_or_empty(*need, "version"));
      package.needs.push_back({packaging::normalize_name(name), exact, ""});
    }
  }
  return package;
}

Result<void> check_lock_version(const toml::table& lock) {
  MLXGUARD_TRY_ASSIGN(const std::string version, required_text(lock, "lock-version"));
  if (version.starts_with("1.")) return {};
  return make_error(ErrorCode::kDepsFile, "a pylock of a version that is not understood")
      .compared("1.0", version);
}

Result<std::vector<std::string>> read_texts(const toml::table& lock, std::string_view key) {
  std::vector<std::string> texts;
  MLXGUARD_TRY_ASSIGN(const toml::array* array, array_at(lock, key));
  if (array == nullptr) return texts;
  for (const toml::node& node : *array) {
    const auto text = node.value_exact<std::string>();
    if (!text) return toml_error(node, "expected a text");
    texts.push_back(*text);
  }
  return texts;
}

Result<std::vector<std::string>> read_names(const toml::table& lock, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(std::vector<std::string> names, read_texts(lock, key));
  for (std::string& name : names) name = packaging::normalize_name(name);
  return names;
}

/// For whom the lock is, and what installers take without being asked.
Result<LockTerms> read_terms(const toml::table& lock) {
  LockTerms terms;
  MLXGUARD_TRY_ASSIGN(terms.requires_python, text_or_empty(lock, "requires-python"));
  if (!packaging::SpecifierSet::parse(terms.requires_python)) {
    return toml_error(lock, "expected versions of Python in requires-python");
  }
  MLXGUARD_TRY_ASSIGN(terms.environments, read_texts(lock, "environments"));
  for (const std::string& marker : terms.environments) {
    if (!packaging::Marker::parse(marker)) {
      return toml_error(lock, "expected markers (PEP 508) in environments");
    }
  }
  MLXGUARD_TRY_ASSIGN(terms.extras, read_names(lock, "extras"));
  MLXGUARD_TRY_ASSIGN(terms.groups, read_names(lock, "dependency-groups"));
  MLXGUARD_TRY_ASSIGN(terms.default_groups, read_names(lock, "default-groups"));
  return terms;
}

}  // namespace

Result<Inventory> read_pylock(std::string_view text, const std::string& shown_root) {
  MLXGUARD_TRY_ASSIGN(const toml::table lock, parse_toml(text));
  MLXGUARD_TRY(check_lock_version(lock));
  MLXGUARD_TRY_ASSIGN(const std::string created_by, required_text(lock, "created-by"));
  MLXGUARD_TRY_ASSIGN(const toml::array* packages, array_at(lock, "packages"));
  if (packages == nullptr) return make_error(ErrorCode::kDepsFile, "expected packages");
  LockedPackages locked("pylock.toml");
  bool has_needs = false;
  for (const toml::node& node : *packages) {
    MLXGUARD_TRY_ASSIGN(const toml::table* entry, as_table(node));
    MLXGUARD_TRY_ASSIGN(LockedPackage package, read_package(*entry));
    has_needs = has_needs || !package.needs.empty();
    MLXGUARD_TRY(locked.add(std::move(package), node.source().begin.line));
  }
  MLXGUARD_TRY_ASSIGN(LockTerms terms, read_terms(lock));
  Inventory inventory = std::move(locked).build(
      shown_root, "pylock",
      has_needs ? LockedPackages::Roots::kGuessed : LockedPackages::Roots::kTold);
  inventory.terms = std::move(terms);
  return inventory;
}

}  // namespace mlxguard::inventory
