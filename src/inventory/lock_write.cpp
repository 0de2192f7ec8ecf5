// SPDX-License-Identifier: Apache-2.0
#include "inventory/lock_write.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/limits.h"
#include "codec/json.h"
#include "inventory/builder.h"
#include "inventory/files.h"
#include "inventory/lock_files.h"
#include "inventory/locked_package.h"
#include "inventory/requirement_graph.h"
#include "inventory/toml_file.h"
#include "inventory/vendored.h"
#include "packaging/name.h"
#include "packaging/requirement.h"
#include "packaging/version.h"

namespace mlxguard::inventory {
namespace {

Error refuse(std::string message) { return make_error(ErrorCode::kResolver, std::move(message)); }

/// The file's name at the end of a URL, with its percent signs.
Result<LockFile> file_of(const std::string& url, std::string_view sha256) {
  if (hash_of("sha256", sha256).empty()) return refuse("expected a sha256 of each file");
  LockFile file;
  file.url = without_credentials(url.substr(0, url.find('#')));
  if (!file.url.starts_with("https://") && !file.url.starts_with("http://") &&
      !file.url.starts_with("file://")) {
    return refuse("expected a URL of each file");
  }
  file.name = base_name(std::string_view(file.url).substr(0, file.url.find('?')));
  file.sha256 = sha256;
  return file;
}

Result<void> place_file(LockEntry& entry, LockFile file) {
  const bool wheel = file.name.ends_with(".whl");
  const bool sdist = file.name.ends_with(".tar.gz") || file.name.ends_with(".zip");
  if (!wheel && !sdist) return refuse("expected a wheel or source distribution");
  (wheel ? entry.wheels : entry.sdists).push_back(std::move(file));
  return {};
}

Result<void> check_entry(const LockEntry& entry) {
  if (!packaging::is_name(entry.name)) return refuse("expected names of packages");
  if (!packaging::Version::parse(entry.version))
    return refuse("expected versions as PEP 440 has them");
  if (entry.wheels.empty() && entry.sdists.empty())
    return refuse("expected a file of each package");
  return {};
}

std::vector<LockEntry> sorted(std::vector<LockEntry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const LockEntry& a, const LockEntry& b) { return a.name < b.name; });
  return entries;
}

Result<std::string> text_of(const codec::JsonValue& object, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue value, object.member(key));
  MLXGUARD_TRY_ASSIGN(const std::string_view text, value.as_string(key));
  return std::string(text);
}

Result<LockEntry> read_install(const codec::JsonValue& install) {
  LockEntry entry;
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue metadata, install.member("metadata"));
  MLXGUARD_TRY_ASSIGN(const std::string name, text_of(metadata, "name"));
  entry.name = packaging::normalize_name(name);
  MLXGUARD_TRY_ASSIGN(entry.version, text_of(metadata, "version"));
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue info, install.member("download_info"));
  MLXGUARD_TRY_ASSIGN(const std::string url, text_of(info, "url"));
  const auto archive = info.find("archive_info");
  if (!archive) return refuse("a package that comes from no archive cannot be locked").about(name);
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue hashes, archive->member("hashes"));
  MLXGUARD_TRY_ASSIGN(const std::string sha256, text_of(hashes, "sha256"));
  MLXGUARD_TRY_ASSIGN(LockFile file, file_of(url, sha256));
  MLXGUARD_TRY(place_file(entry, std::move(file)));
  if (const auto yanked = install.find("is_yanked")) {
    const auto flag = yanked->as_bool();
    entry.yanked = flag && *flag;
  }
  if (const auto needs = metadata.find("requires_dist")) {
    MLXGUARD_TRY(needs->each_element([&](std::size_t, codec::JsonValue one) -> Result<void> {
      MLXGUARD_TRY_ASSIGN(const std::string_view text, one.as_string());
      const auto read = packaging::Requirement::parse(text);
      const bool extra =
          read && read->marker && read->marker->text().find("extra") != std::string::npos;
      if (read && !extra) entry.needs.push_back(packaging::normalize_name(read->name));
      return {};
    }));
  }
  MLXGUARD_TRY(check_entry(entry));
  return entry;
}

/// Needs of what is locked, each once.
void prune_needs(std::vector<LockEntry>& entries) {
  std::set<std::string> names;
  for (const LockEntry& entry : entries) names.insert(entry.name);
  for (LockEntry& entry : entries) {
    std::sort(entry.needs.begin(), entry.needs.end());
    entry.needs.erase(std::unique(entry.needs.begin(), entry.needs.end()), entry.needs.end());
    std::erase_if(entry.needs, [&](const std::string& name) { return !names.contains(name); });
  }
}

