// SPDX-License-Identifier: Apache-2.0
#include "inventory/read.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "inventory/builder.h"
#include "inventory/environment.h"
#include "inventory/files.h"
#include "inventory/lock_files.h"
#include "inventory/sbom.h"
#include "inventory/spdx_read.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;

/// A file that is not what it should be could not be read: one code for it, whatever in it is
/// wrong, that nobody takes for a finding.
Error unreadable(Error error, ErrorCode code, const fs::path& path) {
  if (describe(error.code).exit_class == ExitClass::kRefused) error.code = code;
  return error.subject.empty() ? std::move(error).about(path.string()) : error;
}

Result<Inventory> read_bom(const fs::path& path) {
  if (path.extension() == ".xml") {
    return make_error(ErrorCode::kSbom, "an SBOM in XML, which is not supported")
        .about(path.string())
        .hinting("write it as JSON: cyclonedx convert --output-format json");
  }
  MLXGUARD_TRY_ASSIGN(const std::string text, read_file(path, limits::kDepsFileBytesMax));
  auto read = is_spdx(text) && !is_cyclonedx(text) ? read_spdx(text) : read_sbom(text);
  if (!read) return unreadable(std::move(read).error(), ErrorCode::kSbom, path);
  const Sbom sbom = *std::move(read);
  Builder builder;
  std::map<std::string, std::string> purl_of;
  for (std::size_t i = 0; i < sbom.components.size(); ++i) {
    const Component& found = sbom.components[i];
    if (!sbom.refs[i].empty()) purl_of[sbom.refs[i]] = found.purl;
    const bool is_first = i == 0 && !sbom.root_purl.empty();  // metadata.component
    if (is_first || (!sbom.root_ref.empty() && sbom.refs[i] == sbom.root_ref)) continue;
    Component& component = builder.component(found.purl);
    if (component.name.empty()) component = found;
    builder.evidence(found.purl, Evidence::Kind::kSbom, path.filename().string(), "listed");
  }
  for (const auto& [from, to] : sbom.dependencies) {
    const auto a = purl_of.find(from), b = purl_of.find(to);
    if (b == purl_of.end() || !builder.has(b->second)) continue;
    if (from == sbom.root_ref)
      builder.component(b->second).direct = true;
    else if (a != purl_of.end())
      builder.needs(a->second, b->second);
  }
  return std::move(builder).build(path.string(), "sbom");
}

Error not_understood(const fs::path& path) {
  return make_error(ErrorCode::kDepsEnvironment,
                    "expected a Python environment, project, wheel, lock file or SBOM, found none")
      .about(path.string())
      .hinting(
          "name a folder with pyvenv.cfg or pyproject.toml, a .whl, requirements.txt, pylock.toml, "
          "uv.lock, poetry.lock, or an SBOM: CycloneDX or SPDX .json");
}

/// Files that were read, as they are named relative to the folder of the first one.
using NamesRead = std::set<std::string>;

Result<Inventory> read_requirements_at(const fs::path& path, NamesRead& names) {
  const RequirementsPlace place = requirements_place(path);
  const FileReader beside = [&](const std::string& file, std::uint64_t bytes_max) {
    names.insert((place.root / file).lexically_relative(path.parent_path()).generic_string());
    return read_file(place.root / file, bytes_max);
  };
  auto read = read_requirements(place.name, beside, path.string());
  if (!read) return unreadable(std::move(read).error(), ErrorCode::kDepsFile, path);
  return read;
}

Result<Inventory> read_lock(const fs::path& path, std::string_view name, NamesRead& names) {
  const std::string shown = path.string();
  names.insert(std::string(name));
  const auto with_text = [&](auto reader) -> Result<Inventory> {
    MLXGUARD_TRY_ASSIGN(const std::string text, read_file(path, limits::kDepsFileBytesMax));
    auto read = reader(text, shown);
    if (!read) return unreadable(std::move(read).error(), ErrorCode::kDepsFile, path);
    return read;
  };
  if (is_pylock_name(name)) return with_text(read_pylock);
  if (name == "uv.lock") return with_text(read_uv_lock);
  if (name == "poetry.lock") return with_text(read_poetry_lock);
  if (name == "pyproject.toml") return with_text(read_pyproject);
  if (name.ends_with(".toml")) return with_text(read_pylock);  // whatever its owner calls it
  return read_requirements_at(path, names);
}

/// Formats of other tools, by the names of their files.
std::string_view unsupported_tool(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kFiles[] = {
      {"Pipfile.lock", "Pipenv"},        {"Pipfile", "Pipenv"},
      {"pdm.lock", "PDM"},               {"environment.yml", "conda"},
      {"environment.yaml", "conda"},     {"conda-lock.yml", "conda-lock"},
      {"conda-lock.yaml", "conda-lock"}, {"pixi.lock", "pixi"}};
  for (const auto& [file, tool] : kFiles) {
    if (name == file) return tool;
  }
  return {};
}

Error unsupported(std::string_view tool) {
  return make_error(ErrorCode::kDepsFile,
                    "a file of " + std::string(tool) + ", which is not supported")
      .hinting("write requirements with hashes or pylock.toml from it, or name the environment "
               "that was made of it");
}

/// The lock and requirements files of a folder, the most exact first, and those of other tools.
struct ProjectFiles {
  std::vector<std::string> locks, foreign;
};

