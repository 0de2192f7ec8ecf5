// SPDX-License-Identifier: Apache-2.0
#include "inventory/distribution.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "inventory/files.h"
#include "inventory/identity.h"
#include "inventory/lock_files.h"
#include "packaging/name.h"

namespace mlxguard::inventory {
namespace {

using Kind = Observation::Kind;

constexpr std::size_t kSmallFileBytesMax = 1u << 20;

std::string first_line(std::string_view text) {
  text = text.substr(0, text.find_first_of("\r\n"));
  return std::string(text);
}

/// direct_url.json (PEP 610): where it was installed from, when that was no index.
Result<Qualifiers> read_direct_url(std::string_view text, Distribution& distribution) {
  MLXGUARD_TRY_ASSIGN(const auto document, codec::JsonDocument::parse(text));
  const codec::JsonValue root = document.root();
  const auto text_of = [](const codec::JsonValue& object, std::string_view key) {
    const auto value = object.find(key);
    auto words = value ? value->as_string() : Result<std::string_view>(std::string_view{});
    return words ? std::string(*words) : std::string();
  };
  const std::string url = without_credentials(text_of(root, "url"));
  if (url.empty()) return make_error(ErrorCode::kDepsFile, "direct_url.json names no URL");
  distribution.properties.emplace_back("source_url", url);
  Qualifiers qualifiers;
  if (const auto vcs = root.find("vcs_info")) {
    const std::string commit = text_of(*vcs, "commit_id");
    const std::string tool = text_of(*vcs, "vcs");
    qualifiers.emplace_back("vcs_url", tool + "+" + url + (commit.empty() ? "" : "@" + commit));
    distribution.properties.emplace_back("source", "vcs");
    distribution.properties.emplace_back("commit", commit);
  } else if (const auto archive = root.find("archive_info")) {
    qualifiers.emplace_back("download_url", url);
    distribution.properties.emplace_back("source", "archive");
    if (const auto hashes = archive->find("hashes")) {
      MLXGUARD_TRY(
          hashes->each_member([&](std::string_view name, codec::JsonValue value) -> Result<void> {
            MLXGUARD_TRY_ASSIGN(const auto digest, value.as_string());
            distribution.hashes.push_back(std::string(name) + ":" + std::string(digest));
            return {};
          }));
    }
  } else if (const auto folder = root.find("dir_info")) {
    const auto editable = folder->find("editable");
    const auto value = editable ? editable->as_bool() : Result<bool>(false);
    distribution.properties.emplace_back("source", value && *value ? "editable" : "folder");
  }
  return qualifiers;
}

/// "foo_bar-1.0.dist-info" must be of the package that its METADATA names.
void check_folder_name(const Distribution& distribution, Builder& builder) {
  std::string_view stem = base_name(distribution.folder);
  stem = stem.substr(0, stem.rfind('.'));
  const auto dash = stem.find('-');
  if (packaging::normalize_name(stem.substr(0, dash)) == distribution.name) return;
  builder.observe(
      Kind::kRecordMismatch, distribution.purl, distribution.folder,
      make_error(ErrorCode::kDepsRecord, "METADATA names another package than the folder")
          .compared(std::string(stem.substr(0, dash)), distribution.name));
}

void read_record(Distribution& distribution, const FileReader& read, Builder& builder) {
  const std::string path = distribution.folder + "/RECORD";
  auto text = read(path, limits::kRecordBytesMax);
  if (!text) {
    const bool absent = text.error().code == ErrorCode::kNotFound;
    builder.observe(absent ? Kind::kRecordMissing : Kind::kUnreadable, distribution.purl, path,
                    absent ? make_error(ErrorCode::kDepsRecord,
                                        "there is no RECORD: its files cannot be checked")
                           : text.error());
    return;
  }
  auto rows = parse_record(*text);
  if (!rows) {
    builder.observe(Kind::kUnreadable, distribution.purl, path, rows.error());
    return;
  }
  distribution.record = *std::move(rows);
  distribution.properties.emplace_back("record_digest", content_digest(*distribution.record));
}

void read_sboms(Distribution& distribution, const FileReader& read,
                const std::vector<std::string>& files, Builder& builder) {
  for (const std::string& path : files) {
    auto text = read(path, limits::kDepsFileBytesMax);
    if (text && !is_cyclonedx(*text)) {
      builder.observe(
          Kind::kUnreadable, distribution.purl, path,
          make_error(ErrorCode::kSbom, "expected CycloneDX in JSON, found another format"));
      continue;
    }
    auto sbom = std::move(text).and_then(
        [](std::string words) { return read_sbom(words, LicenseIds::kAny); });
    if (!sbom) {
      builder.observe(Kind::kUnreadable, distribution.purl, path, sbom.error());
      continue;
    }
    distribution.sboms.emplace_back(path, *std::move(sbom));
  }
}

}  // namespace

Result<Distribution> read_distribution(const std::string& folder, const FileReader& read,
                                       const std::vector<std::string>& sbom_files,
                                       Builder& builder) {
  Distribution distribution;
  distribution.folder = folder;
  distribution.base = folder_name(folder);
  auto text = read(folder + "/METADATA", limits::kMetadataBytesMax);
  if (!text && text.error().code == ErrorCode::kNotFound) {
    text = read(folder + "/PKG-INFO", limits::kMetadataBytesMax);
  }
  if (!text) return std::move(text).error();
  MLXGUARD_TRY_ASSIGN(distribution.metadata, parse_metadata(*text));
  if (!packaging::is_name(distribution.metadata.name)) {
    return make_error(ErrorCode::kDepsFile, "the metadata's name is no name of a package");
  }
  Qualifiers qualifiers;
  if (const auto direct = read(folder + "/direct_url.json", kSmallFileBytesMax)) {
    auto found = read_direct_url(*direct, distribution);
    if (found)
      qualifiers = *std::move(found);
    else
      builder.observe(Kind::kUnreadable, "", folder + "/direct_url.json", found.error());
  }
  distribution.purl =
      pypi_purl(distribution.metadata.name, distribution.metadata.version, qualifiers);
  distribution.name = packaging::normalize_name(distribution.metadata.name);
  check_folder_name(distribution, builder);
  if (const auto installer = read(folder + "/INSTALLER", kSmallFileBytesMax)) {
    distribution.installer = first_line(*installer);
    distribution.properties.emplace_back("installer", distribution.installer);
  }
  distribution.requested = read(folder + "/REQUESTED", kSmallFileBytesMax).has_value();
  if (folder.ends_with(".dist-info")) read_record(distribution, read, builder);
  read_sboms(distribution, read, sbom_files, builder);
  return distribution;
}

std::vector<std::string> add_distribution(const Distribution& distribution, Builder& builder) {
  Component& component = builder.component(distribution.purl);
  component.kind = Component::Kind::kPackage;
  component.name = distribution.name;
  component.version = distribution.metadata.version;
  component.license = distribution.metadata.license;
  component.location = distribution.folder;
  component.direct = component.direct || distribution.requested;
  component.confidence = Confidence::kHigh;
  component.properties.insert(component.properties.end(), distribution.properties.begin(),
                              distribution.properties.end());
  component.hashes.insert(component.hashes.end(), distribution.hashes.begin(),
                          distribution.hashes.end());
  builder.evidence(
      distribution.purl, Evidence::Kind::kMetadata, distribution.folder,
      distribution.installer.empty() ? "installed" : "installed by " + distribution.installer);

  std::vector<std::string> embedded;
  for (const auto& [path, sbom] : distribution.sboms) {
    std::map<std::string, std::string> purl_of;  // by bom-ref
    std::vector<std::string> purls;
    for (std::size_t i = 0; i < sbom.components.size(); ++i) {
      const Component& found = sbom.components[i];
      const auto parts = read_purl(found.purl);
      const bool self = found.purl == sbom.root_purl ||
                        (parts && parts->type == "pypi" && parts->name == distribution.name);
      const std::string purl = self ? distribution.purl : found.purl;
      if (!sbom.refs[i].empty()) purl_of[sbom.refs[i]] = purl;
      if (self) continue;
      Component& mine = builder.component(purl);
      if (mine.name.empty()) {
        mine.kind = found.kind;
        mine.name = found.name;
        mine.version = found.version;
        mine.confidence = found.confidence;
      }
      if (mine.license.empty()) mine.license = found.license;
      mine.hashes.insert(mine.hashes.end(), found.hashes.begin(), found.hashes.end());
      builder.evidence(purl, Evidence::Kind::kSbom, path, "listed in the wheel's own SBOM");
      builder.property(purl, "embedded_in", distribution.purl);
      purls.push_back(purl);
    }
    std::map<std::string, bool> needed;
    for (const auto& [from, to] : sbom.dependencies) {
      const auto a = purl_of.find(from), b = purl_of.find(to);
      if (a == purl_of.end() || b == purl_of.end()) continue;
      builder.needs(a->second, b->second);
      needed[b->second] = true;
    }
    for (const std::string& purl : purls) {
      if (!needed.contains(purl)) builder.needs(distribution.purl, purl);
    }
    embedded.insert(embedded.end(), purls.begin(), purls.end());
  }
  return embedded;
}

namespace {

/// A line of a .pth file, and its number.
struct PathLine {
  std::string_view text;
  std::size_t number = 1;
};

/// Newer Pythons end a line at more characters than older ones, some beyond ASCII: at all of them.
std::vector<PathLine> path_lines(std::string_view text) {
  std::vector<PathLine> lines;
  std::size_t number = 1;
  for (std::size_t at = 0; at < text.size();) {
    const auto* stop = std::find_if(text.begin() + at, text.end(), [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\t') ||
             static_cast<unsigned char>(c) >= 0x80;
    });
    const auto end = static_cast<std::size_t>(stop - text.begin());
    lines.push_back({text.substr(at, end - at), number});
    at = end + 1;
    if (end < text.size() && text[end] == '\n') ++number;
  }
  return lines;
}

/// As Python's site module decides: these lines are executed, others are folders.
bool is_code(std::string_view line) {
  return line.starts_with("import ") || line.starts_with("import\t");
}

bool leads_out(std::string_view folder) {
  return folder.starts_with('/') || join_inside("", folder).empty();
}

}  // namespace

std::set<std::string_view> path_file_folders(std::string_view text) {
  std::set<std::string_view> folders;
  for (std::size_t at = 0; at < text.size();) {  // a folder's name may be of any letters
    const std::size_t end = std::min(text.find_first_of("\r\n", at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    while (line.ends_with(' ') || line.ends_with('\t')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#') && !is_code(line)) folders.insert(line);
  }
  return folders;
}

void observe_path_file(std::string_view text, const std::string& purl, const std::string& path,
                       Builder& builder) {
  std::size_t code = 0, first = 0, folders = 0;
  for (const PathLine& line : path_lines(text)) {
    if (is_code(line.text) && ++code == 1) first = line.number;
  }
  for (const std::string_view folder : path_file_folders(text)) {
    if (leads_out(folder)) ++folders;
  }
  if (folders > 0) {
    builder.observe(
        Kind::kPathCode, purl, path,
        make_error(ErrorCode::kDepsRecord,
                   "adds a folder from elsewhere to what Python imports" +
                       (folders > 1 ? " (" + std::to_string(folders) + " lines)" : std::string())));
  }
  if (code == 0) return;
  builder.observe(Kind::kPathCode, purl, path,
                  make_error(ErrorCode::kDepsRecord,
                             "code that runs at every start of Python: line " +
                                 std::to_string(first) + (code > 1 ? " and others" : ""))
                      .hinting("read it: it runs without being imported"));
}

}  // namespace mlxguard::inventory
