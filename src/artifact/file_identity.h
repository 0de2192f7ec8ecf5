// SPDX-License-Identifier: Apache-2.0
// FileIdentity: what the file system says of a file without reading it. Equal identities mean that
// the kernel recorded no change in between; that is a hint, never a proof: whoever may set the
// clock, or write the disk below the file system, can forge it, and who has the file mapped for
// writing may write without a record (see writers_of). Receipts and caches say where it is
// believed.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace mlxguard::artifact {

struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;  ///< of contents or attributes; no program can set it
  bool operator==(const FileIdentity&) const = default;
};

/// Errors: kIo.
[[nodiscard]] Result<FileIdentity> identity_of(int fd);

/// Whether any process has the file open or mapped for writing. Of a page that it has written to
/// once, a mapping writes again without a record of the kernel; who opens the file after kNone
/// leaves one. kUnknown where the kernel does not say: of a file of another user, or on a file
/// system without leases. `fd` is open for reading, and nobody else's.
enum class Writers : std::uint8_t { kNone, kSome, kUnknown };
[[nodiscard]] Writers writers_of(int fd);

/// Whether a change after `now_ns` is sure to give another identity: file systems keep times in
/// steps, so a file that changed just now could change again within the same step.
[[nodiscard]] bool is_settled(const FileIdentity& identity, std::int64_t now_ns);

}  // namespace mlxguard::artifact
