// SPDX-License-Identifier: Apache-2.0
// poetry.lock, versions 1.x and 2.x.
#include <algorithm>

#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "inventory/toml_file.h"
#include "packaging/name.h"

namespace mlxguard::inventory {
namespace {

/// files = [{file = "x.whl", hash = "sha256:..."}]
Result<void> take_files(const toml::array& files, LockedPackage& package) {
  for (const toml::node& node : files) {
    MLXGUARD_TRY_ASSIGN(const toml::table* file, as_table(node));
    MLXGUARD_TRY_ASSIGN(const std::string hash, required_text(*file, "hash"));
    const auto colon = hash.find(':');
    if (colon == std::string::npos) return toml_error(node, "expected algorithm:digest");
    std::string known = hash_of(hash.substr(0, colon), hash.substr(colon + 1));
    if (known.empty()) return toml_error(node, "expected sha256 or a stronger hash");
    package.hashes.push_back(std::move(known));
  }
  package.properties.emplace_back("files", std::to_string(files.size()));
  return {};
}

Result<void> take_source(const toml::table& entry, LockedPackage& package) {
  MLXGUARD_TRY_ASSIGN(const toml::table* source, table_at(entry, "source"));
  if (source == nullptr) return {};
  MLXGUARD_TRY_ASSIGN(const std::string type, required_text(*source, "type"));
  MLXGUARD_TRY_ASSIGN(const std::string named, text_or_empty(*source, "url"));
  const std::string url = without_credentials(named);
  if (type == "legacy") return {};  // an index of the project's own
  package.properties.emplace_back("source_url", url);
  if (type == "git") {
    MLXGUARD_TRY_ASSIGN(const std::string commit, text_or_empty(*source, "resolved_reference"));
    package.qualifiers.emplace_back("vcs_url", "git+" + url + "@" + commit);
    package.properties.emplace_back("source", "vcs");
    package.properties.emplace_back("commit", commit);
  } else if (type == "url" || type == "file") {
    package.qualifiers.emplace_back("download_url", url);
    package.properties.emplace_back("source", "archive");
  } else if (type == "directory") {
    package.properties.emplace_back("source", "folder");
  } else {
    return toml_error(*source, "a source that is not understood");
  }
  return {};
}

/// One marker for all groups, or one for each group that has one. Only the main group is installed
/// without being asked for: where the package is in it, the other groups' markers do not count, and
/// a main group without a marker wants the package everywhere.
Result<void> take_markers(const toml::table& entry, bool in_main, LockedPackage& package) {
  const toml::node* markers = entry.get("markers");
  if (markers == nullptr) return {};
  if (const auto text = markers->value_exact<std::string>()) {
    package.marker = *text;
    return {};
  }
  if (!markers->is_table()) return toml_error(*markers, "expected a marker, or one for each group");
  std::set<std::string> all;
  for (const auto& [group, value] : *markers->as_table()) {
    const auto text = value.value_exact<std::string>();
    if (!text) return toml_error(value, "expected a marker");
    if (!in_main || group.str() == "main") all.insert(*text);
  }
  if (!all.empty()) package.marker = any_of_markers(all);
  return {};
}

/// Whether it is in the main group. A package that is not, or that only an extra asks for, is
/// optional.
Result<bool> take_groups(const toml::table& entry, LockedPackage& package) {
  MLXGUARD_TRY_ASSIGN(const std::string category,
                      text_or_empty(entry, "category"));  // before version 2
  bool main = category.empty() || category == "main";
  MLXGUARD_TRY_ASSIGN(const toml::array* groups, array_at(entry, "groups"));
  if (groups != nullptr && !groups->empty()) {
    main = std::any_of(groups->begin(), groups->end(), [](const toml::node& group) {
      return group.value_exact<std::string>() == "main";
    });
  }
  package.optional = entry["optional"].value_or(false) || !main;
  return main;
}

/// b = ">=1", or { version = ">=1", markers = "..." }, or an array of the latter.
Result<void> take_need(const std::string& name, const toml::node& value, LockedPackage& package) {
  if (const toml::array* several = value.as_array()) {
    for (const toml::node& one : *several) MLXGUARD_TRY(take_need(name, one, package));
    return {};
  }
  std::string marker;
  if (const toml::table* table = value.as_table()) {
    MLXGUARD_TRY_ASSIGN(marker, text_or_empty(*table, "markers"));
  }
  package.needs.push_back({name, "", marker});
  return {};
}

Result<LockedPackage> read_package(const toml::table& entry, const toml::table* old_files) {
  LockedPackage package;
  MLXGUARD_TRY_ASSIGN(package.name, required_text(entry, "name"));
  MLXGUARD_TRY_ASSIGN(package.version, required_text(entry, "version"));
  MLXGUARD_TRY(take_source(entry, package));
  MLXGUARD_TRY_ASSIGN(const bool in_main, take_groups(entry, package));
  MLXGUARD_TRY(take_markers(entry, in_main, package));
  MLXGUARD_TRY_ASSIGN(const toml::array* files, array_at(entry, "files"));
  if (files == nullptr && old_files != nullptr) {
    MLXGUARD_TRY_ASSIGN(files, array_at(*old_files, package.name));
  }
  if (files != nullptr) MLXGUARD_TRY(take_files(*files, package));
  MLXGUARD_TRY_ASSIGN(const toml::table* needs, table_at(entry, "dependencies"));
  if (needs == nullptr) return package;
  for (const auto& [name, value] : *needs) {
    MLXGUARD_TRY(take_need(packaging::normalize_name(name.str()), value, package));
  }
  return package;
}

Result<void> check_lock_version(const toml::table& lock) {
  MLXGUARD_TRY_ASSIGN(const toml::table* metadata, table_at(lock, "metadata"));
  if (metadata == nullptr) return make_error(ErrorCode::kDepsFile, "expected a metadata table");
  MLXGUARD_TRY_ASSIGN(const std::string version, text_or_empty(*metadata, "lock-version"));
  if (version.empty()) {
    return make_error(ErrorCode::kDepsFile,
                      "a poetry.lock without lock-version, of Poetry 0.12 or older, which is not "
                      "supported")
        .hinting("write it again with a Poetry of today: poetry lock");
  }
  if (version.starts_with("1.") || version.starts_with("2.")) return {};
  return make_error(ErrorCode::kDepsFile, "a poetry.lock of a version that is not understood")
      .compared("1.x or 2.x", version);
}

}  // namespace

Result<Inventory> read_poetry_lock(std::string_view text, const std::string& shown_root) {
  MLXGUARD_TRY_ASSIGN(const toml::table lock, parse_toml(text));
  MLXGUARD_TRY(check_lock_version(lock));
  MLXGUARD_TRY_ASSIGN(const toml::table* metadata, table_at(lock, "metadata"));
  MLXGUARD_TRY_ASSIGN(const toml::table* old_files, table_at(*metadata, "files"));
  MLXGUARD_TRY_ASSIGN(const toml::array* packages, array_at(lock, "package"));
  LockedPackages locked("poetry.lock");
  if (packages != nullptr) {  // a project without dependencies has none
    for (const toml::node& node : *packages) {
      MLXGUARD_TRY_ASSIGN(const toml::table* entry, as_table(node));
      MLXGUARD_TRY_ASSIGN(LockedPackage package, read_package(*entry, old_files));
      MLXGUARD_TRY(locked.add(std::move(package), node.source().begin.line));
    }
  }
  return std::move(locked).build(shown_root, "poetry", LockedPackages::Roots::kGuessed);
}

}  // namespace mlxguard::inventory
