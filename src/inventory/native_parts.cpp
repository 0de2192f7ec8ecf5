// SPDX-License-Identifier: Apache-2.0
#include "inventory/native_parts.h"

#include <algorithm>

#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/knowledge.h"

namespace mlxguard::inventory {
namespace {

using Version = FingerprintRow::Version;

bool is_hex(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.") == std::string_view::npos;
}

/// What one component gathers over all binaries of one owner.
struct Linked {
  const FingerprintRow* row = nullptr;
  std::string version;
  bool exact = false;
  bool by_symbols = false;
  bool optional = true;
  std::vector<Evidence> evidence;
};

class Assembler {
 public:
  Assembler(Builder& builder, const std::vector<NativeOwner>& owners,
            const std::vector<NativeEntry>& files, SystemLibraries& system)
      : builder_(builder), owners_(owners), files_(files), system_(system) {
    for (std::size_t i = 0; i < files.size(); ++i) {
      by_path_.emplace(files[i].path, i);
      by_name_.emplace(base_name(files[i].path), i);
      for (const NativeSummary& slice : files[i].slices) {
        const std::string_view soname = base_name(slice.soname);
        if (!soname.empty() && soname != base_name(files[i].path)) by_name_.emplace(soname, i);
      }
    }
  }

  void run() {
    purls_.resize(files_.size());
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (is_copied_in(files_[i].path))
        purls_[i] = add_library(files_[i]);
      else
        purls_[i] = owners_[files_[i].owner].purl;
    }
    for (std::size_t owner = 0; owner < owners_.size(); ++owner) add_linked(owner);
    for (std::size_t i = 0; i < files_.size(); ++i) add_needed(i);
  }

 private:
  static const Fingerprint* identity_of(const NativeEntry& file, std::string_view stem) {
    const Fingerprint* best = nullptr;
    for (const NativeSummary& slice : file.slices) {
      for (const Fingerprint& one : slice.fingerprints) {
        if (one.row->library.empty() || !stem.starts_with(one.row->library)) continue;
        if (best == nullptr || one.version.size() > best->version.size()) best = &one;
      }
    }
    return best;
  }

  /// The package of the owner's SBOMs that this library is, by the names distributions give.
  std::string in_sbom(const NativeOwner& owner, const LibraryName& name) const {
    const std::string major = name.version.substr(0, name.version.find('.'));
    const std::string bare = name.stem.starts_with("lib") ? name.stem.substr(3) : name.stem;
    const std::string wanted[] = {name.stem + major, name.stem + "-" + major, name.stem, bare};
    for (const std::string& purl : owner.embedded) {
      const auto parts = read_purl(purl);
      if (!parts || (parts->type != "deb" && parts->type != "rpm" && parts->type != "apk"))
        continue;
      if (std::find(std::begin(wanted), std::end(wanted), parts->name) != std::end(wanted))
        return purl;
    }
    return {};
  }

  /// A library that was copied into the wheel: what its SBOM says, else its fingerprint, else its
  /// name.
  std::string add_library(const NativeEntry& file) {
    const NativeOwner& owner = owners_[file.owner];
    const LibraryName name = split_library_name(base_name(file.path));
    const Fingerprint* identity = identity_of(file, name.stem);
    std::string purl = in_sbom(owner, name);
    if (purl.empty() && identity != nullptr) {
      const std::string& version =
          identity->row->version == Version::kDotted && !identity->version.empty()
              ? identity->version
              : name.version;
      purl = with_version(
          identity->row->purl,
          version.empty() ? version : std::string(identity->row->tag_prefix) + version);
      Component& component = builder_.component(purl);
      component.kind = Component::Kind::kNative;
      component.name = identity->row->name;
      component.version = version;
      component.confidence = identity->version.empty() ? Confidence::kMedium : Confidence::kHigh;
    } else if (purl.empty()) {
      purl = make_purl("generic", "", name.stem, name.version);
      Component& component = builder_.component(purl);
      component.kind = Component::Kind::kNative;
      component.name = name.stem;
      component.version = name.version;
      component.confidence = Confidence::kMedium;
    }
    Component& component = builder_.component(purl);
    component.kind = Component::Kind::kNative;
    if (component.location.empty()) component.location = file.path;
    if (!file.sha256.empty()) component.hashes.push_back("sha256:" + file.sha256);
    builder_.evidence(purl, Evidence::Kind::kFile, file.path, "a shared library copied in");
    if (identity != nullptr) add_evidence(component.evidence, file, *identity);
    if (!owner.purl.empty()) builder_.needs(owner.purl, purl);
    return purl;
  }

