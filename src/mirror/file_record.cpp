// SPDX-License-Identifier: Apache-2.0
#include "mirror/file_record.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "codec/json.h"
#include "codec/text.h"
#include "log/files.h"

namespace mlxguard::mirror {
namespace {

constexpr std::array<Verdict, 4> kVerdicts = {Verdict::kClean, Verdict::kCouldNotTell,
                                              Verdict::kVulnerable, Verdict::kQuarantined};

Result<Verdict> find_verdict(std::string_view name) {
  for (const Verdict verdict : kVerdicts) {
    if (name_of(verdict) == name) return verdict;
  }
  return make_error(ErrorCode::kJsonRange, "a verdict that is not known");
}

Result<std::string> text_of(codec::JsonValue object, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue member, object.member(key));
  MLXGUARD_TRY_ASSIGN(const std::string_view text, member.as_string(key));
  return std::string(text);
}

Result<std::int64_t> number_of(codec::JsonValue object, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue member, object.member(key));
  return member.as_int64(key);
}

}  // namespace

std::string to_json(const FileRecord& record) {
  codec::JsonWriter json;
  json.begin_object().field("project", record.project).field("version", record.version);
  json.field("filename", record.filename).field("sha256", record.sha256);
  json.field("content_sha256", record.content_sha256);
  json.field("size", record.size_bytes).field("inspected_by", record.inspected_by);
  json.key("findings").begin_array();
  for (const Finding& finding : record.inspection.findings) {
    json.begin_object().field("verdict", name_of(finding.verdict)).field("code", finding.code);
    json.field("text", finding.text).end_object();
  }
  json.end_array().field("metadata_sha256", record.inspection.metadata_sha256);
  json.field("action", record.action).field("code", record.code);
  json.field("reason", record.reason).field("decided_ms", record.decided_ms).end_object();
  return std::move(json).take();
}

Result<FileRecord> file_record_from(std::string_view json) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonDocument document, codec::JsonDocument::parse(json));
  const codec::JsonValue root = document.root();
  FileRecord record;
  MLXGUARD_TRY_ASSIGN(record.project, text_of(root, "project"));
  MLXGUARD_TRY_ASSIGN(record.version, text_of(root, "version"));
  MLXGUARD_TRY_ASSIGN(record.filename, text_of(root, "filename"));
  MLXGUARD_TRY_ASSIGN(record.sha256, text_of(root, "sha256"));
  MLXGUARD_TRY_ASSIGN(record.content_sha256, text_of(root, "content_sha256"));
  MLXGUARD_TRY_ASSIGN(record.size_bytes, number_of(root, "size"));
  MLXGUARD_TRY_ASSIGN(record.inspected_by, text_of(root, "inspected_by"));
  MLXGUARD_TRY_ASSIGN(record.inspection.metadata_sha256, text_of(root, "metadata_sha256"));
  MLXGUARD_TRY_ASSIGN(record.action, text_of(root, "action"));
  MLXGUARD_TRY_ASSIGN(record.code, text_of(root, "code"));
  MLXGUARD_TRY_ASSIGN(record.reason, text_of(root, "reason"));
  MLXGUARD_TRY_ASSIGN(record.decided_ms, number_of(root, "decided_ms"));
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue findings, root.member("findings"));
  MLXGUARD_TRY(findings.each_element([&](std::size_t, codec::JsonValue item) -> Result<void> {
    Finding finding;
    MLXGUARD_TRY_ASSIGN(const std::string verdict, text_of(item, "verdict"));
    MLXGUARD_TRY_ASSIGN(finding.verdict, find_verdict(verdict));
    MLXGUARD_TRY_ASSIGN(finding.code, text_of(item, "code"));
    MLXGUARD_TRY_ASSIGN(finding.text, text_of(item, "text"));
    record.inspection.findings.push_back(std::move(finding));
    return {};
  }));
  return record;
}

Result<std::vector<FileRecord>> read_records(const std::filesystem::path& mirror_folder) {
  std::vector<FileRecord> records;
  std::error_code problem;
  for (const auto& entry :
       std::filesystem::directory_iterator(mirror_folder / "records", problem)) {
    if (entry.path().extension() != ".json") continue;
    MLXGUARD_TRY_ASSIGN(const std::string text,
                        log::read_file(entry.path().string(), limits::kMirrorRecordBytesMax));
    auto record = file_record_from(text);
    if (record) records.push_back(*std::move(record));
  }
  std::sort(records.begin(), records.end(), [](const FileRecord& a, const FileRecord& b) {
    return std::tie(a.project, a.filename) < std::tie(b.project, b.filename);
  });
  return records;
}

std::string record_id(std::string_view project, const ProjectFile& file) {
  return codec::to_hex(crypto::sha256({as_bytes(project), as_bytes("\n"), as_bytes(file.filename),
                                       as_bytes("\n"), as_bytes(file.sha256)}));
}

}  // namespace mlxguard::mirror
