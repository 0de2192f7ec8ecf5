// SPDX-License-Identifier: Apache-2.0
// Does an environment hold exactly what its lock says? Names, versions, hashes, and the content of
// files. What cannot be compared is a difference too: "could not tell" is never "the same".
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "inventory/component.h"

namespace mlxguard::inventory {

struct Difference {
  enum class Kind : std::uint8_t {
    kMissing,     ///< locked, and not installed
    kExtra,       ///< installed, and not locked
    kVersion,     ///< another version
    kHash,        ///< another archive, or a lock without hashes
    kSource,      ///< from another place than the lock says
    kContent,     ///< files that are not those of the locked package
    kFile,        ///< a file that differs from its RECORD, is missing, or belongs to no package
    kUnreadable,  ///< could not be compared
    kNotFor,      ///< the lock is for another Python or platform
  };
  Kind kind = Kind::kUnreadable;
  std::string name;      ///< of the package; may be empty
  std::string where;     ///< a file or folder; may be empty
  std::string expected;  ///< as the lock says
  std::string actual;
  std::string message;
};
[[nodiscard]] std::string_view name_of(Difference::Kind kind);

struct LockCheckOptions {
  /// Installed packages that need not be locked (normalised), such as the installer itself.
  std::set<std::string> allowed{};
  enum class Hashes : std::uint8_t { kRequired, kNotRequired } hashes = Hashes::kRequired;
  enum class Unrecorded : std::uint8_t { kRefused, kAllowed } unrecorded = Unrecorded::kRefused;
  /// Of wheels at hand: "sha256:<hex>" of the file, and the digest of what it installs.
  std::map<std::string, std::string> content_of_wheel{};
  std::string
      python_version{};  ///< that markers are judged for; empty: of the environment's machine
};

struct LockCheck {
  std::vector<Difference> differences;  ///< sorted by name; empty: it passes
  std::size_t packages = 0;             ///< compared
  std::size_t optional = 0;  ///< locked for an extra or group only, and not installed
  std::size_t contents = 0;  ///< of them, with files held against the lock, not only RECORD
};

/// `lock` was read from a lock file, `environment` from an environment with RecordCheck::kFiles.
[[nodiscard]] LockCheck check_lock(const Inventory& lock, const Inventory& environment,
                                   const LockCheckOptions& options);

}  // namespace mlxguard::inventory
