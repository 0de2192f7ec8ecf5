// SPDX-License-Identifier: Apache-2.0
#include "inventory/system_libraries.h"

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "inventory/files.h"
#include "inventory/identity.h"

namespace mlxguard::inventory {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kDatabaseBytesMax = 64u << 20;
constexpr std::uint64_t kLibraryBytesMax = 512u << 20;
constexpr std::size_t kFoldersMax = 256;

std::string value_after(const std::string& text, const std::string& key) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(key)) continue;
    std::string value = line.substr(key.size());
    std::erase(value, '"');
    return value;
  }
  return {};
}

}  // namespace

/// What dpkg has installed: names and versions, and which file belongs to which.
struct HostLibraries::Database {
  std::string distribution;
  std::vector<std::string> folders;
  std::unordered_map<std::string, std::string> versions;    // by package
  std::unordered_map<std::string, std::string> sources;     // by package, where it differs
  std::unordered_map<std::string, std::string> package_of;  // by path of a shared library

  explicit Database(const fs::path& root) {
    if (const auto release = read_file(root / "etc/os-release", kDatabaseBytesMax)) {
      distribution = value_after(*release, "ID=");
    }
    for (const char* folder :
         {"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu",
          "usr/lib/aarch64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib", "usr/local/lib"}) {
      folders.emplace_back(folder);
    }
    read_loader_folders(root);
    read_status(root);
    read_lists(root);
  }

  void read_loader_folders(const fs::path& root) {
    std::error_code ignored;  // a machine without the folder has no more folders
    for (const auto& entry : fs::directory_iterator(root / "etc/ld.so.conf.d", ignored)) {
      const auto text = read_file(entry.path(), kDatabaseBytesMax);
      if (!text || folders.size() > kFoldersMax) continue;
      std::istringstream lines(*text);
      for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('/')) folders.push_back(line.substr(1));
      }
    }
  }

  void read_status(const fs::path& root) {
    const auto status = read_file(root / "var/lib/dpkg/status", kDatabaseBytesMax);
    if (!status) return;
    std::istringstream lines(*status);
    std::string package, source, version;
    bool installed = false;
    const auto keep = [&] {
      if (!package.empty() && installed) versions[package] = version;
      package.clear();
      installed = false;
    };
    for (std::string line; std::getline(lines, line);) {
      if (line.empty()) keep();
      if (line.starts_with("Package: ")) package = line.substr(9);
      if (line.starts_with("Version: ")) version = line.substr(9);
      if (line.starts_with("Status: ")) installed = line.ends_with(" installed");
    }
    keep();
  }

  void read_lists(const fs::path& root) {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(root / "var/lib/dpkg/info", ignored)) {
      if (entry.path().extension() != ".list") continue;
      const auto text = read_file(entry.path(), kDatabaseBytesMax);
      if (!text) continue;
      std::string package = entry.path().stem().string();
      package = package.substr(0, package.find(':'));
      for (std::size_t at = text->find(".so"); at != std::string::npos;
           at = text->find(".so", at)) {
        const std::size_t start = text->rfind('\n', at) + 1;
        const std::size_t end = std::min(text->find('\n', at), text->size());
        package_of.emplace(text->substr(start, end - start), package);
        at = end;
      }
    }
  }
};

HostLibraries::HostLibraries(fs::path root) : root_(std::move(root)) {}
HostLibraries::~HostLibraries() = default;

std::optional<HostLibraries::Package> HostLibraries::package(const std::string& name) {
  if (!database_) database_ = std::make_unique<Database>(root_);
  const auto version = database_->versions.find(name);
  if (version == database_->versions.end()) return std::nullopt;
  return Package{name, version->second,
                 make_purl("deb", database_->distribution, name, version->second)};
}

std::string HostLibraries::add(Builder& builder, const NativeFile::Needed& needed,
                               const NativeSummary& by) {
  if (by.format != NativeFile::Format::kElf) return unknown_.add(builder, needed, by);
  if (!database_) database_ = std::make_unique<Database>(root_);
  const std::string key = by.architecture + "/" + needed.name;
  if (const auto known = purls_.find(key); known != purls_.end()) return known->second;
  purls_.emplace(key, "");  // libraries may need each other in a circle

  for (const std::string& folder : database_->folders) {
    const fs::path path = root_ / folder / base_name(needed.name);
    std::error_code missing;
    const fs::path real = fs::canonical(path, missing);
    if (missing) continue;
    const auto bytes = read_file(real, kLibraryBytesMax);
    if (!bytes || !is_native(as_bytes(*bytes))) continue;
    const auto file = read_elf(as_bytes(*bytes));
    if (!file || file->architecture != by.architecture) continue;

    const std::string inside = "/" + real.lexically_relative(root_).string();
    // Packages of before /lib became a link to /usr/lib list their files without /usr.
    auto owner = database_->package_of.find(inside);
    if (owner == database_->package_of.end() && inside.starts_with("/usr/")) {
      owner = database_->package_of.find(inside.substr(4));
    }
    const auto owning =
        owner == database_->package_of.end() ? std::nullopt : package(owner->second);
    const LibraryName name = split_library_name(base_name(inside));
    const std::string purl = owning ? owning->purl : make_purl("generic", "linux", name.stem, "");
    Component& component = builder.component(purl);
    component.kind = Component::Kind::kNative;
    component.name = owning ? owning->name : name.stem;
    component.version = owning ? owning->version : std::string();
    component.confidence = owning ? Confidence::kHigh : Confidence::kMedium;
    builder.property(purl, "scope", "system");
    builder.property(purl, "file", inside);
    purls_[key] = purl;
    NativeSummary self;
    self.architecture = file->architecture;
    for (const NativeFile::Needed& next : file->needed) {
      const std::string to = add(builder, next, self);
      if (!to.empty()) builder.needs(purl, to);
    }
    return purl;
  }
  return purls_[key] = unknown_.add(builder, needed, by);
}

}  // namespace mlxguard::inventory