  static void add_evidence(std::vector<Evidence>& evidence, const NativeEntry& file,
                           const Fingerprint& found) {
    const bool text = found.row->look == FingerprintRow::Look::kText ||
                      found.row->look == FingerprintRow::Look::kOptional;
    const std::string count = std::to_string(found.hits) + (text ? " strings" : " symbols");
    evidence.push_back({text ? Evidence::Kind::kStrings : Evidence::Kind::kSymbols, file.path,
                        count + ", such as " + found.sample});
  }

  static void take(Linked& linked, const NativeEntry& file, const Fingerprint& found) {
    const FingerprintRow& row = *found.row;
    const bool told = !found.version.empty() && row.version != Version::kAbi;
    const bool exact = told && row.version != Version::kMajor;
    if (linked.row == nullptr) linked.row = &row;
    if (told && (linked.version.empty() || (exact && !linked.exact))) {
      linked.version = found.version;
      linked.exact = exact;
      linked.row = &row;
    }
    linked.by_symbols = linked.by_symbols || row.look == FingerprintRow::Look::kSymbol ||
                        row.look == FingerprintRow::Look::kNamespace;
    linked.optional = linked.optional && row.look == FingerprintRow::Look::kOptional;
    add_evidence(linked.evidence, file, found);
  }

  void add_linked(std::size_t owner) {
    // By the file that is asked for being needed: an owner's own binaries speak for the owner, a
    // library that was copied in speaks for itself.
    std::map<std::string, std::map<std::string, Linked>> by_parent;
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const NativeEntry& file = files_[i];
      if (file.owner != owner) continue;
      const LibraryName name = split_library_name(base_name(file.path));
      const bool copied = is_copied_in(file.path);
      std::map<std::string, Linked>& linked = by_parent[purls_[i]];
      for (const NativeSummary& slice : file.slices) {
        const bool full_blas = has(slice, "openblas") || has(slice, "mkl");
        for (const Fingerprint& found : slice.fingerprints) {
          const FingerprintRow& row = *found.row;
          if (copied && !row.library.empty() && name.stem.starts_with(row.library)) continue;
          if (full_blas && (row.name == "blas" || row.name == "lapack")) continue;
          take(linked[std::string(row.name)], file, found);
        }
      }
      if (!copied) add_knowledge(linked, owners_[owner], file, name);
    }
    for (auto& [parent, linked] : by_parent) {
      for (auto& [name, one] : linked) add_component(parent, name, one);
    }
  }

  static bool has(const NativeSummary& slice, std::string_view name) {
    return std::any_of(slice.fingerprints.begin(), slice.fingerprints.end(),
                       [&](const Fingerprint& one) { return one.row->name == name; });
  }

  void add_component(const std::string& parent, const std::string& name, Linked& linked) {
    if (linked.row == nullptr) return;
    const std::string tag =
        linked.exact ? std::string(linked.row->tag_prefix) + linked.version : linked.version;
    const std::string purl = with_version(linked.row->purl, tag);
    Component& component = builder_.component(purl);
    component.kind = Component::Kind::kNative;
    component.name = name;
    component.version = linked.version;
    component.confidence = linked.optional                     ? Confidence::kLow
                           : linked.exact && linked.by_symbols ? Confidence::kHigh
                                                               : Confidence::kMedium;
    component.evidence.insert(component.evidence.end(), linked.evidence.begin(),
                              linked.evidence.end());
    builder_.property(purl, "linkage", linked.optional ? "opened at run time" : "static");
    if (!parent.empty()) builder_.needs(parent, purl);
  }