Result<void> take_toml_file(const toml::table& table, LockEntry& entry) {
  MLXGUARD_TRY_ASSIGN(const std::string url, text_or_empty(table, "url"));
  MLXGUARD_TRY_ASSIGN(const toml::table* hashes, table_at(table, "hashes"));
  if (hashes == nullptr) return refuse("expected hashes");
  MLXGUARD_TRY_ASSIGN(const std::string sha256, text_or_empty(*hashes, "sha256"));
  MLXGUARD_TRY_ASSIGN(LockFile file, file_of(url, sha256));
  return place_file(entry, std::move(file));
}

/// A JSON string is a basic string of TOML too, but for DEL.
std::string toml_text(std::string_view text) {
  codec::JsonWriter writer;
  writer.string(text);
  std::string out = std::move(writer).take();
  for (std::size_t at = 0; (at = out.find('\x7f', at)) != std::string::npos;) {
    out.replace(at, 1, "\\u007F");
  }
  return out;
}

std::string file_text(const LockFile& file) {
  return "{ name = " + toml_text(file.name) + ", url = " + toml_text(file.url) +
         ", hashes = { sha256 = " + toml_text(file.sha256) + " } }";
}

}  // namespace

Result<std::vector<LockEntry>> read_pip_report(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const auto document,
                      codec::JsonDocument::parse(text, {.bytes_max = limits::kDepsFileBytesMax}));
  MLXGUARD_TRY_ASSIGN(const std::string version, text_of(document.root(), "version"));
  if (version != "1") return refuse("a report of a version that is not understood");
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue installs, document.root().member("install"));
  std::vector<LockEntry> entries;
  std::set<std::string> names;
  MLXGUARD_TRY(installs.each_element([&](std::size_t, codec::JsonValue one) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(LockEntry entry, read_install(one));
    if (!names.insert(entry.name).second) return refuse("one package twice").about(entry.name);
    entries.push_back(std::move(entry));
    return {};
  }));
  prune_needs(entries);
  return sorted(std::move(entries));
}

Result<std::vector<LockEntry>> read_resolved_pylock(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const toml::table lock, parse_toml(text));
  MLXGUARD_TRY_ASSIGN(const toml::array* packages, array_at(lock, "packages"));
  std::vector<LockEntry> entries;
  if (packages == nullptr) return entries;
  std::set<std::string> names;
  for (const toml::node& node : *packages) {
    MLXGUARD_TRY_ASSIGN(const toml::table* table, as_table(node));
    LockEntry entry;
    MLXGUARD_TRY_ASSIGN(const std::string name, required_text(*table, "name"));
    entry.name = packaging::normalize_name(name);
    MLXGUARD_TRY_ASSIGN(entry.version, required_text(*table, "version"));
    MLXGUARD_TRY_ASSIGN(const toml::array* wheels, array_at(*table, "wheels"));
    if (wheels != nullptr) {
      for (const toml::node& wheel : *wheels) {
        MLXGUARD_TRY_ASSIGN(const toml::table* file, as_table(wheel));
        MLXGUARD_TRY(take_toml_file(*file, entry));
      }
    }
    MLXGUARD_TRY_ASSIGN(const toml::table* sdist, table_at(*table, "sdist"));
    if (sdist != nullptr) MLXGUARD_TRY(take_toml_file(*sdist, entry));
    MLXGUARD_TRY(check_entry(entry));
    if (!names.insert(entry.name).second) return refuse("one package twice").about(entry.name);
    entries.push_back(std::move(entry));
  }
  return sorted(std::move(entries));
}

void add_installed(std::vector<LockEntry>& entries, const Inventory& environment) {
  std::map<std::string, const Component*> installed;
  std::map<std::string, std::string> names;
  for (const Component& component : environment.components) {
    if (component.kind != Component::Kind::kPackage || is_vendored(component)) continue;
    installed.emplace(component.name, &component);
    names.emplace(component.purl, component.name);
  }
  for (LockEntry& entry : entries) {
    const auto found = installed.find(entry.name);
    if (found == installed.end() || !same_version(found->second->version, entry.version)) continue;
    entry.record_digest = property_of(*found->second, "record_digest");
    for (const std::string& purl : found->second->needs) {
      if (const auto name = names.find(purl); name != names.end())
        entry.needs.push_back(name->second);
    }
  }
  prune_needs(entries);
}

