// SPDX-License-Identifier: Apache-2.0
#include "advisories/source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "codec/json.h"
#include "codec/text.h"
#include "crypto/digest.h"
#include "inventory/files.h"
#include "inventory/zip_file.h"
#include "packaging/scan.h"
#include "trust/signed_record.h"
#include "trust/state_file.h"

namespace mlxguard::advisories {
namespace {

namespace fs = std::filesystem;
using Take = std::function<void(const std::string& item, Result<std::string> text)>;

bool is_yaml(std::string_view name) { return name.ends_with(".yaml") || name.ends_with(".yml"); }
bool is_record(std::string_view name) { return name.ends_with(".json") || is_yaml(name); }

Result<std::string> as_json(const std::string& name, Result<std::string> text) {
  if (!text || !is_yaml(name)) return text;
  return yaml_to_json(*text);
}

Result<void> read_zip(int fd, const Take& take, const Progress& progress) {
  auto zip = inventory::ZipFile::open(fd);
  if (!zip) {
    return make_error(ErrorCode::kAdvisoryDatabase, "not a usable zip: " + zip.error().message);
  }
  std::uint64_t done = 0;
  for (const inventory::ZipEntry& entry : zip->entries()) {
    if (is_record(entry.name)) {
      take(entry.name, as_json(entry.name, zip->read(entry, limits::kAdvisoryRecordBytesMax)));
    }
    if (progress) progress(++done, zip->entries().size());
  }
  return {};
}

Result<void> read_folder(const fs::path& folder, const Take& take, const Progress& progress) {
  std::error_code problem;
  std::vector<fs::path> files;
  fs::recursive_directory_iterator at(folder, problem);
  for (const fs::recursive_directory_iterator end; !problem && at != end; at.increment(problem)) {
    if (files.size() > limits::kAdvisoryRecordsMax) break;
    if (is_record(at->path().filename().string()) && at->is_regular_file(problem)) {
      files.push_back(at->path());
    }
  }
  if (problem) {
    return os_error("read", folder.string(), problem.value()).about(folder.string());
  }
  std::sort(files.begin(), files.end());
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string name = files[i].lexically_relative(folder).string();
    take(name, as_json(name, inventory::read_file(files[i], limits::kAdvisoryRecordBytesMax)));
    if (progress) progress(i + 1, files.size());
  }
  return {};
}

Result<std::string> digest_of(int fd) {
  crypto::Hasher hasher(crypto::HashAlgorithm::kSha256);
  std::array<std::uint8_t, 1u << 16> piece{};
  for (off_t at = 0;;) {
    const ssize_t got = ::pread(fd, piece.data(), piece.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return os_error("read", "the advisory file");
    if (got == 0) return codec::to_hex(hasher.finish());
    hasher.update(Bytes(piece.data(), static_cast<std::size_t>(got)));
    at += got;
  }
}

Result<void> check_digest(const fs::path& from, const std::string& expected,
                          const std::string& found) {
  if (expected.empty() || ascii_lower(expected) == found) return {};
  return make_error(ErrorCode::kAdvisoryDigest,
                    "the advisory file has another digest than expected")
      .about(from.string())
      .compared(expected, found);
}

/// Reads every record of a file or folder. `sha256` becomes the file's digest, which must be
/// `expected` unless that is empty.
Result<void> read_source(const fs::path& from, const std::string& expected, std::string& sha256,
                         const Take& take, const Progress& progress) {
  const UniqueFd fd(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.is_open()) return os_error("open", from.string()).about(from.string());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return os_error("stat", from.string());
  if (S_ISDIR(status.st_mode)) {
    if (!expected.empty()) {
      return make_error(ErrorCode::kUsage, "a folder has no digest; --sha256 is for files");
    }
    return read_folder(from, take, progress);
  }
  if (!S_ISREG(status.st_mode)) {
    return make_error(ErrorCode::kAdvisoryDatabase, "expected a file or a folder")
        .about(from.string());
  }
  const std::string name = from.filename().string();
  if (!is_record(name)) {
    MLXGUARD_TRY_ASSIGN(sha256, digest_of(fd.get()));
    MLXGUARD_TRY(check_digest(from, expected, sha256));
    return read_zip(fd.get(), take, progress);
  }
  auto text = inventory::read_file(from, limits::kAdvisoryRecordBytesMax);
  if (!text) return std::move(text).error();
  sha256 = codec::to_hex(crypto::sha256(as_bytes(*text)));
  MLXGUARD_TRY(check_digest(from, expected, sha256));
  take(name, as_json(name, std::move(text)));
  return {};
}

/// The folder, held against other updates: the one that read an older feed first must not write it
/// last.
Result<UniqueFd> hold_folder(const fs::path& state) {
  std::error_code ignored;  // mkdir below reports what matters
  fs::create_directories(state, ignored);
  const fs::path folder = folder_in(state);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return os_error("create", folder.string()).about(folder.string());
  }
  return trust::folder_lock(folder);
}

Error refused_feed(std::string why) { return make_error(ErrorCode::kAdvisoryFeed, std::move(why)); }

/// A feed that is there and cannot be read had some version: which one, nobody knows any more.
Result<void> check_not_older(const fs::path& file, std::int64_t version) {
  std::error_code problem;
  const fs::file_status status = fs::symlink_status(file, problem);
  if (status.type() == fs::file_type::not_found) return {};
  const auto present = Database::open(file);
  if (!present) {
    return refused_feed("the feed that is here is damaged, and its version cannot be told")
        .about(file.string())
        .hinting("remove the file to start over; then take the newest feed that you know of");
  }
  if (present->info().version > version) {
    return refused_feed("an older feed than the one that is here")
        .compared(std::to_string(present->info().version) + " or newer", std::to_string(version));
  }
  return {};
}

Result<std::int64_t> number_in(codec::JsonValue object, std::string_view key) {
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue value, object.member(key));
  return value.as_int64(key);
}

}  // namespace

