// SPDX-License-Identifier: Apache-2.0
// DigestCache: digests that this installation computed when it signed a model, so that signing
// again hashes only what changed. Kept in $STATE/digests under the key of the installation, bound
// to the model's path and to how it was hashed. It serves the signer alone, who could sign anything
// anyway: verification never reads it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "artifact/file_identity.h"
#include "artifact/local_mac.h"
#include "artifact/model_folder.h"
#include "base/result.h"

namespace mlxguard::artifact {

class DigestCache {
 public:
  /// Of the model at this absolute path, for this plan. What cannot be read is an empty cache.
  [[nodiscard]] static DigestCache load(const std::filesystem::path& folder, const LocalMac& mac,
                                        const std::filesystem::path& model, HashPlan plan);

  /// The digests of the file, if it is the one that was hashed; else nullptr.
  [[nodiscard]] const std::vector<FileDigest>* find(const std::string& name,
                                                    const FileIdentity& identity) const;
  /// Everything is to be hashed again.
  void forget() { entries_.clear(); }
  /// Remembers a file. One that changed so lately that another change could go unseen is left out.
  void put(const std::string& name, const FileIdentity& identity, std::vector<FileDigest> digests,
           std::int64_t hashed_at_ns);
  /// Drops every file that was neither found nor put, and writes the rest.
  [[nodiscard]] Result<void> save(const LocalMac& mac);

 private:
  struct Entry {
    FileIdentity identity;
    std::vector<FileDigest> digests;
    mutable bool used = false;
  };
  void read(std::string_view text);
  std::filesystem::path file_;
  std::string context_;  ///< of the authentication code: what the digests are of
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace mlxguard::artifact
