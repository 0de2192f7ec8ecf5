// SPDX-License-Identifier: Apache-2.0
// pyproject.toml: what a project asks for directly, where it has no lock. Versions are not told
// then.
#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "inventory/toml_file.h"
#include "packaging/name.h"
#include "packaging/requirement.h"

namespace mlxguard::inventory {
namespace {

enum class Wanted { kAlways, kOptional };

Result<void> take_list(const toml::array& list, Wanted wanted, LockedPackages& locked) {
  for (const toml::node& node : list) {
    if (wanted == Wanted::kOptional && node.is_table()) continue;  // include-group
    const auto text = node.value_exact<std::string>();
    if (!text) return toml_error(node, "expected a requirement");
    auto read = packaging::Requirement::parse(*text);
    if (!read) {
      return std::move(read).error().with("line " + std::to_string(node.source().begin.line));
    }
    LockedPackage package;
    package.name = read->name;
    package.version = read->url.empty() ? read->specifiers.pinned().value_or("") : "";
    package.marker = read->marker ? read->marker->text() : "";
    package.direct = true;
    package.optional = wanted == Wanted::kOptional;
    if (package.version.empty() && !read->specifiers.specifiers().empty()) {
      package.properties.emplace_back("specifier", read->specifiers.text());
    }
    package.properties.emplace_back(
        wanted == Wanted::kAlways ? "requirement" : "optional_requirement", read->text());
    for (const std::string& extra : read->extras) {
      package.properties.emplace_back("extra", packaging::normalize_name(extra));
    }
    if (!read->url.empty()) {
      package.qualifiers.emplace_back("download_url", without_credentials(read->url));
      package.properties.emplace_back("source_url", without_credentials(read->url));
    }
    MLXGUARD_TRY(locked.add(std::move(package), node.source().begin.line));
  }
  return {};
}

Result<void> take_groups(const toml::table* groups, LockedPackages& locked) {
  if (groups == nullptr) return {};
  for (const auto& [name, value] : *groups) {
    if (!value.is_array()) return toml_error(value, "expected an array of requirements");
    MLXGUARD_TRY(take_list(*value.as_array(), Wanted::kOptional, locked));
  }
  return {};
}

}  // namespace

Result<Inventory> read_pyproject(std::string_view text, const std::string& shown_root) {
  MLXGUARD_TRY_ASSIGN(const toml::table file, parse_toml(text));
  MLXGUARD_TRY_ASSIGN(const toml::table* project, table_at(file, "project"));
  LockedPackages locked("pyproject.toml");
  if (project != nullptr) {
    MLXGUARD_TRY_ASSIGN(const toml::array* list, array_at(*project, "dependencies"));
    if (list != nullptr) MLXGUARD_TRY(take_list(*list, Wanted::kAlways, locked));
    MLXGUARD_TRY_ASSIGN(const toml::table* extras, table_at(*project, "optional-dependencies"));
    MLXGUARD_TRY(take_groups(extras, locked));
    MLXGUARD_TRY_ASSIGN(const toml::array* dynamic, array_at(*project, "dynamic"));
    if (dynamic != nullptr) {
      for (const toml::node& one : *dynamic) {
        if (one.value_exact<std::string>() != "dependencies") continue;
        locked.builder().observe(Observation::Kind::kInstallHook, "", "pyproject.toml",
                                 make_error(ErrorCode::kDepsFile,
                                            "its dependencies are made by code, when it is built"));
      }
    }
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* groups, table_at(file, "dependency-groups"));
  MLXGUARD_TRY(take_groups(groups, locked));
  if (project == nullptr && groups == nullptr) {
    return make_error(ErrorCode::kDepsFile, "expected a [project] table");
  }
  return std::move(locked).build(shown_root, "project", LockedPackages::Roots::kTold);
}

}  // namespace mlxguard::inventory