Result<Updated> update_database(const fs::path& state, const fs::path& from,
                                const std::string& sha256, WallTime now, const Progress& progress) {
  Builder builder(now);
  DatabaseInfo named;
  named.source =
      from.filename().empty() ? from.parent_path().filename().string() : from.filename().string();
  named.built_ms = now.time_since_epoch().count();
  const auto take = [&](const std::string& item, Result<std::string> text) {
    if (text)
      builder.add(item, *text);
    else
      builder.skip(item, std::move(text).error());
  };
  MLXGUARD_TRY(read_source(from, sha256, named.source_sha256, take, progress));
  Updated updated;
  updated.skipped = builder.skipped();
  if (builder.records() > 0 && !builder.has_python()) {
    return make_error(ErrorCode::kAdvisoryDatabase, "no advisory in it is about a Python package")
        .about(named.source)
        .hinting("expected the export of PyPI, not that of another ecosystem");
  }
  MLXGUARD_TRY_ASSIGN(const std::string bytes, std::move(builder).finish(std::move(named)));
  MLXGUARD_TRY_ASSIGN(const UniqueFd held, hold_folder(state));
  MLXGUARD_TRY(trust::replace_trusted_file(database_file(state), bytes));
  MLXGUARD_TRY_ASSIGN(const Database database, Database::open(database_file(state)));
  updated.info = database.info();
  return updated;
}

Result<std::string> write_feed(const fs::path& from, std::int64_t version, WallTime now,
                               const crypto::Signer& signer) {
  codec::JsonWriter json;
  json.begin_object().field("version", version);
  json.field("date", codec::to_rfc3339(now.time_since_epoch().count()))
      .key("records")
      .begin_array();
  std::optional<Error> problem;
  std::string ignored;
  const auto take = [&](const std::string& item, Result<std::string> text) {
    auto parsed = text ? parse_record(*text) : Result<Record>(text.error());
    if (parsed)
      json.raw(*text);
    else if (!problem)
      problem = std::move(parsed).error().about(item);
  };
  MLXGUARD_TRY(read_source(from, {}, ignored, take, {}));
  if (problem) return *std::move(problem);
  json.end_array().end_object();
  return trust::write_signed(kFeedType, json.text(), {&signer});
}

Result<Updated> update_feed(const fs::path& state, const fs::path& from,
                            const crypto::EcPublicKey& key, WallTime now) {
  MLXGUARD_TRY_ASSIGN(const std::string text,
                      inventory::read_file(from, limits::kDepsFileBytesMax));
  auto envelope = trust::SignedRecord::parse(text, kFeedType, limits::kDepsFileBytesMax);
  if (!envelope) return refused_feed("not a signed feed: " + envelope.error().message);
  if (auto verified = envelope->verify({&key}); !verified) {
    return refused_feed("the feed is not signed by its key").compared(key.fingerprint(), "another");
  }
  const codec::JsonValue body = envelope->body();
  DatabaseInfo named;
  named.source = from.filename().string();
  named.signer = key.fingerprint();
  named.built_ms = now.time_since_epoch().count();
  MLXGUARD_TRY_ASSIGN(named.version, number_in(body, "version"));
  MLXGUARD_TRY_ASSIGN(const UniqueFd held, hold_folder(state));
  MLXGUARD_TRY(check_not_older(feed_file(state), named.version));
  Builder builder(now);
  MLXGUARD_TRY_ASSIGN(const codec::JsonValue records, body.member("records"));
  MLXGUARD_TRY(records.each_element([&](std::size_t index, codec::JsonValue one) -> Result<void> {
    builder.add("record " + std::to_string(index), one.dump());
    return {};
  }));
  if (!builder.skipped().empty()) {
    return refused_feed("a record that is broken: " + builder.skipped().front().error.message)
        .about(builder.skipped().front().item);
  }
  Updated updated;
  MLXGUARD_TRY_ASSIGN(const std::string bytes, std::move(builder).finish(std::move(named)));
  MLXGUARD_TRY(trust::replace_trusted_file(feed_file(state), bytes));
  MLXGUARD_TRY_ASSIGN(const Database database, Database::open(feed_file(state)));
  updated.info = database.info();
  return updated;
}

}  // namespace mlxguard::advisories
