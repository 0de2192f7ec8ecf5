// SPDX-License-Identifier: Apache-2.0
// uv.lock, version 1.
#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "inventory/toml_file.h"
#include "packaging/name.h"

namespace mlxguard::inventory {
namespace {

constexpr std::int64_t kVersionKnown = 1;

/// "name[extra" of what is asked for, by whom.
struct AskedExtras {
  std::set<std::string> always;      ///< by a package or by the project
  std::set<std::string> optionally;  ///< by an extra or group of the project
};

/// { name = "x", version = "1.0", marker = "...", extra = ["y"] }
Result<LockedNeed> read_need(const toml::node& node, std::set<std::string>& extras) {
  MLXGUARD_TRY_ASSIGN(const toml::table* need, as_table(node));
  MLXGUARD_TRY_ASSIGN(const std::string name, required_text(*need, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string version, text_or_empty(*need, "version"));
  MLXGUARD_TRY_ASSIGN(const std::string marker, text_or_empty(*need, "marker"));
  LockedNeed read{packaging::normalize_name(name), version, marker};
  MLXGUARD_TRY_ASSIGN(const toml::array* asked, array_at(*need, "extra"));
  if (asked != nullptr) {
    for (const toml::node& extra : *asked) {
      const auto text = extra.value_exact<std::string>();
      if (!text) return toml_error(extra, "expected the name of an extra");
      extras.insert(read.name + "[" + packaging::normalize_name(*text));
    }
  }
  return read;
}

using Group = std::pair<std::string, std::vector<LockedNeed>>;

/// One array of needs in each key: extras or groups.
Result<std::vector<Group>> read_groups(const toml::table& entry, std::string_view key,
                                       std::set<std::string>& extras) {
  std::vector<Group> groups;
  MLXGUARD_TRY_ASSIGN(const toml::table* table, table_at(entry, key));
  if (table == nullptr) return groups;
  for (const auto& [name, value] : *table) {
    if (!value.is_array()) return toml_error(value, "expected an array of dependencies");
    Group group{packaging::normalize_name(name.str()), {}};
    for (const toml::node& node : *value.as_array()) {
      MLXGUARD_TRY_ASSIGN(LockedNeed need, read_need(node, extras));
      group.second.push_back(std::move(need));
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

Result<void> take_file(const toml::node& node, LockedPackage& package, std::size_t& files) {
  MLXGUARD_TRY_ASSIGN(const toml::table* file, as_table(node));
  ++files;
  MLXGUARD_TRY_ASSIGN(const std::string hash, text_or_empty(*file, "hash"));
  if (hash.empty()) return {};  // uv writes none for a file that it was given by path
  const auto colon = hash.find(':');
  if (colon == std::string::npos) return toml_error(node, "expected algorithm:digest");
  std::string known = hash_of(hash.substr(0, colon), hash.substr(colon + 1));
  if (known.empty()) return toml_error(node, "expected sha256 or a stronger hash");
  package.hashes.push_back(std::move(known));
  return {};
}

enum class Place { kElsewhere, kHere, kEditable };

/// Where it comes from. kHere: the project itself. kEditable: the project, or a folder of sources
/// that it names, such as a member of its workspace.
Result<Place> take_source(const toml::table& entry, LockedPackage& package) {
  MLXGUARD_TRY_ASSIGN(const toml::table* source, table_at(entry, "source"));
  if (source == nullptr) return toml_error(entry, "expected a source");
  if (source->contains("virtual")) return Place::kHere;
  MLXGUARD_TRY_ASSIGN(const std::string editable, text_or_empty(*source, "editable"));
  if (!editable.empty()) {
    if (editable == ".") return Place::kHere;
    package.properties.emplace_back("source", "editable");
    package.properties.emplace_back("source_url", editable);
    return Place::kEditable;
  }
  MLXGUARD_TRY_ASSIGN(const std::string git, text_or_empty(*source, "git"));
  MLXGUARD_TRY_ASSIGN(const std::string url, text_or_empty(*source, "url"));
  if (!git.empty()) {
    // "https://host/repository?rev=main#commit"
    const auto hash = git.find('#');
    const std::string commit = hash == std::string::npos ? "" : git.substr(hash + 1);
    const std::string place = without_credentials(git.substr(0, git.find_first_of("?#")));
    package.qualifiers.emplace_back("vcs_url",
                                    "git+" + place + (commit.empty() ? "" : "@" + commit));
    package.properties.emplace_back("source", "vcs");
    package.properties.emplace_back("source_url", place);
    package.properties.emplace_back("commit", commit);
  } else if (!url.empty()) {
    package.qualifiers.emplace_back("download_url", without_credentials(url));
    package.properties.emplace_back("source", "archive");
    package.properties.emplace_back("source_url", without_credentials(url));
  } else {
    for (const char* kind : {"directory", "path"}) {
      MLXGUARD_TRY_ASSIGN(const std::string path, text_or_empty(*source, kind));
      if (path.empty()) continue;
      package.properties.emplace_back("source", "folder");
      package.properties.emplace_back("source_url", path);
      return Place::kElsewhere;
    }
    if (!source->contains("registry"))
      return toml_error(*source, "a source that is not understood");
  }
  return Place::kElsewhere;
}

struct Entry {
  LockedPackage package;
  std::vector<Group> extras, groups;
  Place place = Place::kElsewhere;
  std::size_t line = 0;
};

Result<Entry> read_entry(const toml::node& node, AskedExtras& extras) {
  MLXGUARD_TRY_ASSIGN(const toml::table* table, as_table(node));
  Entry entry;
  entry.line = node.source().begin.line;
  MLXGUARD_TRY_ASSIGN(entry.package.name, required_text(*table, "name"));
  MLXGUARD_TRY_ASSIGN(const std::string version, text_or_empty(*table, "version"));
  entry.package.version = version;
  MLXGUARD_TRY_ASSIGN(entry.place, take_source(*table, entry.package));
  std::size_t files = 0;
  MLXGUARD_TRY_ASSIGN(const toml::array* wheels, array_at(*table, "wheels"));
  if (wheels != nullptr) {
    for (const toml::node& wheel : *wheels) MLXGUARD_TRY(take_file(wheel, entry.package, files));
  }
  if (const toml::node* sdist = table->get("sdist")) {
    MLXGUARD_TRY(take_file(*sdist, entry.package, files));
  }
  entry.package.properties.emplace_back("files", std::to_string(files));
  MLXGUARD_TRY_ASSIGN(const toml::array* needs, array_at(*table, "dependencies"));
  if (needs != nullptr) {
    for (const toml::node& need : *needs) {
      MLXGUARD_TRY_ASSIGN(LockedNeed read, read_need(need, extras.always));
      entry.package.needs.push_back(std::move(read));
    }
  }
  auto& asked = entry.place == Place::kElsewhere ? extras.always : extras.optionally;
  MLXGUARD_TRY_ASSIGN(entry.extras, read_groups(*table, "optional-dependencies", asked));
  MLXGUARD_TRY_ASSIGN(entry.groups, read_groups(*table, "dev-dependencies", asked));
  return entry;
}

/// When a package is wanted, by everything that asks for it: empty as soon as one asks always.
void gather_markers(std::vector<Entry>& entries) {
  std::map<std::string, std::set<std::string>> asked;
  for (const Entry& entry : entries) {
    const auto gather = [&](const std::vector<LockedNeed>& needs) {
      for (const LockedNeed& need : needs) asked[need.name].insert(need.marker);
    };
    gather(entry.package.needs);
    for (const Group& group : entry.extras) gather(group.second);
    for (const Group& group : entry.groups) gather(group.second);
  }
  for (Entry& entry : entries) {
    const auto found = asked.find(packaging::normalize_name(entry.package.name));
    if (found == asked.end() || found->second.contains("")) continue;
    for (const std::string& marker : found->second) {
      std::string& all = entry.package.marker;
      all = all.empty() && found->second.size() == 1 ? marker
            : all.empty()                            ? "(" + marker + ")"
                                                     : all + " or (" + marker + ")";
    }
  }
}

/// The project and the folders of its workspace: what they ask for.
void take_asks(const Entry& entry, const AskedExtras& asked, LockedPackages& locked) {
  const std::string name = packaging::normalize_name(entry.package.name);
  for (const LockedNeed& need : entry.package.needs) locked.want(need);
  for (const Group& group : entry.extras) {
    const bool always = asked.always.contains(name + "[" + group.first);
    for (const LockedNeed& need : group.second) {
      if (always) {
        locked.want(need);
      } else {
        locked.want_optional(need);
      }
    }
  }
  for (const Group& group : entry.groups) {
    for (const LockedNeed& need : group.second) locked.want_optional(need);
  }
}

/// What an extra of a package brings is one of its needs where the extra is asked for.
void take_extras(Entry& entry, const AskedExtras& asked, LockedPackages& locked) {
  const std::string name = packaging::normalize_name(entry.package.name);
  for (const Group& group : entry.extras) {
    const std::string extra = name + "[" + group.first;
    for (const LockedNeed& need : group.second) {
      if (asked.always.contains(extra)) {
        entry.package.needs.push_back(need);
      } else if (asked.optionally.contains(extra)) {
        locked.want_optional(need);
      }
    }
  }
}

/// Names that something in the lock needs.
std::set<std::string> needed_names(const std::vector<Entry>& entries) {
  std::set<std::string> names;
  for (const Entry& entry : entries) {
    for (const LockedNeed& need : entry.package.needs) names.insert(need.name);
  }
  return names;
}

/// For whom the lock is.
Result<LockTerms> read_terms(const toml::table& lock) {
  LockTerms terms;
  MLXGUARD_TRY_ASSIGN(terms.requires_python, text_or_empty(lock, "requires-python"));
  MLXGUARD_TRY_ASSIGN(const toml::array* markers, array_at(lock, "supported-markers"));
  if (markers == nullptr) return terms;
  for (const toml::node& node : *markers) {
    const auto text = node.value_exact<std::string>();
    if (!text) return toml_error(node, "expected a marker");
    terms.environments.push_back(*text);
  }
  return terms;
}

}  // namespace

Result<Inventory> read_uv_lock(std::string_view text, const std::string& shown_root) {
  MLXGUARD_TRY_ASSIGN(const toml::table lock, parse_toml(text));
  const toml::node* version = lock.get("version");
  if (version == nullptr || version->value_exact<std::int64_t>() != kVersionKnown) {
    return make_error(ErrorCode::kDepsFile, "a uv.lock of a version that is not understood")
        .hinting("version 1 is");
  }
  MLXGUARD_TRY_ASSIGN(const toml::array* packages, array_at(lock, "package"));
  if (packages == nullptr) return make_error(ErrorCode::kDepsFile, "expected packages");
  AskedExtras extras;
  std::vector<Entry> entries;
  for (const toml::node& node : *packages) {
    MLXGUARD_TRY_ASSIGN(Entry entry, read_entry(node, extras));
    entries.push_back(std::move(entry));
  }
  gather_markers(entries);
  LockedPackages locked("uv.lock");
  const std::set<std::string> needed = needed_names(entries);
  for (Entry& entry : entries) {
    if (entry.place != Place::kElsewhere) {
      take_asks(entry, extras, locked);
      // A folder of sources that a package needs is installed like others.
      const bool is_package = entry.place == Place::kEditable &&
                              needed.contains(packaging::normalize_name(entry.package.name));
      if (!is_package) continue;
      entry.package.properties.emplace_back("own", "true");
    } else {
      take_extras(entry, extras, locked);
    }
    MLXGUARD_TRY(locked.add(std::move(entry.package), entry.line));
  }
  MLXGUARD_TRY_ASSIGN(LockTerms terms, read_terms(lock));
  Inventory inventory =
      std::move(locked).build(shown_root, "uv", LockedPackages::Roots::kByNeeds);
  inventory.terms = std::move(terms);
  return inventory;
}

}  // namespace mlxguard::inventory
