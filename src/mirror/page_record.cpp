// SPDX-License-Identifier: Apache-2.0
// A ProjectPage as the JSON that the cache keeps.
#include "base/limits.h"
#include "codec/json.h"
#include "mirror/page_entries.h"

namespace mlxguard::mirror {
namespace {

using codec::JsonValue;

Result<void> read_text(JsonValue object, std::string_view key, std::string& out) {
  if (const auto member = object.find(key)) {
    MLXGUARD_TRY_ASSIGN(out, member->as_string(key));
  }
  return {};
}

Result<std::int64_t> number_of(JsonValue object, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(const JsonValue member, object.member(key));
  return member.as_int64(key);
}

Result<ProjectFile> read_file(std::string_view project, JsonValue item) {
  ProjectFile file;
  MLXGUARD_TRY(read_text(item, "filename", file.filename));
  MLXGUARD_TRY(read_text(item, "url", file.url));
  MLXGUARD_TRY(read_text(item, "sha256", file.sha256));
  MLXGUARD_TRY(read_text(item, "metadata_sha256", file.metadata_sha256));
  MLXGUARD_TRY(read_text(item, "requires_python", file.requires_python));
  MLXGUARD_TRY_ASSIGN(file.first_seen_ms, number_of(item, "first_seen_ms"));
  if (item.find("changed_ms")) {
    MLXGUARD_TRY_ASSIGN(file.changed_ms, number_of(item, "changed_ms"));
  }
  if (item.find("yanked")) {
    file.yanked.emplace();
    MLXGUARD_TRY(read_text(item, "yanked", *file.yanked));
  }
  if (item.find("size")) {
    MLXGUARD_TRY_ASSIGN(const std::int64_t size, number_of(item, "size"));
    file.size_bytes = static_cast<std::uint64_t>(size);
  }
  if (item.find("upload_time_ms")) {
    MLXGUARD_TRY_ASSIGN(file.upload_time_ms, number_of(item, "upload_time_ms"));
  }
  // The cache is this mirror's own, but what it holds came from upstream: checked again.
  MLXGUARD_TRY(finish_entry(project, file));
  return file;
}

Result<void> read_head(JsonValue root, ProjectPage& page) {
  MLXGUARD_TRY_ASSIGN(const std::int64_t version, number_of(root, "record"));
  if (version != 1) return make_error(ErrorCode::kMirrorPage, "a cached page of another form");
  MLXGUARD_TRY(read_text(root, "project", page.project));
  MLXGUARD_TRY(read_text(root, "etag", page.etag));
  MLXGUARD_TRY(read_text(root, "last_modified", page.last_modified));
  MLXGUARD_TRY(read_text(root, "skipped_why", page.skipped_why));
  MLXGUARD_TRY_ASSIGN(page.fetched_ms, number_of(root, "fetched_ms"));
  MLXGUARD_TRY_ASSIGN(const std::int64_t skipped, number_of(root, "skipped"));
  page.skipped = static_cast<std::size_t>(skipped);
  return {};
}

}  // namespace

std::string to_record(const ProjectPage& page) {
  codec::JsonWriter json;
  json.begin_object().field("record", 1).field("project", page.project);
  json.field("etag", page.etag).field("last_modified", page.last_modified);
  json.field("fetched_ms", page.fetched_ms);
  json.field("skipped", static_cast<std::int64_t>(page.skipped));
  json.field("skipped_why", page.skipped_why);
  json.key("versions").begin_array();
  for (const std::string& version : page.versions) json.string(version);
  json.end_array().key("files").begin_array();
  for (const ProjectFile& file : page.files) {
    json.begin_object().field("filename", file.filename).field("url", file.url);
    json.field("first_seen_ms", file.first_seen_ms);
    if (file.changed_ms != 0) json.field("changed_ms", file.changed_ms);
    if (!file.sha256.empty()) json.field("sha256", file.sha256);
    if (!file.metadata_sha256.empty()) json.field("metadata_sha256", file.metadata_sha256);
    if (!file.requires_python.empty()) json.field("requires_python", file.requires_python);
    if (file.yanked) json.field("yanked", *file.yanked);
    if (file.size_bytes) json.field("size", static_cast<std::int64_t>(*file.size_bytes));
    if (file.upload_time_ms) json.field("upload_time_ms", *file.upload_time_ms);
    json.end_object();
  }
  json.end_array().end_object();
  return std::move(json).take();
}

Result<ProjectPage> from_record(std::string_view text) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document, codec::JsonDocument::parse(text));
  const JsonValue root = document.root();
  ProjectPage page;
  MLXGUARD_TRY(read_head(root, page));
  MLXGUARD_TRY_ASSIGN(const JsonValue versions, root.member("versions"));
  const auto read_version = [&](std::size_t, JsonValue item) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(const std::string_view one, item.as_string("versions"));
    page.versions.emplace_back(one);
    return {};
  };
  MLXGUARD_TRY(versions.each_element(read_version));
  MLXGUARD_TRY_ASSIGN(const JsonValue files, root.member("files"));
  const auto read_one = [&](std::size_t, JsonValue item) -> Result<void> {
    MLXGUARD_TRY_ASSIGN(ProjectFile file, read_file(page.project, item));
    page.files.push_back(std::move(file));
    return {};
  };
  MLXGUARD_TRY(files.each_element(read_one));
  return page;
}

}  // namespace mlxguard::mirror
