// SPDX-License-Identifier: Apache-2.0
#include "inventory/self.h"

#include <algorithm>
#include <map>
#include <sstream>

#include "base/limits.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "inventory/builder.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/lock_files.h"
#include "inventory/native_parts.h"
#include "inventory/system_libraries.h"
#include "inventory/toml_file.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTextCrate = "mlxguard-rust";

/// Its own binaries, each looked into like a library of a package.
Result<void> add_binaries(const fs::path& folder, const std::string& root, Builder& builder) {
  std::vector<std::string> names;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator(folder, problem)) {
    const std::string name = entry.path().filename().string();
    const bool own = name == "mlxguard" || name.starts_with("mlxguard-");
    if (own && entry.is_regular_file(problem)) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  std::vector<NativeEntry> files;
  for (const std::string& name : names) {
    MLXGUARD_TRY_ASSIGN(const std::string bytes,
                        read_file(folder / name, limits::kNativeFileBytesMax));
    if (!is_native(as_bytes(bytes))) continue;
    MLXGUARD_TRY_ASSIGN(auto slices, summarize(as_bytes(bytes)));
    // The table of fingerprints is in these binaries itself: only symbols count as evidence here.
    for (NativeSummary& slice : slices) {
      std::erase_if(slice.fingerprints, [](const Fingerprint& found) {
        return found.row->look == FingerprintRow::Look::kText ||
               found.row->look == FingerprintRow::Look::kOptional;
      });
    }
    std::string digest = codec::to_hex(crypto::sha256(as_bytes(bytes)));
    builder.component(root).hashes.push_back("sha256:" + digest);
    builder.evidence(root, Evidence::Kind::kFile, name, "one of its binaries");
    files.push_back({name, std::move(digest), 0, std::move(slices)});
  }
  if (files.empty()) {
    return make_error(ErrorCode::kDepsEnvironment, "expected mlxguard's binaries, found none")
        .about(folder.string());
  }
  HostLibraries host;
  add_native_parts(builder, {{root, "mlxguard", "", {}}}, files, host);
  return {};
}

struct Crate {
  std::string purl, hash;
  std::vector<std::string> needs;  ///< "name" or "name version"
};

/// Crates of the static library that is linked in.
Result<void> add_crates(std::string_view text, const std::string& root, Builder& builder) {
  MLXGUARD_TRY_ASSIGN(const toml::table lock, parse_toml(text));
  MLXGUARD_TRY_ASSIGN(const toml::array* packages, array_at(lock, "package"));
  if (packages == nullptr) return make_error(ErrorCode::kDepsFile, "expected crates");
  std::multimap<std::string, std::pair<std::string, Crate>> crates;  // name; version
  for (const toml::node& node : *packages) {
    MLXGUARD_TRY_ASSIGN(const toml::table* entry, as_table(node));
    MLXGUARD_TRY_ASSIGN(const std::string name, required_text(*entry, "name"));
    MLXGUARD_TRY_ASSIGN(const std::string version, required_text(*entry, "version"));
    MLXGUARD_TRY_ASSIGN(const std::string checksum, text_or_empty(*entry, "checksum"));
    Crate crate{make_purl("cargo", "", name, version), hash_of("sha256", checksum), {}};
    MLXGUARD_TRY_ASSIGN(const toml::array* needs, array_at(*entry, "dependencies"));
    if (needs != nullptr) {
      for (const toml::node& need : *needs) {
        if (auto one = need.value_exact<std::string>()) crate.needs.push_back(*std::move(one));
      }
    }
    if (crate.hash.empty()) crate.purl = root;  // ours: not from a registry
    crates.emplace(name, std::pair(version, std::move(crate)));
  }
  for (const auto& [name, held] : crates) {
    const auto& [version, crate] = held;
    if (crate.purl != root) {
      Component& component = builder.component(crate.purl);
      component.kind = Component::Kind::kNative;
      component.name = name;
      component.version = version;
      component.hashes.push_back(crate.hash);
      builder.property(crate.purl, "linkage", "static");
      builder.evidence(crate.purl, Evidence::Kind::kLockFile, "Cargo.lock", "pinned by the build");
    }
    for (const std::string& need : crate.needs) {
      std::istringstream words(need);
      std::string wanted, exact;
      words >> wanted >> exact;
      const auto range = crates.equal_range(wanted);
      for (auto at = range.first; at != range.second; ++at) {
        if (exact.empty() || at->second.first == exact)
          builder.needs(crate.purl, at->second.second.purl);
      }
    }
  }
  if (!crates.contains(std::string(kTextCrate))) {
    return make_error(ErrorCode::kDepsFile, "expected the crate that is linked in")
        .about(std::string(kTextCrate));
  }
  return {};
}

/// Debian's development packages: headers that are compiled in leave no other trace.
void add_headers(std::string_view text, const std::string& root, Builder& builder) {
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name, version;
    words >> name >> version;
    if (!name.ends_with("-dev") || version.empty()) continue;
    const std::string purl = make_purl("deb", "debian", name, version);
    Component& component = builder.component(purl);
    component.kind = Component::Kind::kNative;
    component.name = name;
    component.version = version;
    component.confidence = Confidence::kMedium;
    builder.property(purl, "scope", "build");
    builder.evidence(purl, Evidence::Kind::kLockFile, "debian.txt", "pinned by the build");
    builder.needs(root, purl);
  }
}

/// The mlx that the worker was built against.
Result<void> add_mlx(std::string_view text, const std::string& root, Builder& builder) {
  const FileReader read = [&](const std::string&, std::uint64_t) -> Result<std::string> {
    return std::string(text);
  };
  MLXGUARD_TRY_ASSIGN(const Inventory lock, read_requirements("run.lock", read, "run.lock"));
  for (const Component& pinned : lock.components) {
    if (pinned.name != "mlx" && pinned.name != "mlx-cpu") continue;
    Component& component = builder.component(pinned.purl);
    component = pinned;
    component.direct = false;
    builder.needs(root, pinned.purl);
  }
  return {};
}

}  // namespace

Result<Inventory> read_self(const fs::path& folder, const std::string& version,
                            const BuildPins& pins) {
  Builder builder;
  const std::string root = make_purl("generic", "", "mlxguard", version);
  Component& self = builder.component(root);
  self.kind = Component::Kind::kApplication;
  self.name = "mlxguard";
  self.version = version;
  self.license = "Apache-2.0";
  self.direct = true;
  MLXGUARD_TRY(add_binaries(folder, root, builder));
  MLXGUARD_TRY(add_crates(pins.cargo_lock, root, builder));
  add_headers(pins.debian, root, builder);
  MLXGUARD_TRY(add_mlx(pins.python_lock, root, builder));
  return std::move(builder).build("mlxguard", "self");
}

}  // namespace mlxguard::inventory
