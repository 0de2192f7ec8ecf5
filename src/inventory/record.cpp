// SPDX-License-Identifier: Apache-2.0
#include "inventory/record.h"

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "base/limits.h"
#include "codec/text.h"
#include "inventory/files.h"

namespace mlxguard::inventory {
namespace {

Error malformed(std::string message) {
  return make_error(ErrorCode::kDepsRecord, std::move(message));
}

/// The fields of one CSV row from `at`, which is moved behind its line end. Quotes as Python's csv.
Result<std::vector<std::string>> csv_row(std::string_view text, std::size_t& at) {
  std::vector<std::string> fields(1);
  while (at < text.size() && text[at] != '\n' && text[at] != '\r') {
    if (text[at] == ',') {
      if (fields.size() == 3) return malformed("expected rows of three fields, found more");
      fields.emplace_back();
      ++at;
      continue;
    }
    if (text[at] != '"' || !fields.back().empty()) {
      fields.back() += text[at++];
      continue;
    }
    ++at;
    for (;; ++at) {
      if (at >= text.size()) return malformed("a quoted field does not end");
      if (text[at] != '"') {
        fields.back() += text[at];
      } else if (at + 1 < text.size() && text[at + 1] == '"') {
        fields.back() += '"';
        ++at;
      } else {
        ++at;
        break;
      }
    }
  }
  while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at;
  return fields;
}

bool made_by_installer(std::string_view path) {
  constexpr std::string_view kNames[] = {"INSTALLER",  "REQUESTED",  "direct_url.json", "RECORD",
                                         "RECORD.jws", "RECORD.p7s", "uv_cache.json"};
  const std::string_view name = base_name(path);
  if (folder_name(path).ends_with(".dist-info") &&
      std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames)) {
    return true;
  }
  // Entry points and scripts get the interpreter's path; other installation schemes lie outside
  // too.
  if (path.starts_with("../")) return true;
  const auto slash = path.find('/');
  if (slash != std::string_view::npos && path.substr(0, slash).ends_with(".data")) return true;
  return path.ends_with(".pyc");
}

}  // namespace

Result<std::vector<RecordRow>> parse_record(std::string_view text) {
  if (text.size() > limits::kRecordBytesMax) {
    return make_error(ErrorCode::kTooLarge, "the RECORD is larger than allowed");
  }
  if (!codec::is_utf8(text)) return make_error(ErrorCode::kUtf8, "the RECORD is not valid UTF-8");
  std::vector<RecordRow> rows;
  std::unordered_set<std::string> seen;
  for (std::size_t at = 0; at < text.size();) {
    MLXGUARD_TRY_ASSIGN(std::vector<std::string> fields, csv_row(text, at));
    if (fields.size() == 1 && fields[0].empty()) continue;
    if (fields.size() != 3) return malformed("expected rows of three fields, found fewer");
    if (rows.size() >= limits::kRecordRowsMax) {
      return make_error(ErrorCode::kTooLarge, "the RECORD has more rows than allowed");
    }
    RecordRow row{std::move(fields[0]), std::move(fields[1]), std::nullopt};
    if (row.path.empty()) return malformed("a row without a path");
    if (!fields[2].empty()) {
      std::uint64_t size = 0;
      const char* end = fields[2].data() + fields[2].size();
      const auto parsed = std::from_chars(fields[2].data(), end, size);
      if (parsed.ec != std::errc() || parsed.ptr != end)
        return malformed("a size that is no number");
      row.size = size;
    }
    if (!seen.insert(row.path).second) {
      return malformed("a path that is listed twice").about(row.path);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<FileHash> parse_file_hash(std::string_view text) {
  struct Row {
    std::string_view name;
    crypto::HashAlgorithm algorithm;
    std::size_t bytes;
  };
  constexpr Row kRows[] = {{"sha256=", crypto::HashAlgorithm::kSha256, 32},
                           {"sha384=", crypto::HashAlgorithm::kSha384, 48},
                           {"sha512=", crypto::HashAlgorithm::kSha512, 64}};
  for (const Row& row : kRows) {
    if (!text.starts_with(row.name)) continue;
    std::string padded(text.substr(row.name.size()));
    while (padded.ends_with('=')) padded.pop_back();  // some tools write the padding
    std::replace(padded.begin(), padded.end(), '-', '+');
    std::replace(padded.begin(), padded.end(), '_', '/');
    while (padded.size() % 4 != 0 && padded.size() < 128) padded += '=';
    auto digest = codec::from_base64(padded);
    if (!digest || digest->size() != row.bytes) break;
    return FileHash{row.algorithm, *std::move(digest)};
  }
  return malformed("expected a hash by sha256, sha384 or sha512, found another");
}

std::string file_hash_text(const FileHash& hash) {
  std::string text = codec::to_base64(hash.digest);
  while (text.ends_with('=')) text.pop_back();
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  const std::string_view name = hash.algorithm == crypto::HashAlgorithm::kSha256   ? "sha256="
                                : hash.algorithm == crypto::HashAlgorithm::kSha384 ? "sha384="
                                                                                   : "sha512=";
  return std::string(name) + text;
}

std::string file_hash(crypto::HashAlgorithm algorithm, Bytes bytes) {
  crypto::Hasher hasher(algorithm);
  hasher.update(bytes);
  return file_hash_text({algorithm, hasher.finish()});
}

std::string content_digest(const std::vector<RecordRow>& rows) {
  std::vector<const RecordRow*> sorted;
  for (const RecordRow& row : rows) {
    if (!row.hash.empty() && !made_by_installer(row.path)) sorted.push_back(&row);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const RecordRow* a, const RecordRow* b) { return a->path < b->path; });
  crypto::Hasher hasher(crypto::HashAlgorithm::kSha256);
  for (const RecordRow* row : sorted) {
    // No path holds a NUL, so that two lists cannot run together into the same bytes.
    hasher.update(as_bytes(row->path + '\0' + row->hash + '\0'));
  }
  return "sha256:" + codec::to_hex(hasher.finish());
}

}  // namespace mlxguard::inventory
