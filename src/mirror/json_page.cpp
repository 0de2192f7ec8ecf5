// SPDX-License-Identifier: Apache-2.0
// PEP 691 and 700: a project page in JSON.
#include <charconv>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "mirror/page_entries.h"

namespace mlxguard::mirror {
namespace {

using codec::JsonKind;
using codec::JsonValue;

Error left_out(std::string message) {
  return make_error(ErrorCode::kMirrorPage, std::move(message));
}

/// A member that may be absent or null.
std::optional<JsonValue> find(JsonValue object, std::string_view key) {
  auto value = object.find(key);
  if (value && value->is(JsonKind::kNull)) return std::nullopt;
  return value;
}

Result<std::string> sha256_of(JsonValue hashes) {
  if (!hashes.is(JsonKind::kObject)) return left_out("hashes that are no object");
  const auto sha256 = find(hashes, "sha256");
  if (!sha256) return std::string();
  MLXGUARD_TRY_ASSIGN(const std::string_view text, sha256->as_string("sha256"));
  return std::string(text);
}

/// core-metadata, or its older names: true, false, or the hashes of the metadata file. Without a
/// hash it could not be checked, so it counts as absent.
Result<std::string> metadata_sha256_of(JsonValue entry) {
  for (const std::string_view key :
       {"core-metadata", "dist-info-metadata", "data-dist-info-metadata"}) {
    const auto value = find(entry, key);
    if (!value) continue;
    if (value->is(JsonKind::kBool)) return std::string();
    return sha256_of(*value);
  }
  return std::string();
}

Result<void> read_yanked(JsonValue value, ProjectFile& file) {
  if (value.is(JsonKind::kBool)) {
    MLXGUARD_TRY_ASSIGN(const bool yanked, value.as_bool("yanked"));
    if (yanked) file.yanked = "";
    return {};
  }
  MLXGUARD_TRY_ASSIGN(const std::string_view reason, value.as_string("yanked"));
  // PEP 691: any non-empty text is a reason; an empty one is as false as it would be in Python.
  if (!reason.empty()) file.yanked = std::string(reason);
  return {};
}

Result<ProjectFile> read_entry(const Url& base, JsonValue entry) {
  if (!entry.is(JsonKind::kObject)) return left_out("an entry that is no object");
  ProjectFile file;
  MLXGUARD_TRY_ASSIGN(const JsonValue filename, entry.member("filename"));
  MLXGUARD_TRY_ASSIGN(file.filename, filename.as_string("filename"));
  MLXGUARD_TRY_ASSIGN(const JsonValue url, entry.member("url"));
  MLXGUARD_TRY_ASSIGN(const std::string_view reference, url.as_string("url"));
  MLXGUARD_TRY_ASSIGN(const Url absolute, resolve_url(base, reference));
  file.url = absolute.text();
  MLXGUARD_TRY_ASSIGN(const JsonValue hashes, entry.member("hashes"));
  MLXGUARD_TRY_ASSIGN(file.sha256, sha256_of(hashes));
  MLXGUARD_TRY_ASSIGN(file.metadata_sha256, metadata_sha256_of(entry));
  if (const auto value = find(entry, "requires-python")) {
    MLXGUARD_TRY_ASSIGN(file.requires_python, value->as_string("requires-python"));
  }
  if (const auto value = find(entry, "yanked")) MLXGUARD_TRY(read_yanked(*value, file));
  if (const auto value = find(entry, "size")) {
    MLXGUARD_TRY_ASSIGN(file.size_bytes, value->as_uint64("size"));
  }
  if (const auto value = find(entry, "upload-time")) {
    MLXGUARD_TRY_ASSIGN(const std::string_view text, value->as_string("upload-time"));
    // A time that cannot be read is no time: the cooldown then counts from when it was first seen.
    if (auto time = codec::from_rfc3339(text)) file.upload_time_ms = *time;
  }
  return file;
}

/// "1.x" is understood, whatever x is; another major version is not (PEP 629).
Result<void> check_api_version(JsonValue root) {
  MLXGUARD_TRY_ASSIGN(const JsonValue meta, root.member("meta"));
  MLXGUARD_TRY_ASSIGN(const JsonValue version, meta.member("api-version"));
  MLXGUARD_TRY_ASSIGN(const std::string_view text, version.as_string("api-version"));
  if (text != "1" && !text.starts_with("1.")) {
    return left_out("an index of an API version that is not 1.x");
  }
  return {};
}

}  // namespace

Result<ProjectPage> parse_json_page(std::string_view project, const Url& base,
                                    std::string_view untrusted_text) {
  codec::JsonLimits bounds;
  bounds.bytes_max = limits::kMirrorPageBytesMax;
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document,
                      codec::JsonDocument::parse(untrusted_text, bounds));
  const JsonValue root = document.root();
  MLXGUARD_TRY(check_api_version(root));
  if (const auto name = find(root, "name")) {
    MLXGUARD_TRY_ASSIGN(const std::string_view text, name->as_string("name"));
    if (normalize_name(text) != project) return left_out("a page of another project");
  }
  MLXGUARD_TRY_ASSIGN(const JsonValue files, root.member("files"));
  if (files.size() > limits::kMirrorPageFilesMax) {
    return make_error(ErrorCode::kTooLarge, "a page with too many files");
  }
  PageBuilder builder(project);
  MLXGUARD_TRY(files.each_element([&](std::size_t, JsonValue entry) -> Result<void> {
    builder.add(read_entry(base, entry));
    return {};
  }));
  if (const auto versions = find(root, "versions"); versions && versions->is(JsonKind::kArray)) {
    if (versions->size() > limits::kMirrorPageFilesMax) {
      return make_error(ErrorCode::kTooLarge, "a page with too many versions");
    }
    MLXGUARD_TRY(versions->each_element([&](std::size_t, JsonValue item) -> Result<void> {
      if (auto text = item.as_string("versions")) builder.add_version(*text);
      return {};
    }));
  }
  return std::move(builder).take();
}

}  // namespace mlxguard::mirror