  void add_knowledge(std::map<std::string, Linked>& linked, const NativeOwner& owner,
                     const NativeEntry& file, const LibraryName& name) {
    if (!owner.name.starts_with("mlx")) return;
    std::string library = name.stem;
    if (base_name(file.path).starts_with("core.") && folder_name(file.path).ends_with("mlx"))
      library = "core";
    const bool darwin = !file.slices.empty() && file.slices[0].format == NativeFile::Format::kMachO;
    const auto platform = darwin                               ? KnowledgeRow::Platform::kDarwin
                          : owner.name.starts_with("mlx-cuda") ? KnowledgeRow::Platform::kCuda
                                                               : KnowledgeRow::Platform::kAll;
    const bool known = compare_releases(owner.version, knowledge_until()) <= 0;
    for (const KnowledgeRow* row : knowledge_of(library, owner.version, platform)) {
      const std::string what =
          "mlx " + owner.version + " is built with " + std::string(row->name) +
          (known && !row->version.empty() ? " " + std::string(row->version) : "") + " (" +
          std::string(row->source) + ")";
      const auto found = linked.find(std::string(row->name));
      if (found == linked.end()) {
        add_known(owner, *row, known, what);
        continue;
      }
      Linked& one = found->second;
      one.evidence.push_back({Evidence::Kind::kKnowledge, file.path, what});
      const bool agrees = one.version.empty() ||
                          std::string(row->version).starts_with(one.version + ".") ||
                          row->version == one.version;
      if (known && !one.exact && agrees && !row->version.empty()) {
        one.version = row->version;
        one.exact = true;
      }
    }
  }

  /// Only the table speaks for it.
  void add_known(const NativeOwner& owner, const KnowledgeRow& row, bool known,
                 const std::string& what) {
    std::string purl(row.purl);
    if (!known) purl = purl.substr(0, purl.find('@'));
    Component& component = builder_.component(purl);
    component.kind = Component::Kind::kNative;
    component.name = row.name;
    component.version = known ? std::string(row.version) : std::string();
    component.confidence = Confidence::kLow;
    builder_.evidence(purl, Evidence::Kind::kKnowledge, "", what);
    builder_.property(purl, "linkage", "static");
    if (!owner.purl.empty()) builder_.needs(owner.purl, purl);
  }

  /// Where the loader would look: $ORIGIN and its Mach-O names stand for the file's own folder.
  static std::string searched(const std::string& search, std::string_view folder,
                              std::string_view name) {
    for (const std::string_view origin :
         {"$ORIGIN", "${ORIGIN}", "@loader_path", "@executable_path"}) {
      if (!search.starts_with(origin)) continue;
      std::string_view rest = std::string_view(search).substr(origin.size());
      while (rest.starts_with('/')) rest.remove_prefix(1);
      return join_inside(folder, std::string(rest) + "/" + std::string(name));
    }
    return {};
  }

  const std::size_t* find_needed(const NativeEntry& file, const NativeSummary& by,
                                 const NativeFile::Needed& needed) const {
    const std::string_view folder = folder_name(file.path);
    const auto look = [&](const std::string& path) -> const std::size_t* {
      const auto found = by_path_.find(path);
      return found == by_path_.end() ? nullptr : &found->second;
    };
    std::string_view name = needed.name;
    if (name.starts_with("@loader_path/")) return look(searched(needed.name, folder, ""));
    if (name.starts_with("@rpath/"))
      name.remove_prefix(7);
    else if (name.starts_with("/"))
      return nullptr;
    for (const std::string& search : by.search) {
      const std::string path = searched(search, folder, name);
      if (const auto* found = path.empty() ? nullptr : look(path)) return found;
    }
    // A library of this name that is loaded already is used, wherever it came from.
    const auto [first, last] = by_name_.equal_range(base_name(name));
    const std::size_t* elsewhere = nullptr;
    for (auto it = first; it != last; ++it) {
      if (files_[it->second].owner == file.owner) return &it->second;
      elsewhere = &it->second;
    }
    return elsewhere;
  }

