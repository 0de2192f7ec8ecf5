// SPDX-License-Identifier: Apache-2.0
// pyproject.toml: what a project asks for directly, where it has no lock. Versions are not told
// then.
#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "inventory/toml_file.h"
#include "packaging/name.h"
#include "packaging/requirement.h"
#include "packaging/version.h"

namespace mlxguard::inventory {
namespace {

enum class Wanted { kAlways, kOptional };

/// `asked_by` names the property that holds the requirement: "requirement" of the project itself,
/// "extra:NAME" or "group:NAME".
Result<void> take_list(const toml::array& list, Wanted wanted, const std::string& asked_by,
                       LockedPackages& locked) {
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
    package.properties.emplace_back(asked_by, read->text());
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

Result<void> take_extras(const toml::table* extras, LockedPackages& locked) {
  if (extras == nullptr) return {};
  for (const auto& [name, value] : *extras) {
    if (!value.is_array()) return toml_error(value, "expected an array of requirements");
    const std::string asked_by = "extra:" + packaging::normalize_name(name.str());
    MLXGUARD_TRY(take_list(*value.as_array(), Wanted::kOptional, asked_by, locked));
  }
  return {};
}

/// Groups (PEP 735), each with the groups that it includes.
class Groups {
 public:
  Groups(const toml::table& groups, LockedPackages& locked) : groups_(groups), locked_(locked) {}

  Result<void> take() {
    for (const auto& [name, value] : groups_) {
      std::set<std::string> seen;
      MLXGUARD_TRY(take_group(value, packaging::normalize_name(name.str()),
                              packaging::normalize_name(name.str()), seen));
    }
    return {};
  }

 private:
  /// `group`, which is `for_group` or included by it.
  Result<void> take_group(const toml::node& value, const std::string& group,
                          const std::string& for_group, std::set<std::string>& seen) {
    if (!seen.insert(group).second) return {};
    if (!value.is_array()) return toml_error(value, "expected an array of requirements");
    const toml::array& list = *value.as_array();
    MLXGUARD_TRY(take_list(list, Wanted::kOptional, "group:" + for_group, locked_));
    for (const toml::node& node : list) {
      if (!node.is_table()) continue;
      MLXGUARD_TRY_ASSIGN(const std::string written,
                          required_text(*node.as_table(), "include-group"));
      const std::string included = packaging::normalize_name(written);
      const toml::node* other = nullptr;
      for (const auto& [name, one] : groups_) {
        if (packaging::normalize_name(name.str()) == included) other = &one;
      }
      if (other == nullptr) return toml_error(node, "a group that is not there");
      MLXGUARD_TRY(take_group(*other, included, for_group, seen));
    }
    return {};
  }

  const toml::table& groups_;
  LockedPackages& locked_;
};

Result<void> take_groups(const toml::table* groups, LockedPackages& locked) {
  if (groups == nullptr) return {};
  return Groups(*groups, locked).take();
}

/// What code decides when the project is built cannot be told.
Result<void> observe_dynamic(const toml::table& project, LockedPackages& locked) {
  MLXGUARD_TRY_ASSIGN(const toml::array* dynamic, array_at(project, "dynamic"));
  if (dynamic == nullptr) return {};
  for (const toml::node& one : *dynamic) {
    const auto name = one.value_exact<std::string>();
    if (name != "dependencies" && name != "optional-dependencies") continue;
    locked.builder().observe(
        Observation::Kind::kUnreadable, "", "pyproject.toml",
        make_error(ErrorCode::kDepsFile,
                   "its " + *name + " are dynamic: made by code when it is built"));
  }
  return {};
}

/// Poetry's own tables: name = "^1.0", or { version = "^1.0", git = "...", optional = true }.
Result<void> take_poetry_table(const toml::table* table, Wanted wanted, LockedPackages& locked) {
  if (table == nullptr) return {};
  for (const auto& [key, value] : *table) {
    if (key.str() == "python") continue;
    LockedPackage package;
    package.name = key.str();
    package.direct = true;
    package.optional = wanted == Wanted::kOptional;
    std::string specifier = value.value_or(std::string());
    if (const toml::table* details = value.as_table()) {
      MLXGUARD_TRY_ASSIGN(specifier, text_or_empty(*details, "version"));
      MLXGUARD_TRY_ASSIGN(package.marker, text_or_empty(*details, "markers"));
      package.optional = package.optional || (*details)["optional"].value_or(false);
      for (const auto& [place, source] : {std::pair{"git", "vcs"}, {"url", "archive"},
                                          {"path", "folder"}}) {
        MLXGUARD_TRY_ASSIGN(const std::string from, text_or_empty(*details, place));
        if (from.empty()) continue;
        package.properties.emplace_back("source", source);
        package.properties.emplace_back("source_url", without_credentials(from));
      }
    }
    // A version alone means exactly this one; all else is a range.
    const std::string exact = specifier.starts_with("==") ? specifier.substr(2) : specifier;
    if (packaging::Version::parse(exact)) {
      package.version = exact;
    } else if (!specifier.empty()) {
      package.properties.emplace_back("specifier", specifier);
    }
    MLXGUARD_TRY(locked.add(std::move(package), value.source().begin.line));
  }
  return {};
}

Result<bool> take_poetry(const toml::table& tool, LockedPackages& locked) {
  MLXGUARD_TRY_ASSIGN(const toml::table* poetry, table_at(tool, "poetry"));
  if (poetry == nullptr) return false;
  MLXGUARD_TRY_ASSIGN(const toml::table* main, table_at(*poetry, "dependencies"));
  MLXGUARD_TRY(take_poetry_table(main, Wanted::kAlways, locked));
  MLXGUARD_TRY_ASSIGN(const toml::table* dev, table_at(*poetry, "dev-dependencies"));
  MLXGUARD_TRY(take_poetry_table(dev, Wanted::kOptional, locked));
  MLXGUARD_TRY_ASSIGN(const toml::table* groups, table_at(*poetry, "group"));
  if (groups != nullptr) {
    for (const auto& [name, value] : *groups) {
      MLXGUARD_TRY_ASSIGN(const toml::table* group, as_table(value));
      MLXGUARD_TRY_ASSIGN(const toml::table* table, table_at(*group, "dependencies"));
      MLXGUARD_TRY(take_poetry_table(table, Wanted::kOptional, locked));
    }
  }
  return main != nullptr || dev != nullptr || groups != nullptr;
}

/// Groups that tools keep in tables of their own; whether there are any.
Result<bool> take_tools(const toml::table& file, LockedPackages& locked) {
  MLXGUARD_TRY_ASSIGN(const toml::table* tool, table_at(file, "tool"));
  if (tool == nullptr) return false;
  MLXGUARD_TRY_ASSIGN(bool any, take_poetry(*tool, locked));
  MLXGUARD_TRY_ASSIGN(const toml::table* pdm, table_at(*tool, "pdm"));
  if (pdm != nullptr) {
    MLXGUARD_TRY_ASSIGN(const toml::table* groups, table_at(*pdm, "dev-dependencies"));
    MLXGUARD_TRY(take_groups(groups, locked));
    any = any || groups != nullptr;
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* uv, table_at(*tool, "uv"));
  if (uv != nullptr) {
    MLXGUARD_TRY_ASSIGN(const toml::array* list, array_at(*uv, "dev-dependencies"));
    if (list != nullptr) {
      MLXGUARD_TRY(take_list(*list, Wanted::kOptional, "group:dev", locked));
    }
    any = any || list != nullptr;
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* hatch, table_at(*tool, "hatch"));
  if (hatch == nullptr) return any;
  MLXGUARD_TRY_ASSIGN(const toml::table* environments, table_at(*hatch, "envs"));
  if (environments == nullptr) return any;
  for (const auto& [name, value] : *environments) {
    MLXGUARD_TRY_ASSIGN(const toml::table* one, as_table(value));
    for (const char* key : {"dependencies", "extra-dependencies"}) {
      MLXGUARD_TRY_ASSIGN(const toml::array* list, array_at(*one, key));
      if (list != nullptr) {
        MLXGUARD_TRY(take_list(*list, Wanted::kOptional, "hatch_requirement", locked));
      }
      any = any || list != nullptr;
    }
  }
  return any;
}

}  // namespace

Result<Inventory> read_pyproject(std::string_view text, const std::string& shown_root) {
  MLXGUARD_TRY_ASSIGN(const toml::table file, parse_toml(text));
  MLXGUARD_TRY_ASSIGN(const toml::table* project, table_at(file, "project"));
  LockedPackages locked("pyproject.toml");
  if (project != nullptr) {
    MLXGUARD_TRY_ASSIGN(const toml::array* list, array_at(*project, "dependencies"));
    if (list != nullptr) MLXGUARD_TRY(take_list(*list, Wanted::kAlways, "requirement", locked));
    MLXGUARD_TRY_ASSIGN(const toml::table* extras, table_at(*project, "optional-dependencies"));
    MLXGUARD_TRY(take_extras(extras, locked));
    MLXGUARD_TRY(observe_dynamic(*project, locked));
  }
  MLXGUARD_TRY_ASSIGN(const toml::table* groups, table_at(file, "dependency-groups"));
  MLXGUARD_TRY(take_groups(groups, locked));
  MLXGUARD_TRY_ASSIGN(const toml::table* build, table_at(file, "build-system"));
  if (build != nullptr) {
    MLXGUARD_TRY_ASSIGN(const toml::array* list, array_at(*build, "requires"));
    if (list != nullptr) {
      MLXGUARD_TRY(take_list(*list, Wanted::kOptional, "build_requirement", locked));
    }
  }
  MLXGUARD_TRY_ASSIGN(const bool has_tools, take_tools(file, locked));
  if (project == nullptr && groups == nullptr && !has_tools) {
    return make_error(ErrorCode::kDepsFile, "expected a [project] table");
  }
  locked.builder().observe(
      Observation::Kind::kIncomplete, "", "pyproject.toml",
      make_error(ErrorCode::kDepsFile,
                 "only what it names was looked at, not what that needs: it is no lock")
          .hinting("lock it: mlxguard deps lock"));
  return std::move(locked).build(shown_root, "project", LockedPackages::Roots::kTold);
}

}  // namespace mlxguard::inventory
