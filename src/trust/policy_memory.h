// SPDX-License-Identifier: Apache-2.0
// PolicyMemory: the highest versions that were seen here, of policies, of models and of the list of
// revoked keys, in $STATE/trust/seen.json. It only goes up. Trusted: the state folder's owner. A
// file that is malformed, or gone while its folder is there, is refused (kTrustPolicyRollback),
// never taken for an empty one; folder and file come to be in one step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "trust/model_version.h"

namespace mlxguard::trust {

/// The newest model that was admitted from a place, or under a name.
struct SeenModel {
  std::string version;
  std::string name;  ///< as its mlxguard.json said; may be empty
};

/// The whole memory as a value.
struct SeenVersions {
  std::map<std::string, std::uint64_t> policies;  ///< by root key or path
  std::map<std::string, SeenModel> models;        ///< by source and key
  std::uint64_t revocations = 0;                  ///< version of the list of revoked keys
  std::string revocations_head;                   ///< of RevocationList::head
  [[nodiscard]] static Result<SeenVersions> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
};

class PolicyMemory {
 public:
  explicit PolicyMemory(const std::filesystem::path& state) : folder_(state / "trust") {}

  [[nodiscard]] Result<SeenVersions> read() const;
  /// Reads, lets `change` raise what it knows, writes if that changed anything: alone, durable, and
  /// old or new after a kill.
  template <class Change>
  [[nodiscard]] Result<void> update(const Change& change) const {
    MLXGUARD_TRY_ASSIGN(const UniqueFd lock, take_lock());
    MLXGUARD_TRY_ASSIGN(SeenVersions seen, read());
    const std::string before = seen.text();
    MLXGUARD_TRY(change(seen));
    return seen.text() == before ? Result<void>{} : write(seen);
  }

 private:
  [[nodiscard]] Result<void> create() const;
  [[nodiscard]] Result<UniqueFd> take_lock() const;
  [[nodiscard]] Result<void> write(const SeenVersions& seen) const;
  std::filesystem::path folder_;
};

}  // namespace mlxguard::trust
