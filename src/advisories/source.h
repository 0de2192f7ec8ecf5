// SPDX-License-Identifier: Apache-2.0
// Where advisories come from: an ecosystem's all.zip, a folder of OSV files in JSON or YAML, one
// JSON file; and the feed, which is signed. An update replaces the database in one step or not at
// all.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "advisories/database.h"
#include "base/clock.h"
#include "base/result.h"
#include "crypto/ec_key.h"
#include "crypto/signer.h"

namespace mlxguard::advisories {

using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

struct Updated {
  DatabaseInfo info;
  std::vector<Skipped> skipped;  ///< the first ones
};

/// Builds $STATE/advisories/osv.db. `sha256` (hex, may be empty) is compared with the file before a
/// byte of it is parsed. Errors: kAdvisoryDigest, kAdvisoryDatabase (no usable record), kNotFound,
/// kNoSpace.
[[nodiscard]] Result<Updated> update_database(const std::filesystem::path& state,
                                              const std::filesystem::path& from,
                                              const std::string& sha256, WallTime now,
                                              const Progress& progress);

/// Payload type of a feed's envelope (DSSE).
inline constexpr std::string_view kFeedType = "application/vnd.mlxguard.advisory-feed+json";

/// An envelope around every OSV record in `from`: what update_feed() takes.
[[nodiscard]] Result<std::string> write_feed(const std::filesystem::path& from,
                                             std::int64_t version, WallTime now,
                                             const crypto::Signer& signer);

/// Takes a feed over: signed by this key, and not older than the one that is there. A feed with a
/// broken record is refused as a whole. Errors: kAdvisoryFeed.
[[nodiscard]] Result<Updated> update_feed(const std::filesystem::path& state,
                                          const std::filesystem::path& from,
                                          const crypto::EcPublicKey& key, WallTime now);

/// A YAML document as JSON: every scalar is a text, as OSV wants versions to be. Bounded in size,
/// depth and nodes (aliases count each time). Errors: kAdvisoryRecord.
[[nodiscard]] Result<std::string> yaml_to_json(std::string_view yaml);

}  // namespace mlxguard::advisories
