// SPDX-License-Identifier: Apache-2.0
// What a scan is held against, from the state folder and the command line; and files that may be
// URLs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "advisories/scan.h"
#include "session.h"

namespace mlxguard::cli {

/// $STATE/advisories/kev.json
[[nodiscard]] std::filesystem::path catalog_file(const std::filesystem::path& state);

/// A file, or a download of one that is removed with this.
class Fetched {
 public:
  explicit Fetched(std::filesystem::path file) : path(std::move(file)) {}
  Fetched(std::filesystem::path file, std::filesystem::path folder)
      : path(std::move(file)), folder_(std::move(folder)) {}
  Fetched(Fetched&& other) noexcept;
  Fetched& operator=(Fetched&&) = delete;
  ~Fetched();
  std::filesystem::path path;

 private:
  std::filesystem::path folder_;
};

/// An https URL is downloaded into the state folder by a process of its own; anything else is a
/// path.
[[nodiscard]] Result<Fetched> fetch_if_url(Session& session, const std::string& from);

/// Databases, statements and catalog; `knowledge` points into the rest.
struct LoadedKnowledge {
  std::optional<advisories::Database> osv;
  std::optional<advisories::Database> feed;
  std::vector<advisories::VexStatement> vex;
  std::vector<std::string> vex_products;
  std::vector<advisories::ExploitedEntry> exploited;
  [[nodiscard]] advisories::Knowledge view() const;
};

/// A missing database is none; a damaged one is an error, and so is a feed whose key was revoked
/// since it was taken. Errors: kAdvisoryDatabase, kVex, kKeyRevoked.
[[nodiscard]] Result<LoadedKnowledge> load_knowledge(Session& session,
                                                     const std::vector<std::string>& vex_files,
                                                     const std::string& kev_file);

}  // namespace mlxguard::cli
