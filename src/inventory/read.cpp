// SPDX-License-Identifier: Apache-2.0
#include "inventory/read.h"

#include <fcntl.h>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "inventory/builder.h"
#include "inventory/environment.h"
#include "inventory/files.h"
#include "inventory/lock_files.h"
#include "inventory/sbom.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;

Result<Inventory> read_bom(const fs::path& path) {
  MLXGUARD_TRY_ASSIGN(const std::string text, read_file(path, limits::kDepsFileBytesMax));
  MLXGUARD_TRY_ASSIGN(const Sbom sbom, read_sbom(text));
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
          "uv.lock, poetry.lock, or a CycloneDX .json");
}

Result<Inventory> read_lock(const fs::path& path, std::string_view name) {
  const std::string shown = path.string();
  const auto with_text = [&](auto reader) -> Result<Inventory> {
    MLXGUARD_TRY_ASSIGN(const std::string text, read_file(path, limits::kDepsFileBytesMax));
    auto read = reader(text, shown);
    if (!read && read.error().subject.empty()) return std::move(read).error().about(shown);
    return read;
  };
  if (is_pylock_name(name)) return with_text(read_pylock);
  if (name == "uv.lock") return with_text(read_uv_lock);
  if (name == "poetry.lock") return with_text(read_poetry_lock);
  if (name == "pyproject.toml") return with_text(read_pyproject);
  if (name.ends_with(".toml")) return with_text(read_pylock);  // whatever its owner calls it
  const fs::path folder = path.parent_path();
  const FileReader beside = [&](const std::string& file, std::uint64_t bytes_max) {
    return read_file(folder / file, bytes_max);
  };
  return read_requirements(std::string(name), beside, shown);
}

/// What a project's folder holds, the most exact first.
Result<Inventory> read_project(const fs::path& folder) {
  for (const char* name :
       {"pylock.toml", "uv.lock", "poetry.lock", "requirements.txt", "pyproject.toml"}) {
    std::error_code missing;
    if (fs::is_regular_file(folder / name, missing)) return read_lock(folder / name, name);
  }
  return not_understood(folder);
}

Result<Inventory> read_source_archive(const fs::path& path, std::string_view name,
                                      const ReadOptions& options) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", path.string()).about(path.string());
  return read_sdist(fd.get(), name, options);
}

}  // namespace

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
    return read_project(path);
  }
  if (name.ends_with(".whl")) return read_wheel(path, options);
  if (name.ends_with(".tar.gz") || name.ends_with(".zip")) {
    return read_source_archive(path, name, options);
  }
  if (name.ends_with(".json")) return read_bom(path);
  for (const char* ending : {".toml", ".lock", ".txt", ".in"}) {
    if (name.ends_with(ending)) return read_lock(path, name);
  }
  return not_understood(path);
}

}  // namespace mlxguard::inventory