  void add_needed(std::size_t index) {
    const NativeEntry& file = files_[index];
    for (const NativeSummary& slice : file.slices) {
      for (const NativeFile::Needed& needed : slice.needed) {
        const std::size_t* inside = find_needed(file, slice, needed);
        const std::string to =
            inside != nullptr ? purls_[*inside] : system_.add(builder_, needed, slice);
        if (to.empty() || to == purls_[index]) continue;
        builder_.evidence(to, Evidence::Kind::kNeeded, file.path, "needs " + needed.name);
        if (!purls_[index].empty()) builder_.needs(purls_[index], to);
      }
    }
  }

  Builder& builder_;
  const std::vector<NativeOwner>& owners_;
  const std::vector<NativeEntry>& files_;
  SystemLibraries& system_;
  std::map<std::string, std::size_t, std::less<>> by_path_;
  std::multimap<std::string_view, std::size_t> by_name_;
  std::vector<std::string> purls_;
};

}  // namespace

Result<std::vector<NativeSummary>> summarize(Bytes bytes) {
  MLXGUARD_TRY_ASSIGN(const std::vector<NativeFile> files, read_native(bytes));
  std::vector<NativeSummary> summaries;
  for (const NativeFile& file : files) {
    summaries.push_back({file.format, file.architecture, file.soname, file.version, file.needed,
                         file.search, file.build_id, file.comment, find_fingerprints(file)});
  }
  return summaries;
}

void add_native_parts(Builder& builder, const std::vector<NativeOwner>& owners,
                      const std::vector<NativeEntry>& files, SystemLibraries& system) {
  Assembler(builder, owners, files, system).run();
}

std::string UnknownSystem::add(Builder& builder, const NativeFile::Needed& needed,
                               const NativeSummary& by) {
  const bool darwin = by.format == NativeFile::Format::kMachO;
  const LibraryName name = split_library_name(base_name(needed.name));
  const std::string purl = make_purl("generic", darwin ? "macos" : "linux", name.stem, "");
  Component& component = builder.component(purl);
  component.kind = Component::Kind::kNative;
  component.name = name.stem;
  component.confidence = Confidence::kMedium;
  builder.property(purl, "scope", "system");
  builder.property(purl, "file", std::string(needed.name));
  return purl;
}

LibraryName split_library_name(std::string_view file_name) {
  LibraryName name;
  std::string_view stem = file_name;
  if (const auto so = stem.find(".so.");
      so != std::string_view::npos && is_number(stem.substr(so + 4))) {
    name.version = stem.substr(so + 4);
    stem = stem.substr(0, so);
  } else if (stem.ends_with(".so")) {
    stem.remove_suffix(3);
  } else if (stem.ends_with(".dylib")) {
    stem.remove_suffix(6);
    const auto dot = stem.find('.');
    if (dot != std::string_view::npos && is_number(stem.substr(dot + 1))) {
      name.version = stem.substr(dot + 1);
      stem = stem.substr(0, dot);
    }
  }
  constexpr std::size_t kHashBytes = 8;
  while (stem.size() > kHashBytes + 1 && stem[stem.size() - kHashBytes - 1] == '-' &&
         is_hex(stem.substr(stem.size() - kHashBytes))) {
    stem.remove_suffix(kHashBytes + 1);
    name.hashed = true;
  }
  name.stem = stem;
  return name;
}

bool is_copied_in(std::string_view path) {
  const std::string_view folder = folder_name(path);
  const std::string_view last = base_name(folder);
  if (last.ends_with(".libs") || last == ".dylibs" || last.ends_with("_dylibs")) return true;
  const LibraryName name = split_library_name(base_name(path));
  // Extension modules ("x.cpython-311-...so") are the package's own; a library with an interface
  // version or a hash in its name was made elsewhere.
  return name.stem.starts_with("lib") && (name.hashed || !name.version.empty());
}

}  // namespace mlxguard::inventory
