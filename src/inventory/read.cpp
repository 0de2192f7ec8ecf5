// SPDX-License-Identifier: Apache-2.0
#include "inventory/read.h"

#include <fcntl.h>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "inventory/builder.h"
#include "inventory/environment.h"
#include "inventory/files.h"
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
    if (!sbom.root_ref.empty() && sbom.refs[i] == sbom.root_ref) continue;
    Component& component = builder.component(found.purl);
    if (component.name.empty()) component = found;
    builder.evidence(found.purl, Evidence::Kind::kSbom, path.filename().string(), "listed");
  }
  for (const auto& [from, to] : sbom.dependencies) {
    const auto a = purl_of.find(from), b = purl_of.find(to);
    if (b == purl_of.end() || !builder.has(b->second)) continue;
    if (from == sbom.root_ref) builder.component(b->second).direct = true;
    else if (a != purl_of.end()) builder.needs(a->second, b->second);
  }
  return std::move(builder).build(path.string(), "sbom");
}

Error not_understood(const fs::path& path) {
  return make_error(ErrorCode::kDepsEnvironment,
                    "expected a Python environment, project, wheel, lock file or SBOM, found none")
      .about(path.string())
      .hinting("name a folder with pyvenv.cfg or pyproject.toml, a .whl, requirements.txt, pylock.toml, "
               "uv.lock, poetry.lock, or a CycloneDX .json");
}

}  // namespace

Result<Inventory> read_inventory(const fs::path& path, const ReadOptions& options) {
  std::error_code problem;
  const fs::file_status status = fs::status(path, problem);
  if (!fs::exists(status)) return os_error("open", path.string(), ENOENT).about(path.string());
  const std::string name = path.filename().string();
  if (fs::is_directory(status)) {
    if (const auto place = find_environment(path)) {
      return read_environment(*place, path.string(), options);
    }
    return not_understood(path);
  }
  if (name.ends_with(".whl")) return read_wheel(path, options);
  if (name.ends_with(".json")) return read_bom(path);
  return not_understood(path);
}

}  // namespace mlxguard::inventory
