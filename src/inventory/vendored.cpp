// SPDX-License-Identifier: Apache-2.0
#include "inventory/vendored.h"

#include <algorithm>
#include <map>

#include "base/limits.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/lock_files.h"
#include "inventory/metadata.h"
#include "inventory/sbom.h"
#include "packaging/name.h"

namespace mlxguard::inventory {
namespace {

using Kind = Observation::Kind;

constexpr std::string_view kFolders[] = {"_vendor", "_vendored"};
constexpr std::string_view kLists[] = {"vendor.txt", "vendored.txt", "requirements.txt"};

/// The path up to its first folder of copies, or nothing.
std::string_view vendor_folder(std::string_view path) {
  for (std::size_t start = 0; start < path.size();) {
    const auto slash = path.find('/', start);
    if (slash == std::string_view::npos) return {};
    const auto name = path.substr(start, slash - start);
    if (std::find(std::begin(kFolders), std::end(kFolders), name) != std::end(kFolders)) {
      return path.substr(0, slash);
    }
    start = slash + 1;
  }
  return {};
}

class Tree {
 public:
  Tree(std::string folder, std::string owner, const FileReader& read, Builder& builder)
      : folder_(std::move(folder)), owner_(std::move(owner)), read_(read), builder_(builder) {}

  void add(const std::vector<std::string>& files) {
    bool told = false, holds_code = false;
    for (const std::string& file : files) {
      const std::string_view inside = std::string_view(file).substr(folder_.size() + 1);
      told = take_file(file, inside) || told;
      holds_code = holds_code || is_code(inside);
    }
    if (told || !holds_code) return;
    unreadable(folder_, make_error(ErrorCode::kDepsRecord,
                                   "copies of packages without metadata: which they are, and in "
                                   "which versions, cannot be told"));
  }

 private:
  /// Anything but the folder's own __init__ that Python could import.
  static bool is_code(std::string_view inside) {
    if (inside == "__init__.py") return false;
    return inside.ends_with(".py") || inside.ends_with(".so") || inside.ends_with(".whl");
  }

  /// Whether the file tells which packages are here.
  bool take_file(const std::string& file, std::string_view inside) {
    const std::string_view name = base_name(inside);
    const std::string_view parent = folder_name(inside);
    const bool metadata = (parent.ends_with(".dist-info") && name == "METADATA") ||
                          (parent.ends_with(".egg-info") && name == "PKG-INFO");
    if (metadata && parent.find('/') == std::string_view::npos) {
      take_metadata(file);
      return true;
    }
    if (!parent.empty()) return false;
    if (name.ends_with(".cdx.json")) {
      take_sbom(file);
      return true;
    }
    if (std::find(std::begin(kLists), std::end(kLists), name) != std::end(kLists)) {
      take_list(file);
      return true;
    }
    return false;
  }

  void unreadable(const std::string& where, Error error) {
    builder_.observe(Kind::kUnreadable, owner_, where, std::move(error));
  }

  void copy(const std::string& name, const std::string& version, Evidence::Kind kind,
            const std::string& where) {
    const std::string purl = pypi_purl(name, version);
    const bool is_new = !builder_.has(purl);
    Component& component = builder_.component(purl);
    if (is_new) {
      component.kind = Component::Kind::kPackage;
      component.name = packaging::normalize_name(name);
      component.version = version;
      component.location = folder_;
      component.properties.emplace_back("vendored", "true");
    }
    builder_.property(purl, "vendored_in", folder_);
    builder_.evidence(purl, kind, where, "a copy inside of another package");
    if (!owner_.empty()) builder_.needs(owner_, purl);
  }

  void take_metadata(const std::string& file) {
    const auto text = read_(file, limits::kMetadataBytesMax);
    if (!text) return unreadable(file, text.error());
    const auto metadata = parse_metadata(*text);
    if (!metadata) return unreadable(file, metadata.error());
    if (!packaging::is_name(metadata->name)) {
      return unreadable(file, make_error(ErrorCode::kDepsFile, "names no package"));
    }
    copy(metadata->name, metadata->version, Evidence::Kind::kMetadata, file);
  }

  void take_sbom(const std::string& file) {
    const auto text = read_(file, limits::kDepsFileBytesMax);
    if (!text) return unreadable(file, text.error());
    const auto sbom = read_sbom(*text, LicenseIds::kAny);
    if (!sbom) return unreadable(file, sbom.error());
    for (const Component& one : sbom->components) {
      const bool pypi = one.purl.starts_with("pkg:pypi/") && one.purl != sbom->root_purl;
      if (pypi) copy(one.name, one.version, Evidence::Kind::kSbom, file);
    }
  }

  void take_list(const std::string& file) {
    const FileReader beside = [&](const std::string& path, std::uint64_t bytes_max) {
      return read_(folder_ + "/" + path, bytes_max);
    };
    const auto list = read_requirements(std::string(base_name(file)), beside, file);
    if (!list) return unreadable(file, list.error());
    for (const Component& one : list->components) {
      copy(one.name, one.version, Evidence::Kind::kLockFile, file);
    }
  }

  std::string folder_, owner_;
  const FileReader& read_;
  Builder& builder_;
};

}  // namespace

bool is_vendored(const Component& component) {
  return property_of(component, "vendored") == "true";
}

void add_vendored(const std::vector<std::string>& files,
                  const std::function<std::string(const std::string&)>& owner_of,
                  const FileReader& read, Builder& builder) {
  std::map<std::string, std::vector<std::string>> trees;
  for (const std::string& file : files) {
    const std::string_view folder = vendor_folder(file);
    if (!folder.empty()) trees[std::string(folder)].push_back(file);
  }
  for (const auto& [folder, all] : trees) {
    std::string owner;
    for (const std::string& file : all) {
      owner = owner_of(file);
      if (!owner.empty()) break;
    }
    Tree(folder, owner, read, builder).add(all);
  }
}

}  // namespace mlxguard::inventory
