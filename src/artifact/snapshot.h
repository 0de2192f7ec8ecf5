// SPDX-License-Identifier: Apache-2.0
// Snapshot: every file of a model, opened once and held as immutable bytes whose digests are known.
// On the model line it stands between "open" and "verify": nothing here is trusted yet.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "crypto/digest.h"

namespace mlxguard::artifact {

/// One file's bytes in a memfd sealed with F_SEAL_WRITE|GROW|SHRINK|SEAL.
struct SnapshotFile {
  std::string name;  ///< POSIX path relative to the model's root
  std::uint64_t size_bytes = 0;
  crypto::Sha256Digest digest{};
  UniqueFd memory;
};

}  // namespace mlxguard::artifact