namespace {

bool same_entry(const LockEntry& a, const LockEntry& b) {
  return a.name == b.name && a.version == b.version;
}

/// Takes over the files that the other one has beside.
void take_files(LockEntry& entry, const LockEntry& other) {
  const auto take = [](std::vector<LockFile>& mine, const std::vector<LockFile>& more) {
    for (const LockFile& file : more) {
      const bool known = std::any_of(mine.begin(), mine.end(), [&](const LockFile& one) {
        return one.sha256 == file.sha256;
      });
      if (!known) mine.push_back(file);
    }
  };
  take(entry.wheels, other.wheels);
  take(entry.sdists, other.sdists);
  entry.needs.insert(entry.needs.end(), other.needs.begin(), other.needs.end());
  entry.yanked = entry.yanked || other.yanked;
}

std::string texts_line(std::string_view key, const std::vector<std::string>& texts) {
  if (texts.empty()) return {};
  std::string line = std::string(key) + " = [";
  for (std::size_t i = 0; i < texts.size(); ++i) {
    line += (i == 0 ? "" : ", ") + toml_text(texts[i]);
  }
  return line + "]\n";
}

}  // namespace

std::vector<LockEntry> joined_entries(
    const std::vector<std::pair<std::string, std::vector<LockEntry>>>& by_environment) {
  std::vector<LockEntry> entries;
  std::vector<std::vector<std::string>> where;  // markers, side by side with the entries
  for (const auto& [marker, resolved] : by_environment) {
    for (const LockEntry& one : resolved) {
      const auto known = std::find_if(entries.begin(), entries.end(), [&](const LockEntry& entry) {
        return same_entry(entry, one);
      });
      if (known == entries.end()) {
        entries.push_back(one);
        where.push_back({marker});
      } else {
        take_files(*known, one);
        where[static_cast<std::size_t>(known - entries.begin())].push_back(marker);
      }
    }
  }
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (where[i].size() == by_environment.size()) continue;
    entries[i].marker = any_of_markers({where[i].begin(), where[i].end()});
  }
  prune_needs(entries);
  return sorted(std::move(entries));
}

std::string to_pylock(const std::vector<LockEntry>& entries, const LockTerms& terms) {
  std::string out = "lock-version = \"1.0\"\ncreated-by = \"mlxguard\"\n";
  if (!terms.requires_python.empty()) {
    out += "requires-python = " + toml_text(terms.requires_python) + "\n";
  }
  out += texts_line("environments", terms.environments);
  out += texts_line("extras", terms.extras);
  out += texts_line("dependency-groups", terms.groups);
  out += texts_line("default-groups", terms.default_groups);
  if (entries.empty()) out += "packages = []\n";
  for (const LockEntry& entry : entries) {
    out += "\n[[packages]]\nname = " + toml_text(entry.name) +
           "\nversion = " + toml_text(entry.version) + "\n";
    if (!entry.marker.empty()) out += "marker = " + toml_text(entry.marker) + "\n";
    if (!entry.needs.empty()) {
      out += "dependencies = [";
      for (std::size_t i = 0; i < entry.needs.size(); ++i) {
        out += (i == 0 ? "{ name = " : ", { name = ") + toml_text(entry.needs[i]) + " }";
      }
      out += "]\n";
    }
    for (const LockFile& sdist : entry.sdists) out += "sdist = " + file_text(sdist) + "\n";
    if (!entry.wheels.empty()) {
      out += "wheels = [\n";
      for (const LockFile& wheel : entry.wheels) out += "    " + file_text(wheel) + ",\n";
      out += "]\n";
    }
    if (!entry.record_digest.empty()) {
      out += "[packages.tool.mlxguard]\nrecord-digest = " + toml_text(entry.record_digest) + "\n";
    }
  }
  return out;
}

std::string to_requirements(const std::vector<LockEntry>& entries) {
  std::string out = "# Written by mlxguard deps lock; install with --require-hashes.\n";
  for (const LockEntry& entry : entries) {
    out += entry.name + "==" + entry.version;
    if (!entry.marker.empty()) out += " ; " + entry.marker;
    std::vector<std::string> hashes;
    for (const auto* files : {&entry.wheels, &entry.sdists}) {
      for (const LockFile& file : *files) hashes.push_back(file.sha256);
    }
    std::sort(hashes.begin(), hashes.end());
    for (const std::string& hash : hashes) out += " \\\n    --hash=sha256:" + hash;
    out += "\n";
  }
  return out;
}

}  // namespace mlxguard::inventory