ProjectFiles project_files(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(folder, problem)) {
    std::error_code ignored;
    if (entry.is_regular_file(ignored)) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  ProjectFiles files;
  const auto take = [&](auto wanted) {
    for (const std::string& name : names) {
      const bool known = std::find(files.locks.begin(), files.locks.end(), name) !=
                         files.locks.end();
      if (!known && wanted(name)) files.locks.push_back(name);
    }
  };
  take([](const std::string& name) { return name == "pylock.toml"; });
  take([](const std::string& name) { return is_pylock_name(name); });
  take([](const std::string& name) { return name == "uv.lock"; });
  take([](const std::string& name) { return name == "poetry.lock"; });
  take([](const std::string& name) { return name == "requirements.txt"; });
  take([](const std::string& name) {
    return name.find("requirements") != std::string::npos && name.ends_with(".txt");
  });
  for (const std::string& name : names) {
    if (!unsupported_tool(name).empty()) files.foreign.push_back(name);
  }
  return files;
}

/// One inventory of several: what has one identity is one component.
Inventory merged(std::vector<Inventory> all) {
  Inventory into = std::move(all.front());
  std::map<std::string, std::size_t> at;
  for (std::size_t i = 0; i < into.components.size(); ++i) at[into.components[i].purl] = i;
  for (std::size_t i = 1; i < all.size(); ++i) {
    for (Component& one : all[i].components) {
      const auto [found, is_new] = at.emplace(one.purl, into.components.size());
      if (is_new) {
        into.components.push_back(std::move(one));
        continue;
      }
      Component& known = into.components[found->second];
      known.direct = known.direct || one.direct;
      known.evidence.insert(known.evidence.end(), one.evidence.begin(), one.evidence.end());
      for (std::string& hash : one.hashes) {
        if (std::find(known.hashes.begin(), known.hashes.end(), hash) == known.hashes.end()) {
          known.hashes.push_back(std::move(hash));
        }
      }
    }
    into.observations.insert(into.observations.end(), all[i].observations.begin(),
                             all[i].observations.end());
  }
  std::sort(into.components.begin(), into.components.end(),
            [](const Component& a, const Component& b) { return a.purl < b.purl; });
  return into;
}

/// What a project's folder holds: its most exact lock, or all of them.
Result<Inventory> read_project(const fs::path& folder, const ReadOptions& options) {
  const ProjectFiles files = project_files(folder);
  NamesRead names;
  std::vector<Inventory> all;
  for (const std::string& name : files.locks) {
    if (names.contains(name)) continue;  // by another one's -r
    MLXGUARD_TRY_ASSIGN(Inventory read, read_lock(folder / name, name, names));
    all.push_back(std::move(read));
    if (options.locks == Locks::kMostExact) break;
  }
  std::error_code missing;
  if (all.empty() && fs::is_regular_file(folder / "pyproject.toml", missing)) {
    MLXGUARD_TRY_ASSIGN(Inventory read,
                        read_lock(folder / "pyproject.toml", "pyproject.toml", names));
    all.push_back(std::move(read));
  }
  if (all.empty() && !files.foreign.empty()) {
    return unsupported(unsupported_tool(files.foreign.front()))
        .about((folder / files.foreign.front()).string());
  }
  if (all.empty()) return not_understood(folder);
  Inventory inventory = merged(std::move(all));
  for (const std::string& name : files.locks) {
    if (names.contains(name)) continue;
    inventory.observations.push_back(
        {Observation::Kind::kUnreadable, "", name,
         make_error(ErrorCode::kDepsFile, "not read, since " + files.locks.front() + " was: "
                                          "--every-lock reads every lock of the folder")});
  }
  for (const std::string& name : files.foreign) {
    inventory.observations.push_back({Observation::Kind::kUnreadable, "", name,
                                      unsupported(unsupported_tool(name))});
  }
  return inventory;
}

Result<Inventory> read_source_archive(const fs::path& path, std::string_view name,
                                      const ReadOptions& options) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", path.string()).about(path.string());
  return read_sdist(fd.get(), name, options);
}

}  // namespace

RequirementsPlace requirements_place(const fs::path& file) {
  std::error_code ignored;
  const fs::path folder = fs::absolute(file, ignored).lexically_normal().parent_path();
  const std::string name = file.filename().string();
  for (fs::path root = folder; root != root.root_path(); root = root.parent_path()) {
    for (const char* mark : {".git", "pyproject.toml", "setup.py", "setup.cfg"}) {
      if (!fs::exists(root / mark, ignored)) continue;
      return {root, (folder / name).lexically_relative(root).generic_string()};
    }
  }
  return {folder, name};
}

bool is_pylock_name(std::string_view name) {
  return name == "pylock.toml" || (name.starts_with("pylock.") && name.ends_with(".toml"));
}

Result<Inventory> read_inventory(const fs::path& path, const ReadOptions& options) {
  std::error_code problem;
  const fs::file_status status = fs::status(path, problem);
  if (!fs::exists(status)) return os_error("open", path.string(), ENOENT).about(path.string());
  const std::string name = path.filename().string();
  if (fs::is_directory(status)) {
    if (const auto place = find_environment(path)) {
      return read_environment(*place, path.string(), options);
    }
    return read_project(path, options);
  }
  if (const auto tool = unsupported_tool(name); !tool.empty()) {
    return unsupported(tool).about(path.string());
  }
  if (name.ends_with(".whl")) return read_wheel(path, options);
  if (name.ends_with(".tar.gz") || name.ends_with(".zip")) {
    return read_source_archive(path, name, options);
  }
  for (const char* ending : {".json", ".cdx", ".xml"}) {
    if (name.ends_with(ending)) return read_bom(path);
  }
  for (const char* ending : {".toml", ".lock", ".txt", ".in"}) {
    if (!name.ends_with(ending)) continue;
    NamesRead names;
    return read_lock(path, name, names);
  }
  return not_understood(path);
}

}  // namespace mlxguard::inventory
