// SPDX-License-Identifier: Apache-2.0
// Database: advisories by package, in one immutable file that is mapped and searched. Its whole
// content is hashed when it is opened. Input of a build: records that anyone may have written; a
// broken one is skipped, counted and named, and what it may have said is never taken for "clean".
//   "MLXGADV1", u32 header bytes, header (JSON), u64 packages, packages x (key offset, key bytes,
//   data offset, data bytes: u64 each), keys, data (JSON arrays of records), SHA-256 of all that
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "advisories/osv.h"
#include "base/clock.h"
#include "base/result.h"

namespace mlxguard::advisories {

struct Skipped {
  std::string item;  ///< name of the file or entry
  Error error;
};

/// What a database is made of; part of each verdict.
struct DatabaseInfo {
  std::string source{};         ///< as the operator named it
  std::string source_sha256{};  ///< of the file; empty for a folder
  std::string newest{};         ///< RFC 3339: the last change of any record
  std::int64_t newest_ms = 0;
  std::int64_t built_ms = 0;
  std::uint64_t records = 0;    ///< that are in it
  std::uint64_t withdrawn = 0;  ///< left out
  std::uint64_t foreign = 0;    ///< left out: of ecosystems that are not looked at
  std::uint64_t packages = 0;
  std::uint64_t skipped = 0;  ///< broken
  std::int64_t version = 0;   ///< of a feed
  std::string signer{};       ///< of a feed: fingerprint of the key that signed it
  std::string digest{};       ///< of the database file itself, hex
};

class Builder {
 public:
  /// A record that was changed after `now` does not make the database younger.
  explicit Builder(WallTime now = WallTime::max()) : now_(now) {}
  /// One OSV record in JSON. A broken one is noted, and for the packages that it still names it
  /// could not be told whether they are vulnerable.
  void add(std::string_view item, std::string_view json);
  void skip(std::string item, Error error);
  [[nodiscard]] const std::vector<Skipped>& skipped() const { return skipped_; }
  [[nodiscard]] std::size_t records() const { return static_cast<std::size_t>(info_.records); }
  /// Whether any sound record is about a Python package.
  [[nodiscard]] bool has_python() const { return has_python_; }
  /// The file's bytes. Errors: kAdvisoryDatabase when there is no record at all.
  [[nodiscard]] Result<std::string> finish(DatabaseInfo named) &&;

 private:
  void mark_broken(std::string_view item, std::string_view json);
  /// A record that says when it will be withdrawn counts until then.
  [[nodiscard]] bool is_past(const std::string& time) const;
  WallTime now_;
  std::map<std::string, std::vector<std::string>, std::less<>> packages_;
  std::vector<Skipped> skipped_;  ///< the first ones
  bool has_python_ = false;
  DatabaseInfo info_;
};

class Database {
 public:
  /// Maps the file and checks its digest. Errors: kAdvisoryDatabase.
  [[nodiscard]] static Result<Database> open(const std::filesystem::path& file);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  [[nodiscard]] const DatabaseInfo& info() const;
  [[nodiscard]] bool knows(std::string_view key) const;
  /// Its records, each with the one Affected of this key (several where it names the package
  /// twice). Thread-safe. Errors: kAdvisoryDatabase.
  [[nodiscard]] Result<std::vector<Record>> find(std::string_view key) const;
  [[nodiscard]] std::vector<std::string> keys() const;

 private:
  struct Impl;
  explicit Database(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// $STATE/advisories
[[nodiscard]] std::filesystem::path folder_in(const std::filesystem::path& state);
/// The file of the OSV database and of the feed.
[[nodiscard]] std::filesystem::path database_file(const std::filesystem::path& state);
[[nodiscard]] std::filesystem::path feed_file(const std::filesystem::path& state);

/// kAdvisoryTooOld if no record changed for longer than this.
[[nodiscard]] Result<void> check_age(const DatabaseInfo& info, std::chrono::milliseconds age_max,
                                     WallTime now);

}  // namespace mlxguard::advisories
